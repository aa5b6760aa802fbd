// Unicode as the `tokenizers` library has it, which mixes the tables of several versions. Python's is in python_characters.h.
#pragma once

#include <cstddef>
#include <string>

namespace fnet {

inline constexpr char32_t UNDERLINE = U'\u2581';  // stands for a space in the pieces of a vocabulary

}  // namespace fnet

namespace fnet::unicode {

bool is_space(char32_t c);  // \s of its regular expressions
bool is_word(char32_t c);   // \w
bool is_mark(char32_t c);   // what StripAccents takes away
unsigned combining_class(char32_t c);
// Lower case of one character by itself: one, or two for U+0130.
void append_lower(std::u32string& text, char32_t c);
// NFKD of one character by itself.
void append_nfkd(std::u32string& text, char32_t c);
// Where the extended grapheme cluster ends that begins at `begin` (UAX 29).
std::size_t cluster_end(const std::u32string& text, std::size_t begin);

}  // namespace fnet::unicode
