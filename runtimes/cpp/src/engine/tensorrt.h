// A TensorRT engine on an NVIDIA GPU: a pool of lanes, one for each caller at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/host.h"
#include "engine/session.h"

namespace fnet {

struct TrtOptions {
  int device = 0;           // number of the GPU
  int contexts = 1;         // the most that are made; a caller that finds all of them busy waits
  bool cuda_graph = false;  // capture each shape's run as a CUDA graph, and launch that from then on
};

// Opens an engine file with a product's library. Session errors: a library, a GPU or memory is missing, or the file is refused, or it is
// another graph than the manifest says; no-device errors: no GPU, or none that the engine was built for.
Result<std::unique_ptr<Session>> trt_session(const std::string& engine, const EngineInfo& info, const std::vector<TensorInfo>& inputs,
                                             const TrtOptions& options, const TrtHost& host);

}  // namespace fnet
