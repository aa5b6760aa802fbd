// JSON as the tokenizers library's reader takes it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"

namespace fnet {

// Parses with that reader's own rounding of numbers, which is not always the nearest, and its limit of nesting. The error's text is
// the reason alone.
Result<nlohmann::json> json_as_serde(const std::string& text);

}  // namespace fnet
