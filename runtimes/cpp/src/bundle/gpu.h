// A GPU of a host, as engine.json of the cache describes it.
#pragma once

#include <string>

namespace fnet {

// `driver` is the version of CUDA that its driver is for.
struct Gpu {
  std::string name, compute_capability, driver = {};
};

}  // namespace fnet
