#include "bundle/manifest.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "base/utf8.h"
#include "base/words.h"
#include "bundle/engine_json.h"
#include "bundle/typed_json.h"

namespace fnet {
namespace {

Axis axis(const Json& value, const Where& where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return integer(value, where);
  where.wrong("an integer or a string", value);
}

TensorInfo tensor(const Json& value, const Where& where) {
  const Object object(value, where, TENSOR_KEYS);
  return {object.get("name", text), object.get("dtype", text), object.get_list("axes", axis)};
}

TokenizerOptions tokenizer(const Json& value, const Where& where) {
  const Object object(value, where, TOKENIZER_KEYS);
  TokenizerOptions options{
      object.get("flavour", text),
      {object.get("do_lower_case", boolean), object.get("keep_accents", boolean), object.get("remove_space", boolean)}};
  if (const auto fault = options.fault()) where.refuse(fault->text);
  return options;
}

Quantization quantization(const Json& value, const Where& where) {
  const Object object(value, where, QUANTIZATION_KEYS);
  return {object.get("method", text), object.get("data", text), object.get("sha256", text), object.get("texts", integer),
          object.get_list("kept", text)};
}

Source source(const Json& value, const Where& where) {
  const Object object(value, where, SOURCE_KEYS);
  return {object.get("id", text), object.get_optional("revision", "a string", &Json::is_string, text), object.get_mapping("sha256", text),
          object.get("random_head", boolean)};
}

Manifest manifest(const Json& value, const Where& where) {
  const Object object(value, where, MANIFEST_KEYS);
  return {object.get("format_version", integer),
          object.get("task", text),
          object.get("target", text),
          object.get_list("labels", text),
          object.get_list("inputs", tensor),
          object.get_list("outputs", tensor),
          object.get("sequence_length", integer),
          object.get("padding", text),
          object.get("pad_to_multiple_of", integer),
          object.get("pad_token_id", integer),
          object.get("tokenizer", tokenizer),
          object.get("transform", text),
          object.get("transform_reason", text),
          object.get("precision", text),
          object.get_optional("quantization", "an object", &Json::is_object, quantization),
          object.get("source", source),
          object.get_mapping("tools", text),
          object.get_optional("engine", "an object", &Json::is_object, engine_from_json),
          object.get_mapping("files", file_from_json)};
}

// ---- what holds between the values; throws Error

template <class Names>
bool has(const Names& names, const std::string& name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// Names of a table of facts, whose rows end with nulls.
template <std::size_t count>
std::vector<std::string> names_of(const char* const (&row)[count]) {
  return {std::begin(row), std::find(std::begin(row), std::end(row), nullptr)};
}

const TargetFacts& target_of(const Manifest& m, const Where& where) {
  std::vector<std::string> names;
  for (const TargetFacts& target : TARGETS) {
    if (m.target == target.name) return target;
    names.emplace_back(target.name);
  }
  (where / "target").refuse("expected one of " + joined(names) + ", found " + quoted(m.target));
}

// The files that a bundle's engine has: what its library opens, then what that reads next to it.
std::vector<std::string> engine_files(const Manifest& m, const Where& where) {
  const auto libraries = names_of(target_of(m, where).libraries);
  const Where engine = where / "engine";
  engine.check(m.engine.has_value() == !libraries.empty(),
               std::string(m.engine ? "expected null" : "expected an object") + " for the target " + m.target);
  if (!m.engine) return {};
  (engine / "library")
      .check(has(libraries, m.engine->library), "expected " + joined(libraries, " or ") + ", found " + quoted(m.engine->library));
  const auto* facts =
      std::find_if(std::begin(ENGINES), std::end(ENGINES), [&](const EngineFacts& e) { return m.engine->library == e.library; });
  const auto files = names_of(facts->files);
  (engine / "file").check(m.engine->file == files[0], "expected " + files[0] + ", found " + quoted(m.engine->file));
  return files;
}

void check_files(const Manifest& m, const Where& where, const std::vector<std::string>& of_engine) {
  std::set<std::string> missing(std::begin(ALWAYS), std::end(ALWAYS));
  missing.insert(m.tokenizer.file());
  missing.insert(of_engine.begin(), of_engine.end());
  for (const auto& [file, info] : m.files) {
    const bool plain =
        file.find_first_of(std::string("/\\\0", 3)) == file.npos && !file.empty() && file != "." && file != ".." && file != MANIFEST;
    where.check(plain, "expected plain names of files inside the bundle, found " + quoted(file));
    missing.erase(file);
  }
  where.check(missing.empty(), "expected the files " + joined(missing) + " as well");
}

void check_profiles(const Manifest& m, const EngineInfo& engine, const Where& where) {
  const bool profiled = engine.library != OPENVINO;
  where.check(engine.profiles.empty() != profiled,
              std::string(profiled ? "expected at least one profile" : "expected []") + " for the library " + engine.library);
  std::set<std::string> open;
  for (const TensorInfo& tensor : m.inputs) {
    for (const Axis& axis : tensor.axes) {
      if (const auto* name = std::get_if<std::string>(&axis)) open.insert(*name);
    }
  }
  for (std::size_t i = 0; i < engine.profiles.size(); ++i) {
    std::set<std::string> found;
    for (const auto& [axis, range] : engine.profiles[i]) found.insert(axis);
    (where / std::to_string(i))
        .check(found == open,
               "expected the open axes of the inputs, " + joined(open) + "; found " + (found.empty() ? "no axis" : joined(found)));
  }
  const auto lengths = engine.whole_range(SEQUENCE);
  where.check(!lengths || lengths->max <= m.sequence_length, "expected at most " + std::to_string(m.sequence_length) +
                                                                 " tokens, the longest text; found " +
                                                                 std::to_string(lengths ? lengths->max : 0));
}

void check_build(const EngineInfo& engine, const Where& where) {
  where.check(engine.build.has_value() == (engine.library != OPENVINO),
              std::string(engine.build ? "expected null" : "expected an object") + " for the library " + engine.library);
  if (!engine.build) return;
  const std::string& level = engine.build->hardware_compatibility;
  (where / "hardware_compatibility")
      .check(has(HARDWARE_COMPATIBILITIES, level), "expected one of " + joined(HARDWARE_COMPATIBILITIES) + ", found " + quoted(level));
}

void check_manifest(const Manifest& m, const Where& where) {
  const auto of_engine = engine_files(m, where);
  (where / "precision").check(has(PRECISIONS, m.precision), "expected one of " + joined(PRECISIONS) + ", found " + quoted(m.precision));
  (where / "quantization")
      .check(m.quantization.has_value() == has(CALIBRATED, m.precision),
             std::string(m.quantization ? "expected null" : "expected an object") + " for the precision " + m.precision);
  (where / "sequence_length").check(m.sequence_length >= 1, "expected a length from 1, found " + std::to_string(m.sequence_length));
  if (const auto fault = m.text_padding().fault()) where.refuse(fault->text);
  if (m.engine) check_profiles(m, *m.engine, where / "engine" / "profiles");
  if (m.engine) check_build(*m.engine, where / "engine" / "build");
  (where / "pad_token_id").check(m.pad_token_id >= 0, "expected an id from 0, found " + std::to_string(m.pad_token_id));
  check_files(m, where / "files", of_engine);
}

}  // namespace

std::optional<AxisProfile> EngineInfo::whole_range(const std::string& axis) const {
  std::optional<AxisProfile> whole;
  for (const Named<AxisProfile>& profile : profiles) {
    for (const auto& [name, range] : profile) {
      if (name != axis) continue;
      if (!whole) whole = range;
      const bool wider = range.max > whole->max;
      whole = AxisProfile{std::min(whole->min, range.min), wider ? range.opt : whole->opt, std::max(whole->max, range.max)};
    }
  }
  return whole;
}

Result<Manifest> manifest_from_json(const std::string& text, const std::string& name) {
  auto values = json_from_text(text);
  if (!values) return bundle_error(name + ": not JSON (" + values.error().text + ")");
  const Where where{name, ""};
  try {
    if (values->is_object() && values->contains("format_version")) {
      const Json& version = (*values)["format_version"];
      const bool other = version.is_boolean() ? !version.get<bool>() : version.is_number_integer() && version != FORMAT_VERSION;
      (where / "format_version")
          .check(!other,
                 "expected " + std::to_string(FORMAT_VERSION) + ", found " + shown(version) + "; update fnet_runtime, or export again");
    }
    Manifest found = manifest(*values, where);
    check_manifest(found, where);
    return found;
  } catch (const Error& error) {
    return error;
  }
}

Result<std::vector<TensorInfo>> tensors_from_json(const std::string& text, const std::string& name) {
  const auto values = json_from_text(text);
  if (!values) return bundle_error(name + ": not JSON (" + values.error().text + ")");
  try {
    return list(*values, Where{name, ""}, tensor);
  } catch (const Error& error) {
    return error;
  }
}

Result<Manifest> manifest_from_folder(const std::string& folder) {
  const std::string path = plain_path(folder + "/" + MANIFEST);
  const auto unreadable = [&](const std::string& why) {
    return bundle_error(path + ": cannot be read (" + why + "); expected the folder that fnet-export wrote");
  };
  const auto read = bytes_from_file(path);
  if (const auto* fault = std::get_if<SystemFault>(&read)) return unreadable(fault->text());
  const auto& text = std::get<std::string>(read);
  std::size_t fault = 0;
  from_utf8(text, &fault);
  if (fault != text.npos) return unreadable("not UTF-8 at byte " + std::to_string(fault));
  auto found = manifest_from_json(text, path);
  if (!found) return found;
  const auto inside = [&](const std::string& name) { return plain_path(folder + "/" + name); };
  const bool listed = std::any_of(found->files.begin(), found->files.end(), [](const auto& f) { return f.first == MODEL_DATA; });
  if (!listed && exists(inside(MODEL_DATA)))
    return bundle_error(inside(MODEL_DATA) + ": is not in the manifest, but " + MODEL + " might read it; remove the file");
  for (const auto& [name, info] : found->files) {
    const auto measured = info_from_file(inside(name));
    if (const auto* failed = std::get_if<SystemFault>(&measured))
      return bundle_error(inside(name) + ": cannot be read (" + failed->text() + "); copy the whole bundle again");
    const auto& [sha256, size] = std::get<FileInfo>(measured);
    if (size != info.size_bytes || sha256 != info.sha256) {
      const bool resized = size != info.size_bytes;
      return bundle_error(inside(name) + ": altered: expected " +
                          (resized ? std::to_string(info.size_bytes) + " bytes" : "sha256 " + info.sha256) + ", found " +
                          (resized ? std::to_string(size) : sha256) + "; copy the whole bundle again");
    }
  }
  return found;
}

}  // namespace fnet
