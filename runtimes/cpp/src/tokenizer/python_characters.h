// Classes of characters as Python's str has them in Unicode 14: the tokenizer of transformers 4 and the spans of answers use them.
#pragma once

#include <string>

namespace fnet::python {

bool is_space(char32_t c);
bool is_digit(char32_t c);
// str.lower() of one character: one, or two for U+0130. (A final sigma: see `is_final_sigma`.)
std::u32string lower(char32_t c);
// Whether the character at `index`, a capital sigma, lowers to U+03C2 in this text.
bool is_final_sigma(const std::u32string& text, std::size_t index);
// NFKD of one character, without characters of a combining class other than 0.
std::u32string without_accents(char32_t c);

}  // namespace fnet::python
