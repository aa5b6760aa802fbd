// What a bundle's config.json says to the pipelines.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace fnet {

struct ModelConfig {
  int64_t vocab_size, token_types;
  std::string problem_type;  // empty where config.json has none
  std::string pooling;       // one of POOLINGS: how training made one vector of a text
  bool normalize;            // and whether that vector has length 1
};

// Reads config.json strictly, as far as the pipelines need it.
Result<ModelConfig> config_from_file(const std::string& path);

}  // namespace fnet
