#include "pipeline/open.h"

#include <algorithm>
#include <iterator>

#include "base/files.h"
#include "base/words.h"
#include "bundle/config.h"
#include "engine/open.h"
#include "json/writer.h"

namespace fnet {
namespace {

// A bundle error unless the manifest's tensors and labels are those of its task.
std::optional<Error> task_fault(const Manifest& manifest, const std::string& folder) {
  const TaskPipeline* task = task_from_name(manifest.task);
  if (!task) return bundle_error(folder + ": expected a task of " + joined(task_names()) + "; found " + quoted(manifest.task));
  std::vector<std::string> outputs, wanted;
  for (const OutputAxes& output : task->outputs()) wanted.push_back(output.name);
  const TensorInfo* logits = nullptr;
  for (const TensorInfo& tensor : manifest.outputs) {
    outputs.push_back(tensor.name);
    if (tensor.name == "logits") logits = &tensor;
  }
  if (!std::is_permutation(outputs.begin(), outputs.end(), wanted.begin(), wanted.end()))
    return bundle_error(folder + ": expected the outputs " + joined(wanted) + " for " + manifest.task + "; found " + joined(outputs));
  std::vector<std::string> names{std::begin(INPUTS), std::end(INPUTS)}, found;
  const TensorInfo* positions = nullptr;
  bool fits = true;
  for (const TensorInfo& tensor : manifest.inputs) {
    if (tensor.name == POSITIONS) {
      positions = &tensor;
      continue;
    }
    if (tensor.name == ATTENTION_MASK && names.back() != ATTENTION_MASK) names.push_back(tensor.name);
    found.push_back(tensor.name);
    fits = fits && !tensor.axes.empty() && tensor.axes.back() == manifest.sequence_axis();
  }
  if (!fits || !std::is_permutation(found.begin(), found.end(), names.begin(), names.end())) {
    const std::string tokens = manifest.padding == MAX_LENGTH ? std::to_string(manifest.sequence_length) : SEQUENCE;
    return bundle_error(folder + ": expected the inputs " + joined(names) + ", each of " + tokens + " tokens; found " +
                        shown(manifest.inputs));
  }
  if (positions && manifest.task != MASKED_LM)
    return bundle_error(folder + ": " + POSITIONS + " is an input of masked-lm; found it in " + manifest.task);
  if (positions && (positions->axes.empty() || !std::holds_alternative<int64_t>(positions->axes.back()) ||
                    std::get<int64_t>(positions->axes.back()) < 1))
    return bundle_error(folder + ": " + POSITIONS + ": expected an axis with the number of positions at the end");
  const Axis none = int64_t{0}, labels = !task->facts.labelled  ? none
                                         : logits->axes.empty() ? Axis(std::string("no"))
                                                                : logits->axes.back();
  if (labels != Axis(static_cast<int64_t>(manifest.labels.size())) || (task->facts.labelled && manifest.labels.empty())) {
    const auto* open = std::get_if<std::string>(&labels);
    return bundle_error(folder + ": expected " + (open ? *open : std::to_string(std::get<int64_t>(labels))) + " labels for " +
                        manifest.task + "; found " + std::to_string(manifest.labels.size()));
  }
  return std::nullopt;
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
  return Bundle{{*std::move(manifest), *std::move(tokenizer), model_config->problem_type, model_config->token_types, model_config->pooling,
                 model_config->normalize, config.max_text_bytes},
                task,
                *std::move(session),
                plain_path(folder + "/" + GOLDEN)};
}

}  // namespace fnet
