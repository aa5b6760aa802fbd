// Compares what an engine answers on this device with the float64 references of golden.safetensors.
#pragma once

#include <vector>

#include "bundle/golden.h"
#include "fnet/fnet.hpp"

namespace fnet {

// Compares every output that has a reference. An output that is missing, or of another shape, fails.
std::vector<Check> checks_from_outputs(const Outputs& outputs, const Golden& golden);

}  // namespace fnet
