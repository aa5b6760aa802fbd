#include "base/utf8.h"

namespace fnet {

std::u32string from_utf8(const std::string& bytes, std::size_t* fault) {
  std::u32string text;
  text.reserve(bytes.size());
  if (fault) *fault = bytes.npos;
  for (std::size_t i = 0; i < bytes.size();) {
    const auto lead = static_cast<unsigned char>(bytes[i]);
    const int more = lead < 0x80 ? 0 : lead < 0xC2 ? -1 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : lead < 0xF5 ? 3 : -1;
    char32_t c = more <= 0 ? lead : lead & (0x3F >> more);
    bool valid = more >= 0 && i + more < bytes.size();
    for (int k = 1; valid && k <= more; ++k) {
      const auto next = static_cast<unsigned char>(bytes[i + k]);
      valid = (next & 0xC0) == 0x80;
      c = c << 6 | (next & 0x3F);
    }
    valid = valid && !(more == 2 && c < 0x800) && !(more == 3 && (c < 0x10000 || c > 0x10FFFF)) && !(c >= 0xD800 && c < 0xE000);
    if (!valid) {
      if (fault) *fault = i;
      return text;
    }
    text += c;
    i += more + 1;
  }
  return text;
}

bool is_utf8(const std::string& bytes) {
  std::size_t fault = 0;
  from_utf8(bytes, &fault);
  return fault == bytes.npos;
}

void append_utf8(std::string& bytes, char32_t c) {
  const auto tail = [&](int shift) { bytes += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    bytes += static_cast<char>(c);
  } else if (c < 0x800) {
    bytes += static_cast<char>(0xC0 | c >> 6), tail(0);
  } else if (c < 0x10000) {
    bytes += static_cast<char>(0xE0 | c >> 12), tail(6), tail(0);
  } else {
    bytes += static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0);
  }
}

std::string to_utf8(const std::u32string& text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (const char32_t c : text) append_utf8(bytes, c);
  return bytes;
}

Utf8 utf8_by_character(const std::u32string& text) {
  Utf8 utf8;
  for (std::size_t i = 0; i < text.size(); ++i) {
    append_utf8(utf8.bytes, text[i]);
    utf8.characters.resize(utf8.bytes.size(), i);
  }
  utf8.characters.push_back(text.size());
  return utf8;
}

}  // namespace fnet
