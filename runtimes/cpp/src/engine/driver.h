// The GPUs of this host, as NVIDIA's driver lists them: no other library of CUDA is needed.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace fnet {

// A GPU, and the version of CUDA that its driver is for.
struct DriverGpu {
  std::string name, compute_capability, driver;
};

// Every GPU that the driver shows to this process, in its order. A no-device error when there is none.
Result<std::vector<DriverGpu>> gpus_of_driver();

}  // namespace fnet
