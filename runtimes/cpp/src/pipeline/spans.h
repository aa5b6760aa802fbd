// Spans of texts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/encoding.h"
#include "tokenizer/tokenizer.h"

namespace fnet {

// The characters of a span; UTF-8.
std::string part_of(const std::u32string& text, Span span);
// A span without the white space at its ends: a word's piece covers the space before it.
Span trimmed(const std::u32string& text, Span span);
// The characters of a span in lower case, as Python's str.lower() has them.
std::u32string lowered(const std::u32string& text, Span span);

// The word of a token: its first and its last token.
struct Word {
  std::size_t first, last;
};
// The words of tokens, by their places in `ids`. A piece with a space before it begins a word, as in transformers' fast tokenizer. A
// special token is a word of its own.
std::vector<Word> words_from_ids(const Tokenizer& tokenizer, const std::vector<int64_t>& ids);

}  // namespace fnet
