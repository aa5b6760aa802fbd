// golden.safetensors: inputs with float64 reference outputs, so that a device can check itself without torch.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/array.h"
#include "base/error.h"

namespace fnet {

// A batch of inputs of one length, and references by output. A reference may hold only the first part of an axis, such as its first tokens.
struct Case {
  Inputs inputs;
  std::map<std::string, Array<double>> references;
};

struct Golden {
  std::vector<Case> cases;                             // one for each length, all with the same inputs and references
  std::vector<std::pair<std::string, double>> limits;  // the largest absolute error that each output may have
};

// Reads the golden file strictly. Of bytes, the error's text is the reason alone.
Result<Golden> golden_from_bytes(const std::string& data);
Result<Golden> golden_from_file(const std::string& path);

}  // namespace fnet
