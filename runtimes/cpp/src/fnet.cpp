#include "fnet/fnet.hpp"

#include <algorithm>
#include <exception>

#include "files.h"
#include "golden.h"
#include "json_reader.h"
#include "pipelines.h"
#include "python_str.h"

namespace fnet {

struct Pipeline::Parts {
  Model model;
  const TaskPipeline* task;
  std::unique_ptr<Session> session;
  std::string golden;
};

namespace {

constexpr int MAX_THREADS = 1024;
const std::vector<std::string> RUNTIMES{"auto", "onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"};
const std::string ONNXRUNTIME = "onnxruntime";

// What config.json tells the pipelines.
struct ModelConfig {
  int64_t vocab_size;
  std::string problem_type;
};

Result<ModelConfig> config_from_file(const std::string& path) {
  const auto refused = [&](const std::string& why) { return bundle_error(path + ": not an FNet's config.json (" + why + ")"); };
  const auto data = bytes_from_file(path);
  if (const auto* fault = std::get_if<SystemFault>(&data)) return refused(fault->text());
  const auto config = json_from_text(std::get<std::string>(data));
  if (!config) return refused(config.error().text);
  if (!config->is_object() || !config->contains("vocab_size")) return refused("'vocab_size'");
  const Json& size = (*config)["vocab_size"];
  if (!size.is_number_integer()) return refused("vocab_size is no integer");
  const Json problem = config->value("problem_type", Json());
  return ModelConfig{size.get<int64_t>(), problem.is_string() ? problem.get<std::string>() : ""};
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
  std::vector<std::string> outputs, wanted(task->outputs.begin(), task->outputs.end());
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
    if (tensor.name == ATTENTION_MASK) names.push_back(tensor.name);
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

Result<std::unique_ptr<Session>> session_from_bundle(const std::string& folder, const Manifest& manifest, const Config& config) {
  if (config.threads < 0 || config.threads > MAX_THREADS)
    return input_error("threads: expected 1 to " + std::to_string(MAX_THREADS) + ", found " + std::to_string(config.threads));
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
  if (chosen != ONNXRUNTIME) {
    return session_error(folder + ": this build of fnet_runtime opens no engine of " + chosen + "; the runtime " + ONNXRUNTIME +
                         " opens the bundle's " + MODEL);
  }
  if (manifest.precision == BF16)
    return session_error(folder + ": is in bf16, in which ONNX Runtime has no products on CPUs; open it with its own engine");
#ifdef FNET_WITH_ONNXRUNTIME
  return ort_session(plain_path(folder + "/" + MODEL), manifest.inputs, config.threads, config.library);
#else
  return session_error(folder + ": this build of fnet_runtime was made without ONNX Runtime");
#endif
}

// Whatever is thrown below (for want of memory, mostly) as an error.
template <class Work>
auto guarded(Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::exception& error) {
    return session_error(std::string("fnet_runtime failed: ") + error.what());
  }
}

Result<Asked> asked_from_request(const TaskPipeline& task, const Model& model, const Request& request, std::size_t top_k) {
  auto text = text_from_utf8(request.text);
  if (!text) return text.error();
  Asked asked{*std::move(text), {}, {}, top_k};
  if (const auto* second = std::get_if<std::string>(&request.second)) {
    auto decoded = text_from_utf8(*second);
    if (!decoded) return decoded.error();
    asked.second = *std::move(decoded);
  } else if (const auto* choices = std::get_if<std::vector<std::string>>(&request.second)) {
    Texts texts;
    for (const auto& one : *choices) {
      auto decoded = text_from_utf8(one);
      if (!decoded) return decoded.error();
      texts.push_back(*std::move(decoded));
    }
    asked.second = std::move(texts);
  }
  auto encodings = task.encode(model, asked);
  if (!encodings) return encodings.error();
  asked.encodings = *std::move(encodings);
  return asked;
}

const std::vector<int64_t>& values_of(const Encoding& encoding, const std::string& name) {
  if (name == POSITIONS) return encoding.masked_lm_positions;
  if (name == ATTENTION_MASK) return encoding.attention_mask;
  return name == "token_type_ids" ? encoding.token_type_ids : encoding.input_ids;
}

// The rows of several requests as one batch.
Inputs inputs_from_asked(const TaskPipeline& task, const Model& model, const std::vector<Asked>& asked) {
  Inputs inputs;
  for (const TensorInfo& tensor : model.manifest.inputs) {
    Ids& array = inputs[tensor.name];
    std::size_t rows = 0, width = 0;
    for (const Asked& one : asked) {
      for (const Encoding& encoding : one.encodings) {
        const auto& values = values_of(encoding, tensor.name);
        array.values.insert(array.values.end(), values.begin(), values.end());
        width = values.size(), ++rows;
      }
    }
    array.shape = {rows, width};
    if (task.choices) array.shape = {asked.size(), rows / asked.size(), width};
  }
  return inputs;
}

Result<std::vector<AnyAnswer>> answers_from_asked(const TaskPipeline& task, const Model& model, const Session& session,
                                                  const std::vector<Asked>& asked) {
  const auto outputs = run_in_batches(session, inputs_from_asked(task, model, asked));
  if (!outputs) return outputs.error();
  std::vector<AnyAnswer> answers;
  std::size_t start = 0;
  for (const Asked& one : asked) {
    const std::size_t rows = task.choices ? 1 : one.encodings.size();
    Outputs own;
    for (const auto& [name, array] : *outputs) {
      const std::size_t width = array.row_size();
      const auto at = [&, &values = array.values](std::size_t i) { return values.begin() + static_cast<std::ptrdiff_t>(i * width); };
      Floats& part = own[name] = {array.shape, {at(start), at(start + rows)}};
      part.shape[0] = rows;
    }
    auto answer = task.answer(model, one, own);
    if (!answer) return answer.error();
    answers.push_back(*std::move(answer));
    start += rows;
  }
  return answers;
}

Request request(const std::string& text, const std::optional<std::string>& pair) {
  return pair ? Request{text, *pair} : Request{text};
}

std::vector<Request> requests(const std::vector<std::string>& texts) {
  std::vector<Request> made;
  for (const std::string& text : texts) made.push_back({text});
  return made;
}

template <class T>
Result<std::vector<T>> all_of(Result<std::vector<AnyAnswer>> answers) {
  if (!answers) return answers.error();
  std::vector<T> found;
  for (AnyAnswer& answer : *answers) found.push_back(std::get<T>(std::move(answer)));
  return found;
}

template <class T>
Result<T> one_of(Result<std::vector<AnyAnswer>> answers) {
  if (!answers) return answers.error();
  return std::get<T>(std::move((*answers)[0]));
}

}  // namespace

Pipeline::Pipeline(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;
Pipeline::~Pipeline() = default;

Result<Pipeline> Pipeline::open(const std::string& bundle, const Config& config) {
  return guarded([&]() -> Result<Pipeline> {
    const std::string folder = plain_path(bundle);
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
    return Pipeline(std::unique_ptr<const Parts>(new Parts{{*std::move(manifest), *std::move(tokenizer), model_config->problem_type},
                                                           task, *std::move(session), plain_path(folder + "/" + GOLDEN)}));
  });
}

const std::string& Pipeline::task() const { return parts_->model.manifest.task; }

Result<std::vector<AnyAnswer>> Pipeline::answer_all(const std::vector<Request>& requests, int top_k) const {
  return guarded([&]() -> Result<std::vector<AnyAnswer>> {
    if (top_k < 1) return input_error("top_k: expected an integer from 1, found " + std::to_string(top_k));
    const auto& [model, task, session, golden] = *parts_;
    std::vector<Asked> asked;
    for (const Request& request : requests) {
      auto one = asked_from_request(*task, model, request, static_cast<std::size_t>(top_k));
      if (!one) return one.error();
      asked.push_back(*std::move(one));
    }
    std::vector<AnyAnswer> answers;
    std::vector<Asked> waiting;
    std::size_t rows = 0;
    std::optional<Error> fault;
    const auto run = [&] {
      auto found = answers_from_asked(*task, model, *session, waiting);
      if (!found) return fault = found.error(), false;
      std::move(found->begin(), found->end(), std::back_inserter(answers));
      waiting.clear(), rows = 0;
      return true;
    };
    for (Asked& one : asked) {
      const bool full = rows >= static_cast<std::size_t>(session->batch().max);
      const bool other_shape = task->choices && !waiting.empty() && waiting[0].encodings.size() != one.encodings.size();
      if ((full || other_shape) && !run()) return *fault;
      rows += task->choices ? 1 : one.encodings.size();
      waiting.push_back(std::move(one));
    }
    if (!waiting.empty() && !run()) return *fault;
    return answers;
  });
}

Result<std::vector<AnyAnswer>> Pipeline::answered(const char* wanted, std::vector<Request> requests, int top_k) const {
  if (task() != wanted) return input_error(std::string("expected a bundle for ") + wanted + "; this one is for " + task());
  return answer_all(requests, top_k);
}

Result<Classification> Pipeline::classify(const std::string& text, const std::optional<std::string>& pair) const {
  return one_of<Classification>(answered("sequence-classification", {request(text, pair)}));
}
Result<TokenLabels> Pipeline::classify_tokens(const std::string& text) const {
  return one_of<TokenLabels>(answered("token-classification", {{text}}));
}
Result<Answers> Pipeline::answer(const std::string& question, const std::string& context, int top_k) const {
  return one_of<Answers>(answered("question-answering", {{question, context}}, top_k));
}
Result<Fillers> Pipeline::fill_mask(const std::string& text, int top_k) const {
  return one_of<Fillers>(answered(MASKED_LM, {{text}}, top_k));
}
Result<Embedding> Pipeline::embed(const std::string& text, const std::optional<std::string>& pair) const {
  return one_of<Embedding>(answered("feature-extraction", {request(text, pair)}));
}
Result<NextSentence> Pipeline::next_sentence(const std::string& text, const std::string& second) const {
  return one_of<NextSentence>(answered("next-sentence-prediction", {{text, second}}));
}
Result<Choice> Pipeline::choose(const std::string& text, const std::vector<std::string>& choices) const {
  return one_of<Choice>(answered(MULTIPLE_CHOICE, {{text, choices}}));
}
Result<Pretraining> Pipeline::pretraining(const std::string& text, const std::string& second, int top_k) const {
  return one_of<Pretraining>(answered("pretraining", {{text, second}}, top_k));
}
Result<std::vector<Classification>> Pipeline::classify_all(const std::vector<std::string>& texts) const {
  return all_of<Classification>(answered("sequence-classification", requests(texts)));
}
Result<std::vector<TokenLabels>> Pipeline::classify_tokens_all(const std::vector<std::string>& texts) const {
  return all_of<TokenLabels>(answered("token-classification", requests(texts)));
}
Result<std::vector<Fillers>> Pipeline::fill_mask_all(const std::vector<std::string>& texts, int top_k) const {
  return all_of<Fillers>(answered(MASKED_LM, requests(texts), top_k));
}
Result<std::vector<Embedding>> Pipeline::embed_all(const std::vector<std::string>& texts) const {
  return all_of<Embedding>(answered("feature-extraction", requests(texts)));
}

Result<std::vector<Check>> Pipeline::self_test() const {
  return guarded([&]() -> Result<std::vector<Check>> {
    const auto golden = golden_from_file(parts_->golden);
    if (!golden) return golden.error();
    const auto outputs = run_in_batches(*parts_->session, golden->inputs);
    if (!outputs) return outputs.error();
    return checks_from_outputs(*outputs, *golden);
  });
}

}  // namespace fnet
