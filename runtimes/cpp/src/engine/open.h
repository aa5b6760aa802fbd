// Chooses the engine of a bundle and opens it.
#pragma once

#include <memory>
#include <string>

#include "engine/devices.h"
#include "engine/session.h"
#include "fnet/fnet.hpp"

namespace fnet {

// Opens the engine that `config` asks for; `folder` is the bundle's. An engine that cannot run here is an error, never replaced by another.
Result<std::unique_ptr<Session>> session_from_bundle(const std::string& folder, const Manifest& manifest, const Config& config);

// The providers of ONNX Runtime, those that this build or this host lacks as well. `library`: ONNX Runtime's file, empty to search.
std::vector<Device> providers_of_host(const std::string& library);
// The libraries of engines that C++ opens, those that this build or this host lacks as well.
std::vector<Device> engines_of_host();

}  // namespace fnet
