// JSON as Python reads it here: keys in order and none twice, errors in Python's words.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"

namespace fnet {

using Json = nlohmann::ordered_json;

// Parses strictly; the error's text is the reason alone. Refuses keys that stand twice, and nesting of more than 512.
Result<Json> json_from_text(const std::string& text);
// repr() of what Python would hold.
std::string repr(const Json& value);
// The name of Python's type.
std::string type_name(const Json& value);
std::string joined(const std::vector<std::string>& words, const std::string& between = ", ");
// repr() of a list of strings.
std::string repr(const std::vector<std::string>& words);

}  // namespace fnet
