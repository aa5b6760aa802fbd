#include "engine/open.h"

#include <algorithm>
#include <iterator>

#include "base/facts.h"
#include "base/files.h"
#include "base/words.h"
#include "engine/rebuild.h"
#include "engine/tensorrt.h"
#include "json/writer.h"

namespace fnet {
namespace {

[[maybe_unused]] constexpr const char* NO_ONNXRUNTIME =
    "this build of fnet_runtime has no ONNX Runtime; build it with FNET_WITH_ONNXRUNTIME=ON";

// A product of TensorRT that this build has a session for; `library` is its name in a manifest.
struct TrtProduct {
  const char* library;
  Result<std::shared_ptr<const Cuda>> (*cuda)();
  Result<TrtLibrary> (*open)(const std::string& file);
};
const std::vector<TrtProduct> TRT_PRODUCTS{
#ifdef FNET_WITH_TENSORRT
    {"tensorrt", cuda_from_library, tensorrt_library},
#endif
#ifdef FNET_WITH_TENSORRT_RTX
    {"tensorrt_rtx", cuda_from_library, tensorrt_rtx_library},
#endif
};

// The name of the runtime that opens the engines of a library.
std::string runtime_of_library(std::string library) {
  std::replace(library.begin(), library.end(), '_', '-');
  return library;
}

const TrtProduct* product_from_library(const std::string& library) {
  const auto found =
      std::find_if(TRT_PRODUCTS.begin(), TRT_PRODUCTS.end(), [&](const TrtProduct& product) { return product.library == library; });
  return found == TRT_PRODUCTS.end() ? nullptr : &*found;
}

Result<std::unique_ptr<Session>> engine_session(const std::string& folder, const Manifest& manifest, const Config& config,
                                                const std::string& chosen) {
  const TrtProduct* product = product_from_library(manifest.engine->library);
  if (!product)
    return session_error(folder + ": this build of fnet_runtime cannot open an engine of " + chosen + "; the runtime " + ONNXRUNTIME +
                         " opens " + MODEL);
  const auto host = trt_host(config.device, product->cuda, [&] { return product->open(config.library); });
  if (!host) return host.error();
  return trt_session(plain_path(folder + "/" + manifest.engine->file), *manifest.engine, manifest.inputs,
                     {config.device, config.contexts, config.cuda_graph}, *host);
}

// The session of an engine that the first library of the bundle's target builds for this host, of those that this build and the host have.
Result<std::unique_ptr<Session>> rebuilt_session(const std::string& folder, const Manifest& manifest, const Config& config) {
  std::vector<std::string> lacks, reasons;
  for (const TargetFacts& target : TARGETS) {
    if (manifest.target != target.name) continue;
    for (const char* library : target.libraries) {
      if (!library) continue;
      const TrtProduct* product = product_from_library(library);
      if (!product) {
        lacks.emplace_back(library);
        continue;
      }
      const auto opened = product->open(config.library);
      if (!opened) {
        reasons.push_back(opened.error().text);
        continue;
      }
      const auto host = trt_host(config.device, product->cuda, [&] { return opened; });
      if (!host) return host.error();
      const auto rebuilt = rebuilt_engine(folder, manifest, library, *host);
      if (!rebuilt) return rebuilt.error();
      return trt_session(rebuilt->file, rebuilt->info, manifest.inputs, {config.device, config.contexts, config.cuda_graph}, *host);
    }
  }
  if (!reasons.empty()) return session_error(joined(reasons, "; "));
  return session_error(folder + ": this build of fnet_runtime cannot build an engine of " + joined(lacks, " or ") +
                       "; compile it with the headers of that library, or rebuild with the Python runtime");
}

const ProviderFacts* provider_from_name(const std::string& name) {
  const auto* found = std::find_if(std::begin(PROVIDERS), std::end(PROVIDERS), [&](const auto& facts) { return facts.name == name; });
  return found == std::end(PROVIDERS) ? nullptr : found;
}

std::vector<std::string> provider_names() {
  std::vector<std::string> names;
  for (const ProviderFacts& facts : PROVIDERS) names.emplace_back(facts.name);
  return names;
}

}  // namespace

Result<std::unique_ptr<Session>> session_from_bundle(const std::string& folder, const Manifest& manifest, const Config& config) {
  if (config.threads < 0 || config.threads > MAX_THREADS)
    return input_error("threads: expected 1 to " + std::to_string(MAX_THREADS) + ", found " + std::to_string(config.threads));
  if (config.contexts < 1 || config.contexts > MAX_CONTEXTS)
    return input_error("contexts: expected 1 to " + std::to_string(MAX_CONTEXTS) + ", found " + std::to_string(config.contexts));
  if (config.device < 0) return input_error("device: expected the number of a GPU, from 0; found " + std::to_string(config.device));
  if (!std::count(std::begin(RUNTIMES), std::end(RUNTIMES), config.runtime))
    return input_error("runtime: expected one of " + joined(RUNTIMES) + "; found " + quoted(config.runtime));
  std::vector<std::string> names{ONNXRUNTIME};
  if (manifest.engine) {
    names.insert(names.begin(), runtime_of_library(manifest.engine->library));
  }
  const ProviderFacts* provider = provider_from_name(config.provider);
  if (!provider) return input_error("provider: expected one of " + joined(provider_names()) + "; found " + quoted(config.provider));
  const bool on_cpu = config.provider == CPU;
  if (!on_cpu && config.runtime != "auto" && config.runtime != ONNXRUNTIME)
    return input_error("provider: " + config.provider + " belongs to ONNX Runtime, and the runtime is " + config.runtime +
                       "; leave one of them out");
  if (on_cpu && config.allow_partial)
    return input_error("allow_partial: is for a provider of a GPU, and the provider is cpu. Leave it out, or name a provider");
  const std::string chosen = !on_cpu ? ONNXRUNTIME : config.runtime == "auto" ? names[0] : config.runtime;
  if (!std::count(names.begin(), names.end(), chosen))
    return input_error(folder + ": cannot be opened with " + config.runtime + "; expected " + joined(names, " or "));
  const bool on_tensorrt = chosen != ONNXRUNTIME && chosen != OPENVINO;
  if (config.rebuild && !on_tensorrt)
    return input_error("rebuild: is for engines of TensorRT; " + folder + " opens with " + chosen + ", which builds none. Leave it out");
  if (config.device != 0 && on_cpu && !on_tensorrt)
    return input_error("device: is the number of a GPU; " + folder + " opens with " + chosen + " on the CPU. Leave it out");
  const char* const unused = config.contexts != Config().contexts ? "contexts" : config.cuda_graph ? "cuda_graph" : nullptr;
  if (unused && !on_tensorrt)
    return input_error(std::string(unused) + ": is for engines of TensorRT; " + folder + " opens with " + chosen + ". Leave it out");
  if (config.rebuild) return rebuilt_session(folder, manifest, config);
  if (chosen != ONNXRUNTIME) return engine_session(folder, manifest, config, chosen);
  if (manifest.precision == BF16 && on_cpu)
    return session_error(folder + ": ONNX Runtime cannot multiply matrices of bf16 on a CPU; open the bundle with its own engine");
#ifdef FNET_WITH_ONNXRUNTIME
  return ort_session(plain_path(folder + "/" + MODEL), manifest.inputs,
                     {config.threads, config.library, provider, manifest.precision, config.device, config.allow_partial});
#else
  return session_error(folder + ": " + NO_ONNXRUNTIME);
#endif
}

std::vector<Device> providers_of_host([[maybe_unused]] const std::string& library) {
#ifdef FNET_WITH_ONNXRUNTIME
  return ort_providers(library);
#else
  std::vector<Device> found;
  for (const std::string& name : provider_names()) found.push_back({"provider", name, false, NO_ONNXRUNTIME});
  return found;
#endif
}

std::vector<Device> engines_of_host() {
  std::vector<Device> found;
  for (const std::string name : RUNTIMES) {
    if (name == "auto" || name == ONNXRUNTIME) continue;
    Device device{"engine", name, false, "this build of fnet_runtime has no session of it; build it with the headers of " + name};
    for (const TrtProduct& product : TRT_PRODUCTS) {
      if (runtime_of_library(product.library) != name) continue;
      const auto library = product.open("");
      device.usable = static_cast<bool>(library);
      device.detail = library ? std::string(product.library) + " " + library->version : library.error().text;
    }
    found.push_back(std::move(device));
  }
  return found;
}

}  // namespace fnet
