#include "json_reader.h"

#include <set>

#include "python_str.h"

namespace fnet {
namespace {

constexpr int DEEPEST = 512;

struct Refused {
  std::string text;
};

}  // namespace

Result<Json> json_from_text(const std::string& text, bool once) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > DEEPEST) throw Refused{"nested too deeply"};
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (once && event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      throw Refused{"a key stands twice"};
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Refused& refused) {
    return bundle_error(refused.text);
  } catch (const Json::exception& error) {
    return bundle_error(error.what());
  }
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
