#include "bundle/config.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "base/facts.h"
#include "base/files.h"
#include "base/words.h"
#include "json/reader.h"

namespace fnet {
namespace {

// An integer of config.json. Throws Error, whose text is the reason alone.
int64_t integer(const Json& config, const char* key, const Json& otherwise = nullptr) {
  const Json value = config.value(key, otherwise);
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX))
    throw bundle_error("/" + std::string(key) + ": expected an integer, found " + (config.contains(key) ? shown(value) : "nothing"));
  return value.get<int64_t>();
}

// How training made one vector of a text. Throws Error, whose text is the reason alone.
std::string pooling_of(const Json& config) {
  const Json pooling = config.value(POOLING_KEY, Json(POOLER));
  if (pooling.is_string() && std::find(std::begin(POOLINGS), std::end(POOLINGS), pooling.get<std::string>()) != std::end(POOLINGS))
    return pooling.get<std::string>();
  const std::vector<std::string> words(std::begin(POOLINGS), std::end(POOLINGS));
  throw bundle_error(std::string("/") + POOLING_KEY + ": expected one of " + joined(words) + "; found " + shown(pooling));
}

}  // namespace

Result<ModelConfig> config_from_file(const std::string& path) {
  const auto refused = [&](const std::string& why) { return bundle_error(path + ": not the config.json of an FNet (" + why + ")"); };
  const auto data = bytes_from_file(path);
  if (const auto* fault = std::get_if<SystemFault>(&data)) return refused(fault->text());
  const auto config = json_from_text(std::get<std::string>(data));
  if (!config) return refused(config.error().text);
  if (!config->is_object()) return refused("expected an object, found " + shown(*config));
  try {
    const Json problem = config->value("problem_type", Json());
    const Json normalize = config->value(NORMALIZE_KEY, Json(false));
    if (!normalize.is_boolean()) return refused(std::string("/") + NORMALIZE_KEY + ": expected true or false, found " + shown(normalize));
    return ModelConfig{integer(*config, "vocab_size"), integer(*config, "type_vocab_size", TOKEN_TYPES),
                       problem.is_string() ? problem.get<std::string>() : "", pooling_of(*config), normalize.get<bool>()};
  } catch (const Error& error) {
    return refused(error.text);
  }
}

}  // namespace fnet
