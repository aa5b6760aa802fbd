#include "engine/rebuild.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "base/sha256.h"
#include "base/words.h"
#include "engine/cache.h"
#include "json/writer.h"

namespace fnet {
namespace {

constexpr const char* TENSORRT = "tensorrt";

// ---- what is built

// The ranges of the inputs in an optimisation profile, which has every open axis.
Shapes shapes_from_profile(const std::vector<TensorInfo>& inputs, const Named<AxisProfile>& ranges) {
  Shapes shapes;
  for (const TensorInfo& tensor : inputs) {
    Range& range = shapes.emplace_back(tensor.name, Range{}).second;
    for (const Axis& axis : tensor.axes) {
      const auto* open = std::get_if<std::string>(&axis);
      const int64_t length = open ? 0 : std::get<int64_t>(axis);
      AxisProfile profile{length, length, length};
      if (open) {
        profile = std::find_if(ranges.begin(), ranges.end(), [&](const auto& named) { return named.first == *open; })->second;
      }
      range[0].push_back(profile.min), range[1].push_back(profile.opt), range[2].push_back(profile.max);
    }
  }
  return shapes;
}

// The options of a bundle's engine that hold on every host. What lets other hosts open an engine is left out.
Result<TrtBuild> build_from_manifest(const std::string& folder, const Manifest& manifest, const Gpu& gpu) {
  for (const auto& [precision, least] : LEAST_COMPUTE_CAPABILITIES) {
    if (manifest.precision == precision && numbers_of_version(gpu.compute_capability) < numbers_of_version(least)) {
      return session_error(folder + ": " + precision + " needs a GPU of compute capability " + least + " or newer; found " + gpu.name +
                           " with " + gpu.compute_capability +
                           ". Export the bundle in int8, or open model.onnx with the runtime onnxruntime");
    }
  }
  const EngineBuild options = manifest.engine->build.value_or(EngineBuild{});
  const auto &mib = options.workspace_mib, &level = options.optimization_level;
  if (mib && (*mib < 1 || *mib > MAX_WORKSPACE_MIB)) {
    return input_error("--workspace-mib: expected 1 to " + std::to_string(MAX_WORKSPACE_MIB) + ", found " + std::to_string(*mib));
  }
  if (level && (*level < 0 || *level > MAX_OPTIMIZATION_LEVEL)) {
    return input_error("--optimization-level: expected 0 to " + std::to_string(MAX_OPTIMIZATION_LEVEL) + ", found " +
                       std::to_string(*level));
  }
  TrtBuild build{plain_path(folder + "/" + MODEL), {}, mib, level, gpu.compute_capability};
  for (const auto& profile : manifest.engine->profiles) build.profiles.push_back(shapes_from_profile(manifest.inputs, profile));
  return build;
}

// ---- the name of an entry: the hash of the JSON that the Python runtime hashes, byte for byte

std::string listed(const std::vector<std::string>& items) { return "[" + joined(items) + "]"; }
std::string number_or_null(const std::optional<int64_t>& number) { return number ? std::to_string(*number) : "null"; }

std::string json_from_shapes(const Shapes& shapes) {
  std::vector<std::string> inputs;
  for (const auto& [name, range] : shapes) {
    std::vector<std::string> bounds;
    for (const std::vector<int64_t>& shape : range) {
      std::vector<std::string> axes;
      for (const int64_t length : shape) axes.push_back(std::to_string(length));
      bounds.push_back(listed(axes));
    }
    inputs.push_back(quoted(name) + ": " + listed(bounds));
  }
  return "{" + joined(inputs) + "}";
}

std::string key_of(const Manifest& manifest, const std::string& library, const TrtHost& host, const TrtBuild& build) {
  std::vector<std::string> profiles, graph;
  for (const Shapes& shapes : build.profiles) profiles.push_back(json_from_shapes(shapes));
  for (const std::string name : {MODEL, MODEL_DATA}) {
    for (const auto& [file, info] : manifest.files) {
      if (file == name) graph.push_back(quoted(info.sha256));
    }
  }
  const std::string depends =
      "{\"gpu\": {\"name\": " + quoted(host.gpu.name) + ", \"compute_capability\": " + quoted(host.gpu.compute_capability) +
      ", \"driver\": " + quoted(host.gpu.driver) + "}, \"library\": " + listed({quoted(library), quoted(host.library.version)}) +
      ", \"options\": " + listed({number_or_null(build.workspace_mib), number_or_null(build.optimization_level)}) +
      ", \"profiles\": " + listed(profiles) + ", \"graph\": " + listed(graph) + "}";
  Sha256 hash;
  hash.add(depends.data(), depends.size());
  return hash.hex();
}

}  // namespace

Result<Rebuilt> rebuilt_engine(const std::string& folder, const Manifest& manifest, const std::string& library, const TrtHost& host) {
  const auto limit_bytes = limit_of_cache();
  if (!limit_bytes) return limit_bytes.error();
  const auto build = build_from_manifest(folder, manifest, host.gpu);
  if (!build) return build.error();
  const std::string cache = engine_cache(), key = key_of(manifest, library, host, *build), file = cache + "/" + key + "/" + ENGINE;
  try {
    std::filesystem::create_directories(cache);
    EngineEntry entry;
    {
      const CacheLock lock(cache, key);
      if (auto found = used_entry(cache, key)) return Rebuilt{file, std::move(found->engine)};
      const auto bytes = host.library.engine_from_graph(*build);
      if (!bytes) return bytes.error();
      EngineInfo info = *manifest.engine;
      info.file = ENGINE, info.library = library, info.version = host.library.version;
      info.compute_capabilities = {host.gpu.compute_capability};
      info.build = EngineBuild{};
      if (library == TENSORRT) info.build->gpu = host.gpu.name;  // TensorRT-RTX builds for every GPU of a compute capability
      info.build->workspace_mib = build->workspace_mib, info.build->optimization_level = build->optimization_level;
      entry = keep(cache, key, *bytes, info, host.gpu);
    }
    trim(cache, key, entry, *limit_bytes);
    return Rebuilt{file, entry.engine};
  } catch (const std::system_error& error) {
    return session_error(cache + ": cannot be written (" + error.code().message() +
                         "); expected a folder for rebuilt engines. Name another folder in " + CACHE_VARIABLE);
  }
}

}  // namespace fnet
