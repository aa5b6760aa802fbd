// Python's str and float, as far as the Python runtime's answers depend on them: character classes of Unicode 14, repr.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace fnet::python {

bool is_space(char32_t c);
bool is_digit(char32_t c);
bool is_printable(char32_t c);
// str.lower() of one character: one, or two for U+0130. (A final sigma: see `lower`.)
std::u32string lower(char32_t c);
// Whether the character at `index`, a capital sigma, lowers to U+03C2 in this text.
bool is_final_sigma(const std::u32string& text, std::size_t index);
// NFKD of one character, without characters of a combining class other than 0.
std::u32string without_accents(char32_t c);

// Decodes UTF-8; bytes that are not UTF-8 are what surrogateescape makes of them.
std::u32string from_bytes(const std::string& utf8);
// repr() of a str, its bytes decoded so, and of a float.
std::string repr(const std::u32string& text);
std::string repr(const std::string& utf8);
std::string repr(double value);

struct Utf8Fault {
  std::size_t byte, character;  // where the first sequence that is not UTF-8 starts
};
// Decodes UTF-8 as strictly as Python does: no surrogates, no overlong forms, nothing above U+10FFFF.
std::u32string from_utf8(const std::string& bytes, Utf8Fault* fault);
std::string to_utf8(const std::u32string& text);
void append_utf8(std::string& bytes, char32_t c);

struct Utf8 {
  std::string bytes;
  std::vector<std::size_t> characters;  // which character each byte is of, and after the last the number of them
};
Utf8 utf8_by_character(const std::u32string& text);

}  // namespace fnet::python
