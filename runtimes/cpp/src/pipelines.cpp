#include "pipelines.h"

namespace fnet {
namespace {

const std::vector<TaskPipeline>& tasks() {
  static const std::vector<TaskPipeline> all{
      {"feature-extraction", encode_single_or_pair, embedding, {"last_hidden_state", "pooler_output"}},
      {"pretraining", encode_pair, pretraining_answer, {"prediction_logits", "seq_relationship_logits"}},
      {MASKED_LM, encode_masked, masked_lm},
      {"next-sentence-prediction", encode_pair, follows},
      {"sequence-classification", encode_single_or_pair, classification, {"logits"}, true},
      {MULTIPLE_CHOICE, encode_choices, choice, {"logits"}, false, true},
      {"token-classification", encode_single, token_labels, {"logits"}, true},
      {"question-answering", encode_windows, answer_spans, {"start_logits", "end_logits"}},
  };
  return all;
}

}  // namespace

const TaskPipeline* task_from_name(const std::string& name) {
  for (const TaskPipeline& task : tasks()) {
    if (name == task.name) return &task;
  }
  return nullptr;
}

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const TaskPipeline& task : tasks()) names.push_back(task.name);
  return names;
}

}  // namespace fnet
