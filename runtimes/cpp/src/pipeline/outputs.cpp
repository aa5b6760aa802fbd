// How outputs become answers.
#include <algorithm>

#include "base/utf8.h"
#include "pipeline/entities.h"
#include "pipeline/masks.h"
#include "pipeline/options.h"
#include "pipeline/scores.h"
#include "pipeline/spans.h"
#include "pipeline/tasks.h"

namespace fnet {
namespace {

NextSentence follows_from_logits(const Asked& asked, const Floats& logits) {
  const double score = softmax(logits.values.data(), logits.values.size())[0];
  return {score > 0.5, score, asked.truncated()};
}

// The function that makes scores of labels, unless the caller names one, by the rule of fnet_runtime/pipeline/scores.py.
std::string function_of_labels(const std::string& problem_type, std::size_t count) {
  if (problem_type == REGRESSION) return NO_FUNCTION;
  return problem_type == MULTI_LABEL || count == 1 ? SIGMOID : SOFTMAX;
}

std::vector<double> scores_of_labels(const float* logits, std::size_t count, const std::string& function) {
  if (function == SOFTMAX) return softmax(logits, count);
  std::vector<double> scores(logits, logits + count);
  if (function == SIGMOID) std::transform(scores.begin(), scores.end(), scores.begin(), sigmoid);
  return scores;
}

}  // namespace

Result<AnyAnswer> pretraining_answer(const Model& model, const Asked& asked, const Rows& rows) {
  return AnyAnswer(Pretraining{fillers_from_rows(model, asked, rows, "prediction_logits"),
                               follows_from_logits(asked, rows[0].at("seq_relationship_logits")), asked.truncated()});
}

Result<AnyAnswer> follows(const Model&, const Asked& asked, const Rows& rows) {
  return AnyAnswer(follows_from_logits(asked, rows[0].at("logits")));
}

Result<AnyAnswer> classification(const Model& model, const Asked& asked, const Rows& rows) {
  const auto& logits = rows[0].at("logits").values;
  const AnswerOptions& options = *asked.options;
  const std::string& function = options.function_to_apply;
  const auto scores =
      scores_of_labels(logits.data(), logits.size(), function.empty() ? function_of_labels(model.problem_type, logits.size()) : function);
  const auto order = ranked(scores, scores.size());
  Classification found{model.manifest.labels[order[0]], scores[order[0]], {}, asked.truncated()};
  const std::size_t count = options.top_k ? count_from_options(options) : order.size();
  for (std::size_t i = 0; i < order.size() && found.scores.size() < count; ++i) {
    if (!options.threshold || scores[order[i]] > *options.threshold)
      found.scores.push_back({model.manifest.labels[order[i]], scores[order[i]]});
  }
  return AnyAnswer(std::move(found));
}

Result<AnyAnswer> choice(const Model&, const Asked& asked, const Rows& rows) {
  std::vector<float> logits;
  for (const Outputs& of_choice : rows) logits.push_back(of_choice.at("logits").values[0]);
  auto scores = softmax(logits.data(), logits.size());
  const std::size_t best = greatest(scores);
  const double score = scores[best];
  return AnyAnswer(Choice{best, to_utf8(std::get<Texts>(asked.second)[best]), score, std::move(scores), asked.truncated()});
}

// Labels of all tokens, or the entities. Where windows overlap, the higher score counts.
Result<AnyAnswer> token_labels(const Model& model, const Asked& asked, const Rows& rows) {
  const AnswerOptions& options = *asked.options;
  if (options.aggregation_strategy != NO_AGGREGATION) {
    std::vector<Labelled> found;
    for (std::size_t window = 0; window < rows.size(); ++window) {
      for (Labelled& entity : entities_from_logits(model, asked, asked.encodings[window], rows[window].at("logits").values))
        found.push_back(std::move(entity));
    }
    if (rows.size() > 1) found = without_overlaps(std::move(found));
    Entities entities{{}, asked.truncated()};
    for (Labelled& entity : found) {
      const Span span = trimmed(asked.text, entity.span);
      entities.entities.push_back({std::move(entity.label), entity.score, part_of(asked.text, span), span.begin, span.end});
    }
    return AnyAnswer(std::move(entities));
  }
  const std::size_t count = model.manifest.labels.size();
  TokenLabels labels{{}, asked.truncated()};
  std::size_t first = 0;  // the number of the first token of a window
  for (std::size_t window = 0; window < rows.size(); ++window) {
    const Encoding& encoding = asked.encodings[window];
    std::size_t number = first;
    for (std::size_t i = 0; i < encoding.spans.size(); ++i) {
      if (encoding.segments[i] != 0) continue;
      const auto scores = softmax(rows[window].at("logits").values.data() + i * count, count);
      const std::size_t best = greatest(scores);
      const Span span = trimmed(asked.text, encoding.spans[i]);
      TokenLabel label{model.manifest.labels[best], scores[best], part_of(asked.text, span), span.begin, span.end};
      if (number == labels.tokens.size()) labels.tokens.push_back(std::move(label));
      else if (label.score > labels.tokens[number].score) labels.tokens[number] = std::move(label);
      ++number;
    }
    first = number - static_cast<std::size_t>(options.stride.value_or(0));
  }
  return AnyAnswer(std::move(labels));
}

}  // namespace fnet
