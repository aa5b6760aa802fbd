// Which members the parts of a tokenizer.json have, and of which types.
#pragma once

#include <nlohmann/json.hpp>

namespace fnet {

// Throws Unreadable where the tokenizers library would not read the parts that FNet's pipelines have, or those around them. Of parts
// that FNet's have not it asks for a type that the library knows.
void check_shape(const nlohmann::json& pipeline);

}  // namespace fnet
