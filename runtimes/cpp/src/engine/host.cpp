#include "engine/host.h"

namespace fnet {

Result<TrtHost> trt_host(int device, const std::function<Result<std::shared_ptr<const Cuda>>()>& cuda,
                         const std::function<Result<TrtLibrary>()>& library) {
  auto gpu = cuda();
  if (!gpu) return gpu.error();
  const auto devices = (*gpu)->device_count();
  if (!devices) return devices.error();
  if (device >= *devices) return input_error("device: expected 0 to " + std::to_string(*devices - 1) + ", found " + std::to_string(device));
  auto product = library();
  if (!product) return product.error();
  const auto capability = (*gpu)->compute_capability(device);
  if (!capability) return capability.error();
  const auto name = (*gpu)->name(device);
  if (!name) return name.error();
  const auto driver = (*gpu)->driver();
  if (!driver) return driver.error();
  if (const auto fault = (*gpu)->use(device)) return *fault;
  return TrtHost{*std::move(gpu), *std::move(product), {*name, *capability, *driver}};
}

}  // namespace fnet
