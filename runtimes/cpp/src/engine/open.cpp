#include "engine/open.h"

#include <algorithm>
#include <iterator>

#include "base/facts.h"
#include "base/files.h"
#include "base/words.h"
#include "engine/tensorrt.h"
#include "json/writer.h"

namespace fnet {
namespace {

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

Result<std::unique_ptr<Session>> engine_session(const std::string& folder, const Manifest& manifest, const Config& config,
                                                const std::string& chosen) {
  for (const TrtProduct& product : TRT_PRODUCTS) {
    if (manifest.engine->library != product.library) continue;
    return trt_session(plain_path(folder + "/" + manifest.engine->file), *manifest.engine, manifest.inputs,
                       {config.device, config.contexts, config.cuda_graph}, product.cuda, [&] { return product.open(config.library); });
  }
  return session_error(folder + ": this build of fnet_runtime cannot open an engine of " + chosen + "; the runtime " + ONNXRUNTIME +
                       " opens " + MODEL);
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
    std::string own = manifest.engine->library;
    std::replace(own.begin(), own.end(), '_', '-');
    names.insert(names.begin(), own);
  }
  const std::string chosen = config.runtime == "auto" ? names[0] : config.runtime;
  if (!std::count(names.begin(), names.end(), chosen))
    return input_error(folder + ": cannot be opened with " + config.runtime + "; expected " + joined(names, " or "));
  if (chosen != ONNXRUNTIME) return engine_session(folder, manifest, config, chosen);
  if (manifest.precision == BF16)
    return session_error(folder + ": ONNX Runtime cannot multiply matrices of bf16 on a CPU; open the bundle with its own engine");
#ifdef FNET_WITH_ONNXRUNTIME
  return ort_session(plain_path(folder + "/" + MODEL), manifest.inputs, config.threads, config.library);
#else
  return session_error(folder + ": this build of fnet_runtime has no ONNX Runtime; build it with FNET_WITH_ONNXRUNTIME=ON");
#endif
}

}  // namespace fnet
