// JSON values as the types of a format: every key is known, none is missing, and an error says where it is.
#pragma once

#include <cstdint>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/words.h"
#include "bundle/manifest.h"
#include "json/reader.h"
#include "json/writer.h"

namespace fnet {

// Where a value stands: the name of the file and the JSON pointer in it.
struct Where {
  const std::string& file;
  std::string pointer;

  Where operator/(const std::string& key) const { return {file, pointer + "/" + key}; }
  // Throws Error. The text says what was expected, and what was found.
  [[noreturn]] void refuse(const std::string& text) const {
    throw bundle_error(file + ": " + (pointer.empty() ? "" : pointer + ": ") + text);
  }
  [[noreturn]] void wrong(const std::string& kind, const Json& value) const { refuse("expected " + kind + ", found " + shown(value)); }
  void check(bool holds, const std::string& text) const {
    if (!holds) refuse(text);
  }
};

// ---- JSON values as the format's types; all throw Error, which manifest_from_json catches

inline std::string text(const Json& value, const Where& where) {
  if (!value.is_string()) where.wrong("a string", value);
  return value.get<std::string>();
}

inline int64_t integer(const Json& value, const Where& where) {
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX)) where.wrong("an integer", value);
  return value.get<int64_t>();
}

inline bool boolean(const Json& value, const Where& where) {
  if (!value.is_boolean()) where.wrong("true or false", value);
  return value.get<bool>();
}

template <class Read>
auto list(const Json& value, const Where& where, Read read) {
  std::vector<decltype(read(value, where))> items;
  if (!value.is_array()) where.wrong("a list", value);
  for (std::size_t i = 0; i < value.size(); ++i) items.push_back(read(value[i], where / std::to_string(i)));
  return items;
}

template <class Read>
auto mapping(const Json& value, const Where& where, Read read) {
  Named<decltype(read(value, where))> items;
  if (!value.is_object()) where.wrong("an object", value);
  for (const auto& [key, item] : value.items()) items.emplace_back(key, read(item, where / key));
  return items;
}

// An object of just these keys; calls `read` for the value of one.
class Object {
 public:
  template <std::size_t count>
  Object(const Json& value, const Where& where, const char* const (&keys)[count]) : value_(value), where_(where) {
    if (!value.is_object()) where.wrong("an object", value);
    std::set<std::string> missing(std::begin(keys), std::end(keys)), unknown;
    for (const auto& item : value.items()) {
      if (!missing.erase(item.key())) unknown.insert(item.key());
    }
    where.check(missing.empty() && unknown.empty(), "expected an object with the keys " + joined(keys) +
                                                        (missing.empty() ? "" : "; missing " + joined(missing)) +
                                                        (unknown.empty() ? "" : "; unknown " + joined(unknown)));
  }

  template <class Read>
  auto get(const char* key, Read read) const {
    return read(value_.at(key), where_ / key);
  }

  template <class Read>
  auto get_list(const char* key, Read read) const {
    return list(value_.at(key), where_ / key, read);
  }

  template <class Read>
  auto get_mapping(const char* key, Read read) const {
    return mapping(value_.at(key), where_ / key, read);
  }

  // Null, or what `read` takes if `fits`; `kind` is the name of that in errors.
  template <class Read>
  auto get_optional(const char* key, const char* kind, bool (Json::*fits)() const noexcept, Read read) const {
    const Json& value = value_.at(key);
    std::optional<decltype(read(value, where_))> found;
    if ((value.*fits)()) found = read(value, where_ / key);
    else if (!value.is_null()) (where_ / key).wrong(kind + std::string(" or null"), value);
    return found;
  }

 private:
  const Json& value_;
  Where where_;
};

}  // namespace fnet
