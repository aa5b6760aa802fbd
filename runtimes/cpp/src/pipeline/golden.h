// golden.safetensors: inputs with float64 reference outputs, so that a device can check itself without torch.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/session.h"
#include "fnet/fnet.hpp"

namespace fnet {

struct Golden {
  Inputs inputs;
  Named<Array<double>> references;  // each may hold only the leading part of an axis, such as the first tokens
  std::map<std::string, double> limits;
};

// Reads the golden file strictly. Of bytes, the error's text is the reason alone.
Result<Golden> golden_from_bytes(const std::string& data);
Result<Golden> golden_from_file(const std::string& path);
// Compares every output with its reference.
std::vector<Check> checks_from_outputs(const Outputs& outputs, const Golden& golden);

}  // namespace fnet
