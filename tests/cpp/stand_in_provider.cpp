// A stand-in for NVIDIA's plugin provider of ONNX Runtime: it finds the CPU in place of a GPU, and takes no node.
#include <onnxruntime_c_api.h>

#include <cstdint>

namespace {

constexpr const char* NAME = "NvTensorRTRTXExecutionProvider";
const OrtApi* api = nullptr;

const char* ep_name(const OrtEp*) noexcept { return NAME; }
OrtStatus* take_nothing(OrtEp*, const OrtGraph*, OrtEpGraphSupportInfo*) noexcept { return nullptr; }

const char* name(const OrtEpFactory*) noexcept { return NAME; }
const char* vendor(const OrtEpFactory*) noexcept { return "fnet"; }
uint32_t vendor_id(const OrtEpFactory*) noexcept { return 0; }
const char* version(const OrtEpFactory*) noexcept { return "1.0.0"; }

OrtStatus* devices(OrtEpFactory* factory, const OrtHardwareDevice* const* found, size_t count, OrtEpDevice** made, size_t most,
                   size_t* made_count) noexcept {
  *made_count = 0;
  for (size_t i = 0; i < count && *made_count < most; ++i) {
    if (api->HardwareDevice_Type(found[i]) != OrtHardwareDeviceType_CPU) continue;
    if (OrtStatus* status = api->GetEpApi()->CreateEpDevice(factory, found[i], nullptr, nullptr, &made[*made_count])) return status;
    ++*made_count;
  }
  return nullptr;
}

OrtStatus* make(OrtEpFactory*, const OrtHardwareDevice* const*, const OrtKeyValuePairs* const*, size_t, const OrtSessionOptions*,
                const OrtLogger*, OrtEp** ep) noexcept {
  *ep = new OrtEp{};
  (*ep)->ort_version_supported = 23;
  (*ep)->GetName = ep_name;
  (*ep)->GetCapability = take_nothing;
  return nullptr;
}
void release(OrtEpFactory*, OrtEp* ep) noexcept { delete ep; }

OrtStatus* no_allocator(OrtEpFactory*, const OrtMemoryInfo*, const OrtKeyValuePairs*, OrtAllocator** made) noexcept {
  *made = nullptr;
  return nullptr;
}
void release_allocator(OrtEpFactory*, OrtAllocator*) noexcept {}
OrtStatus* no_transfer(OrtEpFactory*, OrtDataTransferImpl** made) noexcept {
  *made = nullptr;
  return nullptr;
}
bool no_streams(const OrtEpFactory*) noexcept { return false; }

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED OrtStatus* CreateEpFactories(const char*, const OrtApiBase* base, const OrtLogger*, OrtEpFactory** factories, size_t,
                                      size_t* count) {
  api = base->GetApi(23);
  auto* factory = new OrtEpFactory{};
  factory->ort_version_supported = 23;
  factory->GetName = name;
  factory->GetVendor = vendor;
  factory->GetVendorId = vendor_id;
  factory->GetVersion = version;
  factory->GetSupportedDevices = devices;
  factory->CreateEp = make;
  factory->ReleaseEp = release;
  factory->CreateAllocator = no_allocator;
  factory->ReleaseAllocator = release_allocator;
  factory->CreateDataTransfer = no_transfer;
  factory->IsStreamAware = no_streams;
  factories[0] = factory;
  *count = 1;
  return nullptr;
}

EXPORTED OrtStatus* ReleaseEpFactory(OrtEpFactory* factory) {
  delete factory;
  return nullptr;
}
