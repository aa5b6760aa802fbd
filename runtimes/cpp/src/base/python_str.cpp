#include "base/python_str.h"

#include <charconv>
#include <cmath>

#include "tokenizer/unicode_tables.h"

namespace fnet::python {
namespace {

using namespace python_tables;

std::string hex(char32_t c, int digits) {
  std::string text(digits, '0');
  for (auto place = text.rbegin(); place != text.rend(); ++place, c >>= 4) *place = "0123456789abcdef"[c & 15];
  return text;
}

}  // namespace

bool is_space(char32_t c) { return range_of(SPACES, c); }
bool is_digit(char32_t c) { return range_of(DIGITS, c); }
bool is_printable(char32_t c) { return range_of(PRINTABLE, c); }

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

std::string repr(const std::u32string& text) {
  const bool single = text.find(U'\'') != text.npos, twice = text.find(U'"') != text.npos;
  const char32_t quote = single && !twice ? U'"' : U'\'';
  std::string shown{static_cast<char>(quote)};
  for (const char32_t c : text) {
    if (c == quote || c == U'\\') shown += '\\', shown += static_cast<char>(c);
    else if (c == U'\n') shown += "\\n";
    else if (c == U'\r') shown += "\\r";
    else if (c == U'\t') shown += "\\t";
    else if (is_printable(c)) append_utf8(shown, c);
    else if (c < 0x100) shown += "\\x" + hex(c, 2);
    else if (c < 0x10000) shown += "\\u" + hex(c, 4);
    else shown += "\\U" + hex(c, 8);
  }
  return shown += static_cast<char>(quote);
}

std::u32string from_bytes(const std::string& utf8) {
  constexpr char32_t ESCAPED = 0xDC00;
  std::u32string text;
  for (std::size_t at = 0; at < utf8.size();) {
    Utf8Fault fault{};
    text += from_utf8(utf8.substr(at), &fault);
    if (fault.byte == utf8.npos) break;
    at += fault.byte + 1;
    text += ESCAPED | static_cast<unsigned char>(utf8[at - 1]);
  }
  return text;
}

std::string repr(const std::string& utf8) { return repr(from_bytes(utf8)); }

std::string repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string text(buffer, end), sign;
  if (text[0] == '-') sign = "-", text.erase(0, 1);
  const auto e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  if (exponent < -4 || exponent >= 16) return sign + text;
  std::string digits = text.substr(0, 1) + (e > 2 ? text.substr(2, e - 2) : "");
  if (exponent < 0) return sign + "0." + std::string(-exponent - 1, '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() < whole) digits.append(whole - digits.size(), '0');
  const std::string fraction = digits.substr(whole);
  return sign + digits.substr(0, whole) + "." + (fraction.empty() ? "0" : fraction);
}

std::u32string from_utf8(const std::string& bytes, Utf8Fault* fault) {
  std::u32string text;
  text.reserve(bytes.size());
  *fault = {bytes.npos, bytes.npos};
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
      *fault = {i, text.size()};
      return text;
    }
    text += c;
    i += more + 1;
  }
  return text;
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

}  // namespace fnet::python
