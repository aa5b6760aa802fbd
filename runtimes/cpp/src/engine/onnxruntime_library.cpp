#include "engine/onnxruntime_library.h"

#include <cstdlib>
#include <mutex>
#include <vector>

#include "base/library.h"

namespace fnet {
namespace {

constexpr uint32_t API_VERSION = 17;  // of ONNX Runtime 1.17: everything that every session uses is as old; newer libraries serve it too
constexpr const char* LIBRARY_VARIABLE = "FNET_ONNXRUNTIME";

Result<OrtLibrary> library_from_file(const std::string& path) {
  const auto handle = library_from_names("ONNX Runtime", path, LIBRARY_VARIABLE, {"libonnxruntime.so.1", "libonnxruntime.so"});
  if (!handle) return handle.error();
  const auto base = reinterpret_cast<const OrtApiBase* (*)()>(function_of(*handle, "OrtGetApiBase"));
  if (!base) return session_error((path.empty() ? LIBRARY_VARIABLE : path) + ": is not ONNX Runtime's library; expected libonnxruntime.so");
  OrtLibrary library{base()->GetApi(API_VERSION), nullptr, nullptr, base()->GetVersionString()};
  if (!library.api)
    return session_error("ONNX Runtime " + library.version + " is too old; expected 1." + std::to_string(API_VERSION) + " or newer");
#if ORT_API_VERSION >= 24
  constexpr uint32_t NEWER = 24;
  // an older library prints a warning when it is asked for a newer interface, so its version decides
  const std::string minor = library.version.compare(0, 2, "1.") == 0 ? library.version.substr(2) : "";
  if (std::strtoul(minor.c_str(), nullptr, 10) >= NEWER) library.newer = base()->GetApi(NEWER);
#endif
  if (OrtStatus* status = library.api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "fnet", &library.environment))
    return session_error("ONNX Runtime " + library.version + " does not start (" + text_of(*library.api, status) + ")");
  // from 1.29 on it tells Microsoft of the models that are opened, unless told not to
  if (OrtStatus* status = library.api->DisableTelemetryEvents(library.environment)) library.api->ReleaseStatus(status);
  return library;
}

}  // namespace

Result<OrtLibrary> ort_library(const std::string& path) {
  static std::mutex mutex;
  static std::vector<std::pair<std::string, OrtLibrary>> open;
  const std::lock_guard<std::mutex> lock(mutex);
  for (const auto& [name, library] : open) {
    if (name == path) return library;
  }
  auto library = library_from_file(path);
  if (library) open.emplace_back(path, *library);
  return library;
}

std::string text_of(const OrtApi& api, OrtStatus* status) {
  std::string text = api.GetErrorMessage(status);
  api.ReleaseStatus(status);
  return text;
}

}  // namespace fnet
