// Model inputs from tokens: special tokens added, texts truncated, padded, every position with its span.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/facts.h"
#include "tokenizer/backend.h"

namespace fnet {

struct Span {
  std::size_t begin = 0, end = 0;  // code points, half-open
};

// How texts are cut and padded. No text has more than `length` tokens. With MAX_LENGTH, every text is padded to `length`. With NONE, a text
// is padded to the next multiple of `multiple_of` tokens, which changes nothing where that is 1.
struct Padding {
  int64_t length;
  std::string contract = MAX_LENGTH;
  int64_t multiple_of = 1;

  // What is wrong with the values: an unknown contract, or a multiple that does not fit the length.
  std::optional<Error> fault() const;
  // The length that a text of so many tokens, at most `length`, is padded to.
  std::size_t padded(std::size_t tokens) const;
};

// One model input, padded as its Padding says. Every vector has a value per position. `segments` names the text that a span is of: 0 the
// first, 1 the second, -1 none (special tokens that were added, and padding, whose span is (0, 0)).
struct Encoding {
  std::vector<int64_t> input_ids, token_type_ids, attention_mask;
  std::vector<Span> spans;
  std::vector<int> segments;
  std::vector<int64_t> masked_lm_positions;  // the tokens to predict, filled up with 0; empty where the graph predicts all
  bool truncated = false;                    // tokens of either text did not fit and were cut
};

// What a tokenizer puts around texts: ids of padding and, where it adds them, of [CLS] and [SEP]. encoding.py says how the
// two others truncate.
struct Frame {
  int32_t pad;
  std::optional<int32_t> cls, sep;
  bool odd_to_longer, cut_at_end;

  std::size_t added(bool pair) const { return (cls ? 1 : 0) + (sep ? (pair ? 2 : 1) : 0); }
};

// An input error when the longest length is too short for the special tokens, and for texts without tokens that are not padded.
Result<Encoding> encoding_from_tokens(const std::vector<Token>& first, const std::vector<Token>* second, const Frame& frame,
                                      const Padding& padding);

// How many tokens of each text are kept when both must fit in `room`: the longer is cut down to the shorter, then both.
std::pair<std::size_t, std::size_t> truncated_lengths(std::size_t first, std::size_t second, std::size_t room, bool odd_to_longer);

}  // namespace fnet
