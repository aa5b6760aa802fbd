#include "tokenizer/encoding.h"

#include <algorithm>
#include <iterator>

#include "base/words.h"
#include "json/writer.h"

namespace fnet {

std::optional<Error> Padding::fault() const {
  if (std::find(std::begin(PADDINGS), std::end(PADDINGS), contract) == std::end(PADDINGS))
    return input_error("padding: expected " + joined(PADDINGS, " or ") + ", found " + quoted(contract));
  const auto refused = [this](const std::string& expected) {
    return input_error("pad_to_multiple_of: expected " + expected + "; found " + std::to_string(multiple_of));
  };
  if (contract == MAX_LENGTH && multiple_of != 1) return refused("1, because every text is padded to one length");
  if (multiple_of < 1) return refused("an integer from 1");
  if (length % multiple_of) return refused("a number that divides the sequence length " + std::to_string(length));
  return std::nullopt;
}

std::size_t Padding::padded(std::size_t tokens) const {
  if (contract == MAX_LENGTH) return static_cast<std::size_t>(length);
  const auto multiple = static_cast<std::size_t>(multiple_of);
  return (tokens + multiple - 1) / multiple * multiple;
}

Result<Encoding> encoding_from_tokens(const std::vector<Token>& first, const std::vector<Token>* second, const Frame& frame,
                                      const Padding& padding) {
  const auto length = static_cast<std::size_t>(padding.length);
  const std::size_t added = frame.added(second != nullptr);
  if (length < 1 || length < added) {
    return input_error("sequence length " + std::to_string(length) + " is too short: [CLS] and [SEP] alone take " + std::to_string(added) +
                       " tokens");
  }
  const std::size_t whole_second = second ? second->size() : 0;
  const auto [kept_first, kept_second] = frame.cut_at_end
                                             ? std::make_pair(std::min(first.size(), length), std::min(whole_second, length))
                                             : truncated_lengths(first.size(), whole_second, length - added, frame.odd_to_longer);
  Encoding encoding;
  const auto put = [&](int64_t id, int64_t type, Span span, int segment) {
    encoding.input_ids.push_back(id);
    encoding.token_type_ids.push_back(type);
    encoding.spans.push_back(span);
    encoding.segments.push_back(segment);
  };
  const auto put_text = [&](const std::vector<Token>& tokens, std::size_t kept, int segment) {
    for (std::size_t i = 0; i < kept; ++i) put(tokens[i].id, segment, {tokens[i].begin, tokens[i].end}, segment);
    if (frame.sep) put(*frame.sep, segment, {}, -1);
  };
  if (frame.cls) put(*frame.cls, 0, {}, -1);
  put_text(first, kept_first, 0);
  if (second) put_text(*second, kept_second, 1);
  if (encoding.input_ids.size() > length) {
    encoding.input_ids.resize(length), encoding.token_type_ids.resize(length);
    encoding.spans.resize(length), encoding.segments.resize(length);
  }
  if (encoding.input_ids.empty() && padding.contract == NONE)
    return input_error("expected a text with at least one token, found none; this bundle does not pad texts");
  const auto of_a_text = [](int segment) { return segment != -1; };
  const auto kept = std::count_if(encoding.segments.begin(), encoding.segments.end(), of_a_text);
  encoding.truncated = static_cast<std::size_t>(kept) < first.size() + whole_second;
  const std::size_t padded = padding.padded(encoding.input_ids.size());
  encoding.attention_mask.assign(encoding.input_ids.size(), 1);
  encoding.attention_mask.resize(padded, 0);
  while (encoding.input_ids.size() < padded) put(frame.pad, 0, {}, -1);
  return encoding;
}

std::pair<std::size_t, std::size_t> truncated_lengths(std::size_t first, std::size_t second, std::size_t room, bool odd_to_longer) {
  if (first + second <= room) return {first, second};
  if (2 * std::min(first, second) <= room)
    return first > second ? std::make_pair(room - second, second) : std::make_pair(first, room - first);
  const std::size_t half = room / 2, more = room - half;
  return first > second || !odd_to_longer ? std::make_pair(more, half) : std::make_pair(half, more);
}

}  // namespace fnet
