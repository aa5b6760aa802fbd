#include "bundle/manifest.h"

#include <algorithm>
#include <functional>
#include <set>

#include "base/python_str.h"
#include "json/reader.h"

namespace fnet {
namespace {

struct Library {
  const char* target;
  std::vector<std::string> names;  // that its engine may be of
};
const std::vector<Library>& libraries() {
  static const std::vector<Library> all{
      {"onnx", {}}, {"openvino", {"openvino"}}, {"tensorrt", {"tensorrt", "tensorrt_rtx"}}, {"tensorrt-rtx", {"tensorrt_rtx"}}};
  return all;
}
const std::vector<std::string> PRECISIONS{"fp32", "fp16", BF16, INT8};

// The files that a library opens, and reads beside it.
std::vector<std::string> engine_files(const std::string& library) {
  return library == "openvino" ? std::vector<std::string>{"model.xml", "model.bin"} : std::vector<std::string>{"model.engine"};
}

// ---- JSON values as the format's types; all throw Error, which manifest_from_json catches

[[noreturn]] void wrong(const std::string& where, const char* kind, const Json& value) {
  throw bundle_error(where + ": expected " + kind + ", found " + repr(value));
}

std::string text(const Json& value, const std::string& where) {
  if (!value.is_string()) wrong(where, "str", value);
  return value.get<std::string>();
}

int64_t integer(const Json& value, const std::string& where) {
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX)) wrong(where, "int", value);
  return value.get<int64_t>();
}

bool boolean(const Json& value, const std::string& where) {
  if (!value.is_boolean()) wrong(where, "bool", value);
  return value.get<bool>();
}

Axis axis(const Json& value, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return integer(value, where);
  wrong(where, "int | str", value);
}

template <class Read>
auto list(const Json& value, const std::string& where, Read read) {
  std::vector<decltype(read(value, where))> items;
  if (!value.is_array()) wrong(where, "tuple", value);
  for (std::size_t i = 0; i < value.size(); ++i) items.push_back(read(value[i], where + "[" + std::to_string(i) + "]"));
  return items;
}

template <class Read>
auto mapping(const Json& value, const std::string& where, Read read) {
  Named<decltype(read(value, where))> items;
  if (!value.is_object()) wrong(where, "Mapping", value);
  for (const auto& [key, item] : value.items()) items.emplace_back(key, read(item, where + ": " + key));
  return items;
}

// An object of just these keys; calls read for the value of one.
class Object {
 public:
  Object(const Json& value, std::string where, const std::vector<std::string>& keys) : value_(value), where_(std::move(where)) {
    std::vector<std::string> found;
    if (value.is_object()) {
      for (const auto& item : value.items()) found.push_back(item.key());
    }
    std::sort(found.begin(), found.end());
    if (!value.is_object() || std::set<std::string>(keys.begin(), keys.end()) != std::set<std::string>(found.begin(), found.end())) {
      throw bundle_error(where_ + ": expected an object with the keys " + joined(keys) + "; found " +
                         (value.is_object() ? repr(found) : type_name(value)));
    }
  }

  template <class Read>
  auto get(const char* key, Read read) const {
    return read(value_.at(key), where_ + ": " + key);
  }

  template <class Read>
  auto get_list(const char* key, Read read) const {
    return list(value_.at(key), where_ + ": " + key, read);
  }

  template <class Read>
  auto get_mapping(const char* key, Read read) const {
    return mapping(value_.at(key), where_ + ": " + key, read);
  }

  // Null, or what `read` takes if `fits`; `kind` is the name of both in errors.
  template <class Read>
  auto get_optional(const char* key, const char* kind, bool (Json::*fits)() const noexcept, Read read) const {
    const Json& value = value_.at(key);
    std::optional<decltype(read(value, where_))> found;
    if ((value.*fits)()) found = read(value, where_ + ": " + key);
    else if (!value.is_null()) wrong(where_ + ": " + key, kind, value);
    return found;
  }

 private:
  const Json& value_;
  std::string where_;
};

TensorInfo tensor(const Json& value, const std::string& where) {
  const Object object(value, where, {"name", "dtype", "axes"});
  return {object.get("name", text), object.get("dtype", text), object.get_list("axes", axis)};
}

TokenizerOptions tokenizer(const Json& value, const std::string& where) {
  const Object object(value, where, {"flavour", "do_lower_case", "keep_accents", "remove_space"});
  TokenizerOptions options{object.get("flavour", text),
                           {object.get("do_lower_case", boolean), object.get("keep_accents", boolean), object.get("remove_space", boolean)}};
  if (const auto fault = options.fault()) throw bundle_error(where + ": " + fault->text);
  return options;
}

Quantization quantization(const Json& value, const std::string& where) {
  const Object object(value, where, {"method", "data", "sha256", "texts", "kept"});
  return {object.get("method", text), object.get("data", text), object.get("sha256", text), object.get("texts", integer),
          object.get_list("kept", text)};
}

Source source(const Json& value, const std::string& where) {
  const Object object(value, where, {"id", "revision", "sha256", "random_head"});
  return {object.get("id", text), object.get_optional("revision", "str | None", &Json::is_string, text),
          object.get_mapping("sha256", text), object.get("random_head", boolean)};
}

AxisProfile profile(const Json& value, const std::string& where) {
  const Object object(value, where, {"min", "opt", "max"});
  const AxisProfile found{object.get("min", integer), object.get("opt", integer), object.get("max", integer)};
  if (!(1 <= found.min && found.min <= found.opt && found.opt <= found.max)) {
    throw bundle_error(where + ": expected 1 <= MIN <= OPT <= MAX, found " + std::to_string(found.min) + " " +
                       std::to_string(found.opt) + " " + std::to_string(found.max));
  }
  return found;
}

EngineInfo engine(const Json& value, const std::string& where) {
  const Object object(value, where, {"file", "library", "version", "compute_capabilities", "batch_profile"});
  return {object.get("file", text), object.get("library", text), object.get("version", text),
          object.get_list("compute_capabilities", text), object.get_mapping("batch_profile", profile)};
}

FileInfo file(const Json& value, const std::string& where) {
  const Object object(value, where, {"sha256", "size_bytes"});
  return {object.get("sha256", text), object.get("size_bytes", integer)};
}

Manifest manifest(const Json& value, const std::string& where) {
  const Object object(value, where,
                      {"format_version", "task", "target", "labels", "inputs", "outputs", "sequence_length", "pad_token_id", "tokenizer",
                       "transform", "transform_reason", "precision", "quantization", "source", "tools", "engine", "files"});
  return {object.get("format_version", integer),
          object.get("task", text),
          object.get("target", text),
          object.get_list("labels", text),
          object.get_list("inputs", tensor),
          object.get_list("outputs", tensor),
          object.get("sequence_length", integer),
          object.get("pad_token_id", integer),
          object.get("tokenizer", tokenizer),
          object.get("transform", text),
          object.get("transform_reason", text),
          object.get("precision", text),
          object.get_optional("quantization", "fnet_runtime.bundle.manifest.Quantization | None", &Json::is_object, quantization),
          object.get("source", source),
          object.get_mapping("tools", text),
          object.get_optional("engine", "fnet_runtime.bundle.manifest.EngineInfo | None", &Json::is_object, engine),
          object.get_mapping("files", file)};
}

// ---- what holds between the values; throws Error

void check(bool holds, const std::string& text) {
  if (!holds) throw bundle_error(text);
}

void check_files(const Manifest& m, const std::string& name, const std::vector<std::string>& of_engine) {
  std::set<std::string> missing{MODEL, CONFIG, GOLDEN, TOKENIZER_CONFIG, m.tokenizer.file()};
  missing.insert(of_engine.begin(), of_engine.end());
  for (const auto& [file, info] : m.files) {
    const bool plain = file.find_first_of(std::string("/\\\0", 3)) == file.npos && !file.empty() && file != "." && file != ".." &&
                       file != MANIFEST;
    check(plain, name + ": files: " + python::repr(file) + " is not the plain name of a file inside the bundle");
  }
  for (const auto& [file, info] : m.files) missing.erase(file);
  check(missing.empty(), name + ": files: expected " + joined({missing.begin(), missing.end()}) + " as well");
}

void check_manifest(const Manifest& m, const std::string& name) {
  std::vector<std::string> targets;
  const Library* library = nullptr;
  for (const Library& known : libraries()) {
    targets.push_back(known.target);
    if (m.target == known.target) library = &known;
  }
  check(library, name + ": target: expected one of " + joined(targets) + ", found " + python::repr(m.target));
  check(std::count(PRECISIONS.begin(), PRECISIONS.end(), m.precision),
        name + ": precision: expected one of " + joined(PRECISIONS) + ", found " + python::repr(m.precision));
  check(m.quantization.has_value() == (m.precision == INT8),
        name + ": quantization: bundles in " + m.precision + (m.quantization ? " have none" : " have it"));
  check(m.engine.has_value() == !library->names.empty(),
        name + ": engine: a bundle for " + m.target + " must " + (m.engine ? "not " : "") + "have one");
  std::vector<std::string> of_engine;
  if (m.engine) {
    check(std::count(library->names.begin(), library->names.end(), m.engine->library),
          name + ": engine: library: expected " + joined(library->names, " or ") + ", found " + python::repr(m.engine->library));
    of_engine = engine_files(m.engine->library);
    check(m.engine->file == of_engine[0],
          name + ": engine: file: expected " + of_engine[0] + ", found " + python::repr(m.engine->file));
  }
  check(m.sequence_length >= 1 && m.pad_token_id >= 0,
        name + ": sequence_length and pad_token_id: expected a length from 1 and an id from 0");
  check_files(m, name, of_engine);
}

}  // namespace

Result<Manifest> manifest_from_json(const std::string& text, const std::string& name) {
  auto values = json_from_text(text);
  if (!values) return bundle_error(name + ": not JSON (" + values.error().text + ")");
  try {
    if (values->is_object() && values->contains("format_version")) {
      const Json& version = (*values)["format_version"];
      const bool other = version.is_boolean() ? !version.get<bool>() : version.is_number_integer() && version != FORMAT_VERSION;
      check(!other, name + ": format version " + repr(version) + "; this runtime reads " + std::to_string(FORMAT_VERSION) +
                        ". Update fnet-runtime");
    }
    Manifest found = manifest(*values, name);
    check_manifest(found, name);
    return found;
  } catch (const Error& error) {
    return error;
  }
}

Result<std::vector<TensorInfo>> tensors_from_json(const std::string& text, const std::string& name) {
  const auto values = json_from_text(text);
  if (!values) return bundle_error(name + ": not JSON (" + values.error().text + ")");
  try {
    return list(*values, name, tensor);
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
  if (const auto* fault = std::get_if<SystemFault>(&read))
    return unreadable("[Errno " + std::to_string(fault->number) + "] " + fault->text() + ": " + python::repr(path));
  const auto& text = std::get<std::string>(read);
  python::Utf8Fault fault{};
  python::from_utf8(text, &fault);
  if (fault.byte != text.npos) return unreadable("not UTF-8 at byte " + std::to_string(fault.byte));
  auto found = manifest_from_json(text, path);
  if (!found) return found;
  const auto inside = [&](const std::string& name) { return plain_path(folder + "/" + name); };
  const bool listed = std::any_of(found->files.begin(), found->files.end(), [](const auto& f) { return f.first == MODEL_DATA; });
  if (!listed && exists(inside(MODEL_DATA)))
    return bundle_error(inside(MODEL_DATA) + ": is not in the manifest, but " + MODEL + " might read it; remove it");
  for (const auto& [name, info] : found->files) {
    const auto measured = info_from_file(inside(name));
    if (const auto* failed = std::get_if<SystemFault>(&measured))
      return bundle_error(inside(name) + ": cannot be read (" + failed->text() + "); copy the whole bundle again");
    const auto& [sha256, size] = std::get<FileInfo>(measured);
    if (size != info.size_bytes || sha256 != info.sha256) {
      const bool resized = size != info.size_bytes;
      return bundle_error(inside(name) + ": altered: found " + (resized ? std::to_string(size) + " bytes" : "sha256 " + sha256) +
                          ", the manifest says " + (resized ? std::to_string(info.size_bytes) : info.sha256) +
                          "; copy the whole bundle again");
    }
  }
  return found;
}

}  // namespace fnet
