// Spans of texts.
#pragma once

#include <string>

#include "tokenizer/encoding.h"

namespace fnet {

// The characters of a span; UTF-8.
std::string part_of(const std::u32string& text, Span span);
// A span without the white space at its ends: a word's piece covers the space before it.
Span trimmed(const std::u32string& text, Span span);

}  // namespace fnet
