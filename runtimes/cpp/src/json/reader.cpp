#include "json/reader.h"

#include <algorithm>
#include <string_view>

#include "json/builder.h"

namespace fnet {
namespace {

constexpr std::size_t DEEPEST = 512, LONGEST_SHOWN = 200;
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
    return std::adjacent_find(keys.begin(), keys.end()) == keys.end() || fail("duplicate key");
  }
};

}  // namespace

Result<Json> json_from_text(const std::string& text) {
  if (text.rfind(BYTE_ORDER_MARK, 0) == 0) return bundle_error("it begins with a byte order mark");
  Builder builder;
  if (!Json::sax_parse(text, &builder)) return bundle_error(builder.fault);
  return std::move(builder.made);
}

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() <= LONGEST_SHOWN) return text;
  std::size_t end = LONGEST_SHOWN;
  while ((text[end] & 0xC0) == 0x80) --end;  // not inside a character
  return text.substr(0, end) + "...";
}

}  // namespace fnet
