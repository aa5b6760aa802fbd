#include "engine/driver.h"

#include <dlfcn.h>

#include "base/library.h"

namespace fnet {
namespace {

constexpr const char *DRIVER = "libcuda.so.1", *NO_GPU = "no NVIDIA GPU on this host (";
constexpr int MAJOR = 75, MINOR = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
constexpr int NAME_BYTES = 256;

Error no_gpu(const std::string& why) { return {Code::no_device, NO_GPU + why + ")"}; }

// Calls a function of the driver, and throws an Error unless it returns 0.
template <class... Arguments>
void call(void* driver, const char* name, Arguments... arguments) {
  const auto function = reinterpret_cast<int (*)(Arguments...)>(function_of(driver, name));
  if (!function) throw no_gpu(std::string(DRIVER) + " has no " + name);
  if (const int code = function(arguments...)) throw no_gpu(std::string(name) + ": error " + std::to_string(code) + " of CUDA's driver");
}

DriverGpu gpu(void* driver, int number, const std::string& version) {
  int device = 0, major = 0, minor = 0;
  char name[NAME_BYTES] = {};
  call(driver, "cuDeviceGet", &device, number);
  call(driver, "cuDeviceGetName", &name[0], NAME_BYTES - 1, device);
  call(driver, "cuDeviceGetAttribute", &major, MAJOR, device);
  call(driver, "cuDeviceGetAttribute", &minor, MINOR, device);
  return {name, std::to_string(major) + "." + std::to_string(minor), version};
}

}  // namespace

Result<std::vector<DriverGpu>> gpus_of_driver() {
  void* driver = dlopen(DRIVER, RTLD_NOW | RTLD_LOCAL);
  if (!driver) return no_gpu(dlerror());
  try {
    int version = 0, count = 0;
    call(driver, "cuInit", 0U);
    call(driver, "cuDriverGetVersion", &version);
    call(driver, "cuDeviceGetCount", &count);
    if (count < 1) return no_gpu("its driver shows no GPU to this process");
    std::vector<DriverGpu> found;
    for (int number = 0; number < count; ++number)
      found.push_back(gpu(driver, number, std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10)));
    return found;
  } catch (const Error& error) {
    return error;
  }
}

}  // namespace fnet
