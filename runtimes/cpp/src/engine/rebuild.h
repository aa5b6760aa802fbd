// Builds the engine of a bundle again, for the GPU of this host, and keeps it in a cache, which is trimmed after the build.
#pragma once

#include <string>

#include "engine/host.h"

namespace fnet {

struct Rebuilt {
  std::string file;
  EngineInfo info;
};

// An engine of the bundle in a folder, whose files were checked. `library` is the name that a manifest gives the host's library. An engine
// that is in the cache is not built again; processes that need the same one build it once. Session errors: the GPU or the library cannot
// do it, in the library's own words, or the cache cannot be written.
Result<Rebuilt> rebuilt_engine(const std::string& folder, const Manifest& manifest, const std::string& library, const TrtHost& host);

}  // namespace fnet
