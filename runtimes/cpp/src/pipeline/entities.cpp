#include "pipeline/entities.h"

#include <algorithm>
#include <utility>

#include "pipeline/scores.h"

namespace fnet {
namespace {

// A token with the scores of its labels.
struct Piece {
  std::vector<double> scores;
  Span span;
};

// Only a space ends a word, and an unknown token begins a word.
bool continues_word(const Model& model, const std::u32string& text, std::size_t start, int64_t token) {
  if (start == 0 || token == model.tokenizer.unk_id()) return false;
  return text[start - 1] != U' ' && (start >= text.size() || text[start] != U' ');
}

std::vector<std::vector<Piece>> words_from_logits(const Model& model, const Asked& asked, const Encoding& encoding,
                                                  const std::vector<float>& logits) {
  const std::size_t count = model.manifest.labels.size();
  const bool every_token = asked.options->aggregation_strategy == SIMPLE;
  std::vector<std::vector<Piece>> words;
  for (std::size_t i = 0; i < encoding.spans.size(); ++i) {
    if (encoding.segments[i] != 0) continue;
    const Span span = encoding.spans[i];
    const bool continues = !every_token && continues_word(model, asked.text, span.begin, encoding.input_ids[i]);
    if (words.empty() || !continues) words.emplace_back();
    words.back().push_back({softmax(logits.data() + i * count, count), span});
  }
  return words;
}

// The label of the first token of a word, of the mean scores, or of the token with the highest score.
Labelled labelled(const std::vector<Piece>& word, const AnswerOptions& options, const std::vector<std::string>& labels) {
  std::vector<double> scores = word[0].scores;
  for (std::size_t i = 1; i < word.size(); ++i) {
    const auto& next = word[i].scores;
    if (options.aggregation_strategy == AVERAGE) {
      for (std::size_t k = 0; k < scores.size(); ++k) scores[k] += next[k];
    } else if (options.aggregation_strategy == MAX) {
      if (next[greatest(next)] > scores[greatest(scores)]) scores = next;
    }
  }
  if (options.aggregation_strategy == AVERAGE) {
    for (double& score : scores) score /= static_cast<double>(word.size());
  }
  const std::size_t best = greatest(scores);
  return {labels[best], scores[best], {word.front().span.begin, word.back().span.end}};
}

bool begins(const std::string& label) { return label.compare(0, 2, "B-") == 0; }

std::string tag_of(const std::string& label) { return begins(label) || label.compare(0, 2, "I-") == 0 ? label.substr(2) : label; }

// One entity with the mean score; its label is what follows the first dash of the first word's label.
Labelled joined_group(const std::vector<Labelled>& group) {
  std::vector<double> scores;
  for (const Labelled& word : group) scores.push_back(word.score);
  const std::string& label = group.front().label;
  const auto dash = label.find('-');
  return {dash == label.npos ? label : label.substr(dash + 1),
          pairwise_sum(scores.data(), scores.size()) / static_cast<double>(scores.size()),
          {group.front().span.begin, group.back().span.end}};
}

}  // namespace

std::vector<Labelled> entities_from_logits(const Model& model, const Asked& asked, const Encoding& encoding,
                                           const std::vector<float>& logits) {
  std::vector<std::vector<Labelled>> groups;
  for (const auto& word : words_from_logits(model, asked, encoding, logits)) {
    Labelled next = labelled(word, *asked.options, model.manifest.labels);
    if (groups.empty() || begins(next.label) || tag_of(next.label) != tag_of(groups.back().back().label)) groups.emplace_back();
    groups.back().push_back(std::move(next));
  }
  std::vector<Labelled> entities;
  for (const auto& group : groups) {
    Labelled entity = joined_group(group);
    if (entity.label != OUTSIDE) entities.push_back(std::move(entity));
  }
  return entities;
}

std::vector<Labelled> without_overlaps(std::vector<Labelled> entities) {
  const auto before = [](const Labelled& a, const Labelled& b) { return a.span.begin < b.span.begin; };
  std::stable_sort(entities.begin(), entities.end(), before);
  const auto rank = [](const Labelled& entity) { return std::make_pair(entity.span.end - entity.span.begin, entity.score); };
  std::vector<Labelled> kept;
  for (Labelled& entity : entities) {
    const bool overlaps = !kept.empty() && kept.back().span.begin <= entity.span.begin && entity.span.begin < kept.back().span.end;
    if (!overlaps) kept.push_back(std::move(entity));
    else if (rank(entity) > rank(kept.back())) kept.back() = std::move(entity);
  }
  return kept;
}

}  // namespace fnet
