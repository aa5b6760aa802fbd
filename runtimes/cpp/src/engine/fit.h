// Whether an engine fits this host, by its manifest: what TensorRT would say late, or not in words that help.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bundle/gpu.h"
#include "bundle/manifest.h"

namespace fnet {

// The numbers that a version begins with: 10.13.3.9.post1 has four.
std::vector<int64_t> numbers_of_version(const std::string& version);

// A no-device error for another GPU than the engine was built for, a session error for another version of its library, or for an engine
// that this runtime cannot open at all.
std::optional<Error> fit_fault(const std::string& engine, const EngineInfo& info, const Gpu& gpu, const std::string& version);

}  // namespace fnet
