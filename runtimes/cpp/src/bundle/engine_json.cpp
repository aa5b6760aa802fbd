#include "bundle/engine_json.h"

namespace fnet {
namespace {

AxisProfile profile(const Json& value, const Where& where) {
  const Object object(value, where, PROFILE_KEYS);
  const AxisProfile found{object.get("min", integer), object.get("opt", integer), object.get("max", integer)};
  if (!(1 <= found.min && found.min <= found.opt && found.opt <= found.max)) {
    where.refuse("expected 1 <= min <= opt <= max, found " + std::to_string(found.min) + ", " + std::to_string(found.opt) + ", " +
                 std::to_string(found.max));
  }
  return found;
}

Named<AxisProfile> profiles_of_axes(const Json& value, const Where& where) { return mapping(value, where, profile); }

EngineBuild build(const Json& value, const Where& where) {
  const Object object(value, where, BUILD_KEYS);
  return {object.get_optional("gpu", "a string", &Json::is_string, text),
          object.get_optional("workspace_mib", "an integer", &Json::is_number_integer, integer),
          object.get_optional("optimization_level", "an integer", &Json::is_number_integer, integer),
          object.get_optional("timing_cache_sha256", "a string", &Json::is_string, text),
          object.get("version_compatible", boolean),
          object.get("hardware_compatibility", text),
          object.get("weight_stripped", boolean)};
}

Gpu gpu(const Json& value, const Where& where) {
  const Object object(value, where, GPU_KEYS);
  return {object.get("name", text), object.get("compute_capability", text), object.get("driver", text)};
}

template <class T>
Json json_from(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json json_from(const AxisProfile& profile) { return {{"min", profile.min}, {"opt", profile.opt}, {"max", profile.max}}; }

Json json_from(const EngineBuild& build) {
  return {{"gpu", json_from(build.gpu)},
          {"workspace_mib", json_from(build.workspace_mib)},
          {"optimization_level", json_from(build.optimization_level)},
          {"timing_cache_sha256", json_from(build.timing_cache_sha256)},
          {"version_compatible", build.version_compatible},
          {"hardware_compatibility", build.hardware_compatibility},
          {"weight_stripped", build.weight_stripped}};
}

}  // namespace

EngineInfo engine_from_json(const Json& value, const Where& where) {
  const Object object(value, where, ENGINE_KEYS);
  return {object.get("file", text),
          object.get("library", text),
          object.get("version", text),
          object.get_list("compute_capabilities", text),
          object.get_list("profiles", profiles_of_axes),
          object.get_optional("build", "an object", &Json::is_object, build)};
}

FileInfo file_from_json(const Json& value, const Where& where) {
  const Object object(value, where, FILE_KEYS);
  return {object.get("sha256", text), object.get("size_bytes", integer)};
}

Result<EngineEntry> entry_from_json(const std::string& text) {
  const std::string name = DESCRIPTION;
  const auto values = json_from_text(text);
  if (!values) return bundle_error(name + ": not JSON (" + values.error().text + ")");
  try {
    const Object object(*values, Where{name, ""}, ENTRY_KEYS);
    return EngineEntry{object.get("engine", engine_from_json), object.get("file", file_from_json), object.get("gpu", gpu)};
  } catch (const Error& error) {
    return error;
  }
}

std::string json_from_entry(const EngineEntry& entry) {
  const EngineInfo& engine = entry.engine;
  Json profiles = Json::array();
  for (const Named<AxisProfile>& profile : engine.profiles) {
    Json& ranges = profiles.emplace_back(Json::object());
    for (const auto& [axis, range] : profile) ranges[axis] = json_from(range);
  }
  const Json values{
      {"engine",
       {{"file", engine.file},
        {"library", engine.library},
        {"version", engine.version},
        {"compute_capabilities", engine.compute_capabilities},
        {"profiles", profiles},
        {"build", engine.build ? json_from(*engine.build) : Json(nullptr)}}},
      {"file", {{"sha256", entry.file.sha256}, {"size_bytes", entry.file.size_bytes}}},
      {"gpu", {{"name", entry.gpu.name}, {"compute_capability", entry.gpu.compute_capability}, {"driver", entry.gpu.driver}}}};
  return values.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace fnet
