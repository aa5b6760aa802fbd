#include "json/writer.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/utf8.h"

namespace fnet {

std::string quoted(const std::string& text) {
  const auto escape = [](unsigned code) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\u%04x", code);
    return std::string(escaped);
  };
  std::string shown = "\"";
  for (std::size_t at = 0, fault = 0; at < text.size(); at = fault) {
    std::size_t stop = 0;
    for (const char32_t c : from_utf8(text.substr(at), &stop)) {
      switch (c) {
        case '"': shown += "\\\""; break;
        case '\\': shown += "\\\\"; break;
        case '\n': shown += "\\n"; break;
        case '\r': shown += "\\r"; break;
        case '\t': shown += "\\t"; break;
        case '\b': shown += "\\b"; break;
        case '\f': shown += "\\f"; break;
        default:
          if (c < 0x20) shown += escape(c);
          else append_utf8(shown, c);
      }
    }
    if (stop == text.npos) break;
    shown += escape(0xDC00U | static_cast<unsigned char>(text[at + stop]));
    fault = at + stop + 1;
  }
  return shown + "\"";
}

std::string decimal(double value) {
  if (!std::isfinite(value)) return "null";
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

}  // namespace fnet
