// Compares what an engine answers on this device with the float64 references of golden.safetensors.
#pragma once

#include <vector>

#include "bundle/golden.h"
#include "engine/session.h"
#include "fnet/fnet.hpp"

namespace fnet {

// Runs every case and compares its outputs with its references.
Result<std::vector<Check>> checks_from_session(const Session& session, const Golden& golden);

// Compares the outputs of each case, and returns the worst of all cases for each output that has a reference. An output that is missing, or
// of another shape, fails.
std::vector<Check> checks_from_outputs(const std::vector<Outputs>& outputs, const Golden& golden);

}  // namespace fnet
