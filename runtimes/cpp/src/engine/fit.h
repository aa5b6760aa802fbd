// Whether an engine fits this host, by its manifest: what TensorRT would say late, or not in words that help.
#pragma once

#include <optional>
#include <string>

#include "bundle/manifest.h"

namespace fnet {

// A GPU of this host.
struct Gpu {
  std::string name, compute_capability;
};

// A no-device error for another GPU than the engine was built for, a session error for another version of its library, or for an engine
// that this runtime cannot open at all.
std::optional<Error> fit_fault(const std::string& engine, const EngineInfo& info, const Gpu& gpu, const std::string& version);

}  // namespace fnet
