#include "pipeline/masks.h"

#include <algorithm>
#include <set>

#include "base/utf8.h"
#include "json/writer.h"
#include "pipeline/options.h"
#include "pipeline/scores.h"
#include "pipeline/spans.h"
#include "tokenizer/python_characters.h"

namespace fnet {
namespace {

// The text with a piece in place of a span.
std::string filled(const std::u32string& text, Span span, const std::string& piece) {
  std::u32string word = from_utf8(piece);
  const bool spaced = !word.empty() && word[0] == U'▁' && span.begin > 0 && !python::is_space(text[span.begin - 1]);
  std::replace(word.begin(), word.end(), U'▁', U' ');
  const Span kept = trimmed(word, {0, word.size()});
  return to_utf8(text.substr(0, span.begin)) + (spaced ? " " : "") + part_of(word, kept) + to_utf8(text.substr(span.end));
}

}  // namespace

Result<AnyAnswer> masked_lm(const Model& model, const Asked& asked, const Rows& rows) {
  auto found = fillers_from_rows(model, asked, rows, "logits");
  if (!found.empty()) return AnyAnswer(Fillers{std::move(found), asked.truncated()});
  return input_error(std::string("masked-lm: expected a ") + MASK + " in the first " + std::to_string(model.manifest.sequence_length) +
                     " tokens of the text; found none");
}

std::vector<std::vector<Filler>> fillers_from_rows(const Model& model, const Asked& asked, const Rows& rows, const char* output) {
  const Encoding& encoding = asked.encodings[0];
  const auto& shape = rows[0].at(output).shape;
  const std::size_t count = shape[1], width = shape[2], vocabulary = static_cast<std::size_t>(model.tokenizer.vocab_size());
  std::vector<std::vector<Filler>> found;
  const auto masks = masks_from_encoding(model, encoding);
  const std::vector<std::size_t> targets = *ids_of_targets(model.tokenizer, asked.options->targets);  // checked with the options
  for (std::size_t i = 0; i < masks.size(); ++i) {
    const std::size_t place = encoding.masked_lm_positions.empty() ? masks[i] : i;
    const Floats& logits = rows[place / count].at(output);
    const auto scores = softmax(logits.values.data() + place % count * width, std::min(width, vocabulary));
    const Span span = trimmed(asked.text, encoding.spans[masks[i]]);  // a [MASK] may cover the space before it
    auto& of_mask = found.emplace_back();
    std::vector<double> of_targets;
    for (const std::size_t target : targets) of_targets.push_back(scores[target]);
    for (const std::size_t place_in_list : ranked(targets.empty() ? scores : of_targets, count_from_options(*asked.options))) {
      const std::size_t token = targets.empty() ? place_in_list : targets[place_in_list];
      const auto id = static_cast<int32_t>(token);
      const std::string piece = model.tokenizer.piece(id);
      of_mask.push_back({piece, id, scores[token], filled(asked.text, span, piece)});
    }
  }
  return found;
}

Result<std::vector<std::size_t>> ids_of_targets(const Tokenizer& tokenizer, const std::vector<std::string>& targets) {
  std::set<std::size_t> ids;
  for (const std::string& target : targets) {
    if (const auto id = tokenizer.token_id(target)) {
      ids.insert(static_cast<std::size_t>(*id));
      continue;
    }
    const auto text = text_from_utf8(target);
    if (!text) return text.error();
    const auto tokens = tokenizer.tokens(*text);
    if (!tokens) return tokens.error();
    if (tokens->size() != 1) {
      return input_error("targets: expected words of one token, found " + quoted(target) + " of " + std::to_string(tokens->size()) +
                         " tokens");
    }
    ids.insert(static_cast<std::size_t>(tokens->front().id));
  }
  return std::vector<std::size_t>(ids.begin(), ids.end());
}

}  // namespace fnet
