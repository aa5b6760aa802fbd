// Strings and numbers as JSON has them.
#pragma once

#include <string>

namespace fnet {

// A JSON string of a text. Characters outside ASCII stay; a byte that is not UTF-8 becomes an escaped lone surrogate, U+DC80 to U+DCFF.
std::string quoted(const std::string& text);

// The shortest decimal that reads back as the same float64, laid out as Python's json does; null for NaN and infinity.
std::string decimal(double value);

}  // namespace fnet
