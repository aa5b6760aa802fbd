#include "engine/providers.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "base/library.h"
#include "base/words.h"
#include "engine/devices.h"
#include "engine/driver.h"
#include "engine/rtx_copies.h"

namespace fnet {
namespace {

constexpr const char *PLUGIN_VARIABLE = "FNET_NV_TENSORRT_RTX", *PLUGIN = "libonnxruntime_providers_nv_tensorrt_rtx.so";

// The options that go to a provider.
struct Options {
  std::vector<const char*> keys, values;

  Options(const ProviderFacts& provider, const std::string& precision) {
    for (const ProviderOption& option : PROVIDER_OPTIONS) {
      if (option.provider != std::string(provider.name) || (*option.precision && option.precision != precision)) continue;
      keys.push_back(option.key), values.push_back(option.value);
    }
  }
};

std::optional<Error> not_loaded(const OrtLibrary& library, OrtStatus* status, const ProviderFacts& provider) {
  if (!status) return std::nullopt;
  return session_error(std::string(provider.ort_name) + " cannot be loaded by ONNX Runtime " + library.version + " (" +
                       text_of(*library.api, status) + ")");
}

// A session error unless this build of ONNX Runtime has the provider.
std::optional<Error> missing(const OrtLibrary& library, const ProviderFacts& provider) {
  char** names = nullptr;
  int count = 0;
  if (OrtStatus* status = library.api->GetAvailableProviders(&names, &count)) return not_loaded(library, status, provider);
  const std::vector<std::string> found(names, names + count);
  if (OrtStatus* status = library.api->ReleaseAvailableProviders(names, count)) library.api->ReleaseStatus(status);
  if (std::count(found.begin(), found.end(), provider.ort_name)) return std::nullopt;
  return session_error("ONNX Runtime " + library.version + " has no " + provider.ort_name + " in this build; it has " + joined(found) +
                       ". Name the library of onnxruntime-gpu in FNET_ONNXRUNTIME");
}

OrtStatus* append_cuda(const OrtApi& api, OrtSessionOptions* options, Options chosen, const std::string& device) {
  Owned<OrtCUDAProviderOptionsV2> cuda(api.ReleaseCUDAProviderOptions);
  chosen.keys.push_back("device_id"), chosen.values.push_back(device.c_str());
  if (OrtStatus* s = api.CreateCUDAProviderOptions(cuda.out())) return s;
  if (OrtStatus* s = api.UpdateCUDAProviderOptions(cuda.get(), chosen.keys.data(), chosen.values.data(), chosen.keys.size())) return s;
  return api.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda.get());
}

OrtStatus* append_tensorrt(const OrtApi& api, OrtSessionOptions* options, Options chosen, const std::string& device) {
  Owned<OrtTensorRTProviderOptionsV2> tensorrt(api.ReleaseTensorRTProviderOptions);
  chosen.keys.push_back("device_id"), chosen.values.push_back(device.c_str());
  if (OrtStatus* s = api.CreateTensorRTProviderOptions(tensorrt.out())) return s;
  if (OrtStatus* s = api.UpdateTensorRTProviderOptions(tensorrt.get(), chosen.keys.data(), chosen.values.data(), chosen.keys.size()))
    return s;
  return api.SessionOptionsAppendExecutionProvider_TensorRT_V2(options, tensorrt.get());
}

#if ORT_API_VERSION >= 24
// The path of an opened library, which the loader may have found by its name.
std::string path_of(void* handle) {
  link_map* map = nullptr;
  return dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map ? map->l_name : "";
}

// Registers the plugin with a library of ONNX Runtime, once.
std::optional<Error> registered(const OrtLibrary& library, const ProviderFacts& provider) {
  static std::mutex mutex;
  static std::set<const OrtEnv*> known;
  const std::lock_guard<std::mutex> lock(mutex);
  if (known.count(library.environment)) return std::nullopt;
  const auto handle =
      rtx_copies_of_process().opened(RtxCopy::plugin, [&] { return library_from_names(provider.ort_name, "", PLUGIN_VARIABLE, {PLUGIN}); });
  if (!handle) return handle.error();
  OrtStatus* status = library.newer->RegisterExecutionProviderLibrary(library.environment, provider.ort_name, path_of(*handle).c_str());
  if (auto fault = not_loaded(library, status, provider)) return fault;
  known.insert(library.environment);
  return std::nullopt;
}

std::optional<Error> append_plugin(const OrtLibrary& library, OrtSessionOptions* options, const ProviderFacts& provider,
                                   const Options& chosen, int device) {
  if (!library.newer)
    return session_error("ONNX Runtime " + library.version + " takes no plugins; " + provider.name + " needs 1.24 or newer");
  if (auto fault = registered(library, provider)) return fault;
  const OrtEpDevice* const* devices = nullptr;
  std::size_t count = 0;
  if (auto fault = not_loaded(library, library.newer->GetEpDevices(library.environment, &devices, &count), provider)) return fault;
  std::vector<const OrtEpDevice*> found;
  std::copy_if(devices, devices + count, std::back_inserter(found),
               [&](const OrtEpDevice* each) { return library.newer->EpDevice_EpName(each) == std::string(provider.ort_name); });
  if (found.empty()) {
    return Error{Code::no_device,
                 std::string(provider.ort_name) + " finds no GPU that it can use here; it needs compute capability 8.0 or newer"};
  }
  if (static_cast<std::size_t>(device) >= found.size())
    return input_error("device: expected 0 to " + std::to_string(found.size() - 1) + ", found " + std::to_string(device));
  return not_loaded(library,
                    library.newer->SessionOptionsAppendExecutionProvider_V2(options, library.environment, &found[device], 1,
                                                                            chosen.keys.data(), chosen.values.data(), chosen.keys.size()),
                    provider);
}

struct Taken {
  std::size_t nodes = 0;
  std::map<std::string, int> operators;  // of the nodes that were left
  std::vector<std::string> names;
};

OrtStatus* read_taken(const OrtApi& api, const OrtSession* session, const ProviderFacts& provider, Taken& taken) {
  const OrtEpAssignedSubgraph* const* parts = nullptr;
  std::size_t part_count = 0;
  if (OrtStatus* s = api.Session_GetEpGraphAssignmentInfo(session, &parts, &part_count)) return s;
  for (std::size_t i = 0; i < part_count; ++i) {
    const OrtEpAssignedNode* const* nodes = nullptr;
    std::size_t node_count = 0;
    const char* owner = nullptr;
    if (OrtStatus* s = api.EpAssignedSubgraph_GetEpName(parts[i], &owner)) return s;
    if (OrtStatus* s = api.EpAssignedSubgraph_GetNodes(parts[i], &nodes, &node_count)) return s;
    taken.nodes += node_count;
    if (owner == std::string(provider.ort_name)) continue;
    for (std::size_t n = 0; n < node_count; ++n) {
      const char *name = nullptr, *kind = nullptr;
      if (OrtStatus* s = api.EpAssignedNode_GetName(nodes[n], &name)) return s;
      if (OrtStatus* s = api.EpAssignedNode_GetOperatorType(nodes[n], &kind)) return s;
      taken.names.emplace_back(*name ? name : "(no name)");
      ++taken.operators[kind];
    }
  }
  return nullptr;
}
#else
std::optional<Error> append_plugin(const OrtLibrary& library, OrtSessionOptions*, const ProviderFacts& provider, const Options&, int) {
  return session_error(std::string(provider.name) + ": this build of fnet_runtime takes no plugins of ONNX Runtime " + library.version +
                       "; build it with the headers of 1.24 or newer");
}
#endif

}  // namespace

std::optional<Error> provider_fault(const OrtLibrary& library, OrtSessionOptions* options, const ProviderFacts& provider,
                                    const std::string& precision, int device) {
  const Options chosen(provider, precision);
  const std::string name = provider.name;
  if (name == CPU) return std::nullopt;
  if (name != "cuda" && name != "tensorrt") {
    if (const auto gpus = gpus_of_driver(); !gpus) return gpus.error();
    return append_plugin(library, options, provider, chosen, device);
  }
  if (auto fault = missing(library, provider)) return fault;
  const auto append = name == "cuda" ? append_cuda : append_tensorrt;
  if (auto fault = not_loaded(library, append(*library.api, options, chosen, std::to_string(device)), provider)) return fault;
  if (const auto gpus = gpus_of_driver(); !gpus) return gpus.error();
  return std::nullopt;
}

bool lists_nodes(const OrtLibrary& library) {
#if ORT_API_VERSION >= 24
  return library.newer != nullptr;
#else
  return (void)library, false;
#endif
}

std::string nodes_not_taken(const OrtLibrary& library, const OrtSession* session, const ProviderFacts& provider) {
  const std::string name = provider.ort_name;
#if ORT_API_VERSION >= 24
  Taken taken;
  if (library.newer) {
    if (OrtStatus* status = read_taken(*library.newer, session, provider, taken))
      return name + " did not take every node, and ONNX Runtime cannot list the others (" + text_of(*library.api, status) + ")";
    if (taken.names.empty()) return "";
    std::vector<std::pair<std::string, int>> kinds(taken.operators.begin(), taken.operators.end());
    std::stable_sort(kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    std::vector<std::string> words;
    for (const auto& [kind, count] : kinds) words.push_back(std::to_string(count) + " " + kind);
    const std::size_t left = taken.names.size();
    taken.names.resize(std::min<std::size_t>(left, NAMES_SHOWN));
    return name + " did not take " + std::to_string(left) + " of " + std::to_string(taken.nodes) + " nodes: " + joined(words) +
           " (such as " + joined(taken.names) + ")";
  }
#endif
  (void)session;
  return name + " did not take every node, and ONNX Runtime " + library.version + " cannot list the others";
}

std::vector<Device> ort_providers(const std::string& path) {
  const auto library = ort_library(path);
  std::vector<Device> found;
  for (const ProviderFacts& provider : PROVIDERS) {
    Device device{"provider", provider.name, false, library ? "ONNX Runtime " + library->version : library.error().text};
    if (library) {
      Owned<OrtSessionOptions> options(library->api->ReleaseSessionOptions);
      auto fault = not_loaded(*library, library->api->CreateSessionOptions(options.out()), provider);
      if (!fault) fault = provider_fault(*library, options.get(), provider, "", 0);
      device.usable = !fault;
      if (fault) device.detail = fault->text;
    }
    found.push_back(std::move(device));
  }
  return found;
}

}  // namespace fnet
