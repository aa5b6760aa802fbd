#include "engine/devices.h"

#include "engine/driver.h"
#include "engine/open.h"

namespace fnet {

std::vector<Device> devices_of_host(const std::string& library) {
  std::vector<Device> found = providers_of_host(library);
  const auto gpus = gpus_of_driver();
  if (gpus) {
    for (const DriverGpu& gpu : *gpus) {
      const std::string detail = "compute capability " + gpu.compute_capability + ", driver for CUDA " + gpu.driver;
      found.push_back({"gpu", gpu.name, true, detail});
    }
  } else {
    found.push_back({"gpu", "NVIDIA", false, gpus.error().text});
  }
  for (Device& engine : engines_of_host()) {
    if (engine.usable && !gpus) engine.usable = false, engine.detail += "; " + gpus.error().text;
    found.push_back(std::move(engine));
  }
  return found;
}

}  // namespace fnet
