// UTF-8 and code points.
#pragma once

#include <string>
#include <vector>

namespace fnet {

// Decodes UTF-8 strictly: no surrogates, no overlong forms, nothing above U+10FFFF. Stops at the first byte that is not UTF-8 and puts
// its place into `fault`, which is npos for a text that is UTF-8.
std::u32string from_utf8(const std::string& bytes, std::size_t* fault = nullptr);
bool is_utf8(const std::string& bytes);
std::string to_utf8(const std::u32string& text);
void append_utf8(std::string& bytes, char32_t c);

struct Utf8 {
  std::string bytes;
  std::vector<std::size_t> characters;  // which character each byte belongs to, and after the last byte their number
};
Utf8 utf8_by_character(const std::u32string& text);

}  // namespace fnet
