#include "json/reader.h"

#include <algorithm>
#include <string_view>

#include "base/python_str.h"
#include "json/builder.h"

namespace fnet {
namespace {

constexpr std::size_t DEEPEST = 512;
constexpr const char* BYTE_ORDER_MARK = "\xEF\xBB\xBF";  // which nlohmann's parser skips

// Keeps the order of keys. Its objects are vectors, which would look at every key before they add one.
class Builder final : public JsonBuilder<Json> {
 public:
  Builder() : JsonBuilder(DEEPEST, "nested too deeply") {}

 private:
  Json* add(Object& object, std::string key, Json&& value) override {
    static_cast<Object::Container&>(object).emplace_back(std::move(key), std::move(value));
    return &object.back().second;
  }
  bool check(const Object& object) override {
    std::vector<std::string_view> keys;
    for (const auto& [key, value] : object) keys.push_back(key);
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) == keys.end() || fail("a key stands twice");
  }
};

}  // namespace

Result<Json> json_from_text(const std::string& text) {
  if (text.rfind(BYTE_ORDER_MARK, 0) == 0) return bundle_error("it begins with a byte order mark");
  Builder builder;
  if (!Json::sax_parse(text, &builder)) return bundle_error(builder.fault);
  return std::move(builder.made);
}

std::string repr(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return "None";
    case Json::value_t::boolean: return value.get<bool>() ? "True" : "False";
    case Json::value_t::string: return python::repr(value.get<std::string>());
    case Json::value_t::number_float: return python::repr(value.get<double>());
    case Json::value_t::array:
    case Json::value_t::object: {
      std::vector<std::string> items;
      for (const auto& [key, item] : value.items()) items.push_back((value.is_object() ? python::repr(key) + ": " : "") + repr(item));
      return (value.is_object() ? "{" : "[") + joined(items) + (value.is_object() ? "}" : "]");
    }
    default: return value.dump();
  }
}

std::string repr(const std::vector<std::string>& words) {
  std::vector<std::string> items;
  for (const auto& word : words) items.push_back(python::repr(word));
  return "[" + joined(items) + "]";
}

std::string type_name(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return "NoneType";
    case Json::value_t::boolean: return "bool";
    case Json::value_t::string: return "str";
    case Json::value_t::number_float: return "float";
    case Json::value_t::array: return "list";
    case Json::value_t::object: return "dict";
    default: return "int";
  }
}

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) text += (i ? between : "") + words[i];
  return text;
}

}  // namespace fnet
