#include "pipeline/options.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include "base/words.h"
#include "json/writer.h"
#include "pipeline/masks.h"

namespace fnet {
namespace {

// The names of the options that only some tasks take and that a caller has given.
std::vector<std::string> given(const AnswerOptions& options) {
  std::vector<std::string> names;
  const auto add = [&](const char* name, bool is_given) {
    if (is_given) names.emplace_back(name);
  };
  add("function_to_apply", !options.function_to_apply.empty());
  add("aggregation_strategy", options.aggregation_strategy != NO_AGGREGATION);
  add("stride", options.stride.has_value());
  add("targets", !options.targets.empty());
  add("threshold", options.threshold.has_value());
  add("max_answer_len", options.max_answer_len.has_value());
  add("handle_impossible_answer", options.handle_impossible_answer);
  add("null_threshold", options.null_threshold.has_value());
  add("align_to_words", !options.align_to_words);
  add("pooling", !options.pooling.empty());
  add("normalize", options.normalize.has_value());
  return names;
}

bool takes(const TaskFacts& task, const std::string& name) {
  return std::any_of(std::begin(task.options), std::end(task.options), [&](const char* one) { return one && name == one; });
}

template <std::size_t N>
std::optional<Error> word_fault(const char* name, const std::string& value, const char* const (&allowed)[N]) {
  if (std::find(std::begin(allowed), std::end(allowed), value) != std::end(allowed)) return std::nullopt;
  const std::vector<std::string> words(std::begin(allowed), std::end(allowed));
  return input_error(std::string(name) + ": expected one of " + joined(words) + "; found " + quoted(value));
}

}  // namespace

std::optional<Error> options_fault(const AnswerOptions& options, const TaskFacts& task, const Tokenizer& tokenizer) {
  if (options.top_k && *options.top_k < 1) return input_error("top_k: expected an integer from 1, found " + std::to_string(*options.top_k));
  if (auto fault = word_fault("truncation", options.truncation, TRUNCATIONS)) return fault;
  if (auto fault = word_fault("aggregation_strategy", options.aggregation_strategy, AGGREGATION_STRATEGIES)) return fault;
  if (!options.function_to_apply.empty()) {
    if (auto fault = word_fault("function_to_apply", options.function_to_apply, FUNCTIONS_TO_APPLY)) return fault;
  }
  if (!options.pooling.empty()) {
    if (auto fault = word_fault("pooling", options.pooling, POOLINGS)) return fault;
  }
  if (options.threshold && !std::isfinite(*options.threshold)) return input_error("threshold: expected a finite number, found another");
  if (options.stride && *options.stride < 0)
    return input_error("stride: expected an integer from 0, found " + std::to_string(*options.stride));
  if (options.max_answer_len && *options.max_answer_len < 1)
    return input_error("max_answer_len: expected an integer from 1, found " + std::to_string(*options.max_answer_len));
  if (options.null_threshold && !std::isfinite(*options.null_threshold))
    return input_error("null_threshold: expected a finite number, found another");
  for (const std::string& name : given(options)) {
    if (takes(task, name)) continue;
    std::vector<std::string> owners;
    for (const TaskFacts& owner : TASK_FACTS) {
      if (takes(owner, name)) owners.emplace_back(owner.name);
    }
    return input_error(name + ": expected a bundle of " + joined(owners) + ", found " + task.name);
  }
  if (with_empty_answer(options) && tokenizer.added(false) == 0) {
    return input_error(std::string("handle_impossible_answer, null_threshold: expected a tokenizer that adds ") + CLS +
                       ", whose score is that of an empty answer; found another");
  }
  const auto targets = ids_of_targets(tokenizer, options.targets);
  return targets ? std::nullopt : std::make_optional(targets.error());
}

bool with_empty_answer(const AnswerOptions& options) { return options.handle_impossible_answer || options.null_threshold; }

std::size_t count_from_options(const AnswerOptions& options) { return static_cast<std::size_t>(options.top_k.value_or(DEFAULT_TOP_K)); }

}  // namespace fnet
