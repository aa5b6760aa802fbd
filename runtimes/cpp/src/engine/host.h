// What an engine of TensorRT is built and opened with: a product's library and a GPU.
#pragma once

#include <functional>
#include <memory>

#include "engine/fit.h"
#include "engine/gpu.h"
#include "engine/tensorrt_library.h"

namespace fnet {

struct TrtHost {
  std::shared_ptr<const Cuda> cuda;
  TrtLibrary library;
  Gpu gpu;
};

// Opens both libraries and describes a GPU by its number, which becomes the calling thread's. Session errors: a library is missing or CUDA
// fails; a no-device error: no GPU; an input error: no GPU of that number.
Result<TrtHost> trt_host(int device, const std::function<Result<std::shared_ptr<const Cuda>>()>& cuda,
                         const std::function<Result<TrtLibrary>()>& library);

}  // namespace fnet
