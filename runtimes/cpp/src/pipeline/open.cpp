#include "pipeline/open.h"

#include <algorithm>

#include "base/python_str.h"
#include "engine/tensorrt.h"
#include "json/reader.h"

namespace fnet {
namespace {

constexpr int MAX_THREADS = 1024, MAX_CONTEXTS = 64;
constexpr int64_t TOKEN_TYPES = 4;  // of a model whose config.json does not say: transformers' default
const std::vector<std::string> RUNTIMES{"auto", "onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"};
const std::string ONNXRUNTIME = "onnxruntime";

// What config.json tells the pipelines.
struct ModelConfig {
  int64_t vocab_size, token_types;
  std::string problem_type;
};

Result<ModelConfig> config_from_file(const std::string& path) {
  const auto refused = [&](const std::string& why) { return bundle_error(path + ": not an FNet's config.json (" + why + ")"); };
  const auto data = bytes_from_file(path);
  if (const auto* fault = std::get_if<SystemFault>(&data)) return refused(fault->text());
  const auto config = json_from_text(std::get<std::string>(data));
  if (!config) return refused(config.error().text);
  if (!config->is_object() || !config->contains("vocab_size")) return refused("'vocab_size'");
  const Json size = (*config)["vocab_size"], types = config->value("type_vocab_size", Json(TOKEN_TYPES));
  for (const auto& [name, value] : {std::pair("vocab_size", size), std::pair("type_vocab_size", types)}) {
    if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX))
      return refused(std::string(name) + " is no integer");
  }
  const Json problem = config->value("problem_type", Json());
  return ModelConfig{size.get<int64_t>(), types.get<int64_t>(), problem.is_string() ? problem.get<std::string>() : ""};
}

std::string shown(const std::vector<std::pair<std::string, std::vector<Axis>>>& inputs) {
  std::vector<std::string> words;
  for (const auto& [name, axes] : inputs) {
    const auto* open = axes.empty() ? nullptr : std::get_if<std::string>(&axes[0]);
    const std::string axis = axes.empty() ? "" : (open ? python::repr(*open) : std::to_string(std::get<int64_t>(axes[0]))) + ",";
    words.push_back(python::repr(name) + ": (" + axis + ")");
  }
  return "{" + joined(words) + "}";
}

// A bundle error unless the manifest's tensors and labels are those of its task.
std::optional<Error> task_fault(const Manifest& manifest, const std::string& folder) {
  const TaskPipeline* task = task_from_name(manifest.task);
  if (!task)
    return bundle_error(folder + ": task " + python::repr(manifest.task) + " is not known; expected one of " + joined(task_names()));
  std::vector<std::string> outputs, wanted;
  for (const OutputAxes& output : task->outputs) wanted.push_back(output.name);
  const TensorInfo* logits = nullptr;
  for (const TensorInfo& tensor : manifest.outputs) {
    outputs.push_back(tensor.name);
    if (tensor.name == "logits") logits = &tensor;
  }
  if (!std::is_permutation(outputs.begin(), outputs.end(), wanted.begin(), wanted.end()))
    return bundle_error(folder + ": " + manifest.task + " has the outputs " + joined(wanted) + "; found " + joined(outputs));
  std::vector<std::pair<std::string, std::vector<Axis>>> inputs;
  std::vector<std::string> names{"input_ids", "token_type_ids"}, found;
  const TensorInfo* positions = nullptr;
  bool fits = true;
  for (const TensorInfo& tensor : manifest.inputs) {
    if (tensor.name == POSITIONS) {
      positions = &tensor;
      continue;
    }
    if (tensor.name == ATTENTION_MASK && names.back() != ATTENTION_MASK) names.push_back(tensor.name);
    found.push_back(tensor.name);
    inputs.emplace_back(tensor.name, tensor.axes.empty() ? tensor.axes : std::vector<Axis>{tensor.axes.back()});
    fits = fits && !tensor.axes.empty() && tensor.axes.back() == Axis(manifest.sequence_length);
  }
  if (!fits || !std::is_permutation(found.begin(), found.end(), names.begin(), names.end())) {
    return bundle_error(folder + ": expected the inputs " + joined(names) + ", each of " + std::to_string(manifest.sequence_length) +
                        " tokens; found " + shown(inputs));
  }
  if (positions && manifest.task != MASKED_LM)
    return bundle_error(folder + ": " + POSITIONS + " is an input of masked-lm; found it in " + manifest.task);
  if (positions && (positions->axes.empty() || !std::holds_alternative<int64_t>(positions->axes.back()) ||
                    std::get<int64_t>(positions->axes.back()) < 1))
    return bundle_error(folder + ": " + POSITIONS + ": expected a number of positions as its last axis");
  const Axis none = int64_t{0}, labels = !task->labelled ? none : logits->axes.empty() ? Axis(std::string("no")) : logits->axes.back();
  if (labels != Axis(static_cast<int64_t>(manifest.labels.size())) || (task->labelled && manifest.labels.empty())) {
    const auto* open = std::get_if<std::string>(&labels);
    return bundle_error(folder + ": expected " + (open ? *open : std::to_string(std::get<int64_t>(labels))) + " labels for " +
                        manifest.task + "; found " + std::to_string(manifest.labels.size()));
  }
  return std::nullopt;
}

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
                       {config.device, config.contexts, config.cuda_graph}, product.cuda,
                       [&] { return product.open(config.library); });
  }
  return session_error(folder + ": this build of fnet_runtime opens no engine of " + chosen + "; the runtime " + ONNXRUNTIME +
                       " opens the bundle's " + MODEL);
}

Result<std::unique_ptr<Session>> session_from_bundle(const std::string& folder, const Manifest& manifest, const Config& config) {
  if (config.threads < 0 || config.threads > MAX_THREADS)
    return input_error("threads: expected 1 to " + std::to_string(MAX_THREADS) + ", found " + std::to_string(config.threads));
  if (config.contexts < 1 || config.contexts > MAX_CONTEXTS)
    return input_error("contexts: expected 1 to " + std::to_string(MAX_CONTEXTS) + ", found " + std::to_string(config.contexts));
  if (config.device < 0) return input_error("device: expected the number of a GPU, from 0; found " + std::to_string(config.device));
  if (!std::count(RUNTIMES.begin(), RUNTIMES.end(), config.runtime))
    return input_error("unknown runtime " + python::repr(config.runtime) + "; expected one of " + joined(RUNTIMES));
  std::vector<std::string> names{ONNXRUNTIME};
  if (manifest.engine) {
    std::string own = manifest.engine->library;
    std::replace(own.begin(), own.end(), '_', '-');
    names.insert(names.begin(), own);
  }
  const std::string chosen = config.runtime == "auto" ? names[0] : config.runtime;
  if (!std::count(names.begin(), names.end(), chosen))
    return input_error(folder + ": has no engine for " + config.runtime + "; it opens with " + joined(names, " and "));
  if (chosen != ONNXRUNTIME) return engine_session(folder, manifest, config, chosen);
  if (manifest.precision == BF16)
    return session_error(folder + ": is in bf16, in which ONNX Runtime has no products on CPUs; open it with its own engine");
#ifdef FNET_WITH_ONNXRUNTIME
  return ort_session(plain_path(folder + "/" + MODEL), manifest.inputs, config.threads, config.library);
#else
  return session_error(folder + ": this build of fnet_runtime was made without ONNX Runtime");
#endif
}

}  // namespace

Result<Bundle> bundle_from_folder(const std::string& folder, const Config& config) {
  if (config.max_text_bytes < 1) return input_error("max_text_bytes: expected an integer from 1, found 0");
  auto manifest = manifest_from_folder(folder);
  if (!manifest) return manifest.error();
  const auto model_config = config_from_file(plain_path(folder + "/" + CONFIG));
  if (!model_config) return model_config.error();
  if (const auto fault = task_fault(*manifest, folder)) return *fault;
  const std::string vocabulary = plain_path(folder + "/" + manifest->tokenizer.file());
  auto tokenizer = Tokenizer::from_file(vocabulary, manifest->tokenizer);
  if (!tokenizer) return tokenizer.error();
  if (tokenizer->vocab_size() > model_config->vocab_size || tokenizer->pad_id() != manifest->pad_token_id) {
    return bundle_error(vocabulary + ": " + std::to_string(tokenizer->vocab_size()) + " pieces with <pad> at " +
                        std::to_string(tokenizer->pad_id()) + "; the model has " + std::to_string(model_config->vocab_size) +
                        " embeddings and pads with " + std::to_string(manifest->pad_token_id));
  }
  auto session = session_from_bundle(folder, *manifest, config);
  if (!session) return session.error();
  const TaskPipeline* task = task_from_name(manifest->task);
  return Bundle{{*std::move(manifest), *std::move(tokenizer), model_config->problem_type, model_config->token_types,
                 config.max_text_bytes},
                task,
                *std::move(session), plain_path(folder + "/" + GOLDEN)};
}

}  // namespace fnet
