// Builds an engine with TensorRT, or TensorRT-RTX. Compiled once for each, as tensorrt_library.cpp is.
#pragma once

#include <NvInferRuntime.h>

#include <functional>
#include <string>

#include "engine/tensorrt_library.h"

namespace fnet {

// The bytes of an engine, from the product's opened library and the parser next to it. `said` is what the library told `log`. A session
// error has those words.
Result<std::string> engine_from_graph(void* library, const TrtBuild& build, const std::string& version, nvinfer1::ILogger& log,
                                      const std::function<std::string()>& said);

}  // namespace fnet
