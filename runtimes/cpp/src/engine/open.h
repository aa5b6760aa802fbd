// Chooses the engine of a bundle and opens it.
#pragma once

#include <memory>
#include <string>

#include "engine/session.h"
#include "fnet/fnet.hpp"

namespace fnet {

// Opens the engine that `config` asks for; `folder` is the bundle's. An engine that cannot run here is an error, never replaced by another.
Result<std::unique_ptr<Session>> session_from_bundle(const std::string& folder, const Manifest& manifest, const Config& config);

}  // namespace fnet
