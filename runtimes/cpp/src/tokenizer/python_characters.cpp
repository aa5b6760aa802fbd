#include "tokenizer/python_characters.h"

#include "tokenizer/unicode_tables.h"

namespace fnet::python {

using namespace python_tables;

bool is_space(char32_t c) { return range_of(SPACES, c); }
bool is_digit(char32_t c) { return range_of(DIGITS, c); }

std::u32string lower(char32_t c) {
  std::u32string lowered;
  LOWER.append(lowered, c);
  return lowered;
}

bool is_final_sigma(const std::u32string& text, std::size_t index) {
  std::size_t before = index;
  while (before > 0 && range_of(SKIPPED, text[before - 1])) --before;
  if (before == 0 || !range_of(CASED, text[before - 1])) return false;
  std::size_t after = index + 1;
  while (after < text.size() && range_of(SKIPPED, text[after])) ++after;
  return after == text.size() || !range_of(CASED, text[after]);
}

std::u32string without_accents(char32_t c) {
  std::u32string bare;
  if (c < 0x80) bare += c;
  else if (!append_jamo(bare, c)) BARE.append(bare, c);
  return bare;
}

}  // namespace fnet::python
