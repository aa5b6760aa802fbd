#include "pipeline/tasks.h"

namespace fnet {
namespace {

const std::vector<TaskPipeline>& tasks() {
  static const std::vector<TaskPipeline> all{
      {"feature-extraction", encode_single_or_pair, embedding, {{"last_hidden_state", "bsn"}, {"pooler_output", "bn"}}},
      {"pretraining", encode_pair, pretraining_answer, {{"prediction_logits", "bsn"}, {"seq_relationship_logits", "bn"}}},
      {MASKED_LM, encode_masked, masked_lm, {{"logits", "bpn"}}},
      {"next-sentence-prediction", encode_pair, follows, {{"logits", "bn"}}},
      {"sequence-classification", encode_single_or_pair, classification, {{"logits", "bl"}}, true},
      {MULTIPLE_CHOICE, encode_choices, choice, {{"logits", "bc"}}, false, true},
      {"token-classification", encode_single, token_labels, {{"logits", "bsl"}}, true},
      {"question-answering", encode_windows, answer_spans, {{"start_logits", "bs"}, {"end_logits", "bs"}}},
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
