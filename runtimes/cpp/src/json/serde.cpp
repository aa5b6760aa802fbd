#include "json/serde.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "base/utf8.h"
#include "json/builder.h"

namespace fnet {
namespace {

using nlohmann::json;

constexpr std::size_t DEEPEST = 127;
constexpr int GREATEST_POWER = 308;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// serde_json's f64_from_parts: one rounding of the digits, and one of the power of ten.
double from_parts(std::uint64_t digits, int exponent) {
  auto value = static_cast<double>(digits);
  while (value != 0 && exponent < -GREATEST_POWER) {
    value /= 1e308;
    exponent += GREATEST_POWER;
  }
  if (value == 0) return 0;
  if (exponent > GREATEST_POWER) return std::numeric_limits<double>::infinity();
  std::string power = "1e" + std::to_string(std::abs(exponent));
  double ten = std::strtod(power.c_str(), nullptr);
  return exponent >= 0 ? value * ten : value / ten;
}

// A number that JSON's grammar allows. Digits that a uint64 has no room for are left out.
double number_as_serde(const std::string& text) {
  std::uint64_t digits = 0;
  int exponent = 0;
  bool full = false;
  std::size_t i = text[0] == '-';
  bool negative = i == 1, fraction = false;
  for (; i < text.size() && (is_digit(text[i]) || text[i] == '.'); ++i) {
    if (text[i] == '.') {
      fraction = true;
      full = false;
      continue;
    }
    auto digit = static_cast<std::uint64_t>(text[i] - '0');
    full = full || digits > (std::numeric_limits<std::uint64_t>::max() - digit) / 10;
    if (full) {
      exponent += !fraction;
    } else {
      digits = digits * 10 + digit;
      exponent -= fraction;
    }
  }
  if (i < text.size()) {
    long power = std::strtol(text.c_str() + i + 1, nullptr, 10);  // saturates
    power = std::max(-1'000'000L, std::min(1'000'000L, power));
    exponent += static_cast<int>(power);
  }
  double value = from_parts(digits, exponent);
  return negative ? -value : value;
}

class Builder final : public JsonBuilder<json> {
 public:
  Builder() : JsonBuilder(DEEPEST, "recursion limit exceeded") {}
  bool number_float(double, const std::string& text) override {
    double value = number_as_serde(text);
    return std::isinf(value) ? fail("number out of range") : put(value);
  }

 private:
  json* add(Object& object, std::string key, json&& value) override { return &(object[std::move(key)] = std::move(value)); }
};

}  // namespace

Result<json> json_as_serde(const std::string& text) {
  std::size_t fault = 0;
  from_utf8(text, &fault);
  if (fault != text.npos) return bundle_error("not UTF-8 at byte " + std::to_string(fault));
  Builder builder;
  try {
    if (!json::sax_parse(text, &builder)) return bundle_error(builder.fault);
  } catch (const json::exception& error) {
    return bundle_error(error.what());
  }
  return std::move(builder.made);
}

}  // namespace fnet
