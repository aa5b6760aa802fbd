// How requests become model inputs.
#include <algorithm>

#include "pipeline/tasks.h"

namespace fnet {
namespace {

Error question_fault(const std::string& taken) {
  return input_error("question-answering: the question takes " + taken + " tokens; too few are left for the context");
}

Result<std::vector<Encoding>> encoded(const Model& model, const std::u32string& text, const std::u32string* second) {
  auto encoding = model.tokenizer.encode(text, second, model.manifest.text_padding());
  if (!encoding) return encoding.error();
  return std::vector<Encoding>{*std::move(encoding)};
}

// Windows of `room` tokens that share `overlap` tokens with the next; the last is shorter, or the only one.
std::vector<std::vector<Token>> windows(const std::vector<Token>& tokens, std::size_t room, std::size_t overlap) {
  const std::size_t size = tokens.size(), step = room > overlap ? room - overlap : 1;
  const auto at = [&](std::size_t i) { return tokens.begin() + static_cast<std::ptrdiff_t>(std::min(i, size)); };
  std::vector<std::vector<Token>> found;
  for (std::size_t start = 0;; start += step) {
    found.emplace_back(at(start), at(start + room));
    if (start + room >= size) return found;
  }
}

}  // namespace

Result<std::vector<Encoding>> encode_single(const Model& model, const Asked& asked) {
  if (!std::holds_alternative<std::monostate>(asked.second)) return input_error(model.manifest.task + ": expected one text, found a pair");
  return encoded(model, asked.text, nullptr);
}

Result<std::vector<Encoding>> encode_single_or_pair(const Model& model, const Asked& asked) {
  if (std::holds_alternative<Texts>(asked.second))
    return input_error(model.manifest.task + ": expected the second text as one text, found a list");
  return encoded(model, asked.text, std::get_if<std::u32string>(&asked.second));
}

// One text; with a stride, a row for each window of a text that does not fit.
Result<std::vector<Encoding>> encode_token_windows(const Model& model, const Asked& asked) {
  if (!asked.options->stride || !std::holds_alternative<std::monostate>(asked.second)) return encode_single(model, asked);
  const Padding padding = model.manifest.text_padding();
  const auto length = static_cast<std::size_t>(padding.length), added = model.tokenizer.added(false);
  const auto room = length > added ? length - added : 0, stride = static_cast<std::size_t>(*asked.options->stride);
  if (stride >= room) {
    return input_error("stride: expected less than the " + std::to_string(room) + " tokens of a window, found " + std::to_string(stride));
  }
  const auto tokens = model.tokenizer.tokens(asked.text);
  if (!tokens) return tokens.error();
  std::vector<Encoding> encodings;
  for (const auto& window : windows(*tokens, room, stride)) {
    auto encoding = model.tokenizer.assembled(window, nullptr, padding);
    if (!encoding) return encoding.error();
    encodings.push_back(*std::move(encoding));
  }
  return encodings;
}

// One text; where the graph predicts a few tokens only, a row for as many masks as it takes at once.
Result<std::vector<Encoding>> encode_masked(const Model& model, const Asked& asked) {
  auto rows = encode_single(model, asked);
  if (!rows) return rows;
  const auto& inputs = model.manifest.inputs;
  const auto positions = std::find_if(inputs.begin(), inputs.end(), [](const TensorInfo& t) { return t.name == POSITIONS; });
  if (positions == inputs.end()) return rows;
  const auto count = static_cast<std::size_t>(std::get<int64_t>(positions->axes.back()));
  const Encoding encoding = rows->front();
  const auto masks = masks_from_encoding(model, encoding);
  rows->clear();
  for (std::size_t start = 0; start < std::max<std::size_t>(1, masks.size()); start += count) {
    rows->push_back(encoding);
    auto& row = rows->back().masked_lm_positions;
    row.assign(count, 0);
    for (std::size_t i = start; i < std::min(start + count, masks.size()); ++i) row[i - start] = static_cast<int64_t>(masks[i]);
  }
  return rows;
}

Result<std::vector<Encoding>> encode_pair(const Model& model, const Asked& asked) {
  if (std::holds_alternative<std::monostate>(asked.second))
    return input_error(model.manifest.task + ": expected a second text; give it as pair (fnet-run: --pair)");
  if (std::holds_alternative<Texts>(asked.second))
    return input_error(model.manifest.task + ": expected the second text (pair) as one text, found a list");
  return encode_single_or_pair(model, asked);
}

Result<std::vector<Encoding>> encode_choices(const Model& model, const Asked& asked) {
  const auto* choices = std::get_if<Texts>(&asked.second);
  if (!choices || choices->empty())
    return input_error("multiple-choice: expected a list of choices, each a text; give it as pair (fnet-run: --pair for each)");
  std::vector<Encoding> encodings;
  for (const auto& choice : *choices) {
    auto encoding = model.tokenizer.encode(asked.text, &choice, model.manifest.text_padding());
    if (!encoding) return encoding.error();
    encodings.push_back(*std::move(encoding));
  }
  return encodings;
}

// Question and context; a context that does not fit is cut into overlapping windows, so that no part of it goes unread.
Result<std::vector<Encoding>> encode_windows(const Model& model, const Asked& asked) {
  const auto* second = std::get_if<std::u32string>(&asked.second);
  if (std::holds_alternative<std::monostate>(asked.second))
    return input_error("question-answering: expected a context; give it as pair (fnet-run: --pair)");
  if (!second) return input_error("question-answering: expected the context (pair) as one text, found a list");
  const Padding padding = model.manifest.text_padding();
  const auto length = static_cast<std::size_t>(padding.length);
  const auto question = model.tokenizer.first_tokens(asked.text, length);
  if (!question) return question.error();
  if (question->size() > length) return question_fault("more than " + std::to_string(length));
  const auto context = model.tokenizer.tokens(*second);
  if (!context) return context.error();
  const std::size_t taken = model.tokenizer.added(true) + question->size(), size = context->size();
  if (length < taken || length - taken < std::min(std::max(length / 4, std::size_t{1}), size))
    return question_fault(std::to_string(question->size()) + " of " + std::to_string(length));
  const std::size_t room = length - taken;
  std::vector<Encoding> encodings;
  const std::size_t overlap = context_overlap(model, *asked.options, room);
  if (overlap >= room && size > room) {
    return input_error("stride: expected less than the " + std::to_string(room) + " tokens that the question leaves to a window, found " +
                       std::to_string(overlap));
  }
  for (const auto& window : windows(*context, room, overlap)) {
    auto encoding = model.tokenizer.assembled(*question, &window, padding);
    if (!encoding) return encoding.error();
    encodings.push_back(*std::move(encoding));
  }
  return encodings;
}

std::size_t context_overlap(const Model& model, const AnswerOptions& options, std::size_t room) {
  if (options.stride) return static_cast<std::size_t>(*options.stride);
  const std::size_t overlap = std::min(WINDOW_OVERLAP, static_cast<std::size_t>(model.manifest.sequence_length) / 2);
  return overlap < room ? overlap : room / 2;
}

std::vector<std::size_t> masks_from_encoding(const Model& model, const Encoding& encoding) {
  std::vector<std::size_t> masks;
  for (std::size_t i = 0; i < encoding.input_ids.size(); ++i) {
    if (encoding.input_ids[i] == model.tokenizer.mask_id() && encoding.segments[i] == 0) masks.push_back(i);
  }
  return masks;
}

}  // namespace fnet
