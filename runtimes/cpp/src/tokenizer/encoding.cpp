#include "tokenizer/encoding.h"

#include <algorithm>
#include <string>

namespace fnet {

Result<Encoding> encoding_from_tokens(const std::vector<Token>& first, const std::vector<Token>* second, const Frame& frame,
                                      std::size_t length) {
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
  const auto of_a_text = [](int segment) { return segment != -1; };
  const auto kept = std::count_if(encoding.segments.begin(), encoding.segments.end(), of_a_text);
  encoding.truncated = static_cast<std::size_t>(kept) < first.size() + whole_second;
  encoding.attention_mask.assign(encoding.input_ids.size(), 1);
  encoding.attention_mask.resize(length, 0);
  while (encoding.input_ids.size() < length) put(frame.pad, 0, {}, -1);
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
