#include "pipeline/tasks.h"

#include <iterator>
#include <stdexcept>
#include <string_view>

namespace fnet {
namespace {

constexpr const TaskFacts& facts_of(std::string_view name) {
  for (const TaskFacts& facts : TASK_FACTS) {
    if (name == facts.name) return facts;
  }
  throw std::logic_error("a task without facts");  // which does not compile
}

constexpr TaskPipeline TASKS[] = {
    {facts_of(FEATURE_EXTRACTION), encode_single_or_pair, embedding},
    {facts_of(PRETRAINING), encode_pair, pretraining_answer},
    {facts_of(MASKED_LM), encode_masked, masked_lm},
    {facts_of(NEXT_SENTENCE_PREDICTION), encode_pair, follows},
    {facts_of(SEQUENCE_CLASSIFICATION), encode_single_or_pair, classification},
    {facts_of(MULTIPLE_CHOICE), encode_choices, choice},
    {facts_of(TOKEN_CLASSIFICATION), encode_token_windows, token_labels},
    {facts_of(QUESTION_ANSWERING), encode_windows, answer_spans},
};
static_assert(std::size(TASKS) == std::size(TASK_FACTS), "every task of the Python runtime is a task of this one");

}  // namespace

const TaskPipeline* task_from_name(const std::string& name) {
  for (const TaskPipeline& task : TASKS) {
    if (name == task.facts.name) return &task;
  }
  return nullptr;
}

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const TaskFacts& facts : TASK_FACTS) names.emplace_back(facts.name);
  return names;
}

}  // namespace fnet
