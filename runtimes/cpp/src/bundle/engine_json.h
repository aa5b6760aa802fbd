// The description of an engine as JSON: a part of manifest.json, and engine.json in the cache of rebuilt engines.
#pragma once

#include <string>

#include "bundle/gpu.h"
#include "bundle/manifest.h"
#include "bundle/typed_json.h"

namespace fnet {

// An engine of the cache, the hash and size of its file, and its GPU.
struct EngineEntry {
  EngineInfo engine;
  FileInfo file;
  Gpu gpu;
};

// Both throw Error.
EngineInfo engine_from_json(const Json& value, const Where& where);
FileInfo file_from_json(const Json& value, const Where& where);

// A bundle error for anything that the format does not have.
Result<EngineEntry> entry_from_json(const std::string& text);
// The bytes that the Python runtime writes.
std::string json_from_entry(const EngineEntry& entry);

}  // namespace fnet
