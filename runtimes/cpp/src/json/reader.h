// JSON as the files of a bundle have it: keys in order, and no key twice.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"

namespace fnet {

using Json = nlohmann::ordered_json;

// Parses strictly; the error's text is the reason alone. Refuses duplicate keys, and nesting of more than 512.
Result<Json> json_from_text(const std::string& text);
// A value in an error: its JSON, cut after some characters.
std::string shown(const Json& value);

}  // namespace fnet
