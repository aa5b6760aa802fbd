// golden.safetensors: inputs with float64 reference outputs, so that a device can check itself without torch.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/array.h"
#include "base/error.h"

namespace fnet {

struct Golden {
  Inputs inputs;
  std::vector<std::pair<std::string, Array<double>>> references;  // each may hold only the first part of an axis, such as its first tokens
  std::map<std::string, double> limits;
};

// Reads the golden file strictly. Of bytes, the error's text is the reason alone.
Result<Golden> golden_from_bytes(const std::string& data);
Result<Golden> golden_from_file(const std::string& path);

}  // namespace fnet
