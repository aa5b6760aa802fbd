#include "bundle/safetensors.h"

#include <algorithm>

#include "json/reader.h"

namespace fnet {
namespace {

constexpr std::size_t PREFIX_BYTES = 8, ITEM_BYTES = 8;  // of I64 and F64

// A length or offset. Throws Error.
std::size_t size_of(const Json& value, const std::string& name) {
  if (!value.is_number_unsigned())
    throw bundle_error("tensor " + name + " has the size or offset " + shown(value) + "; expected an integer from 0");
  return value.get<std::size_t>();
}

struct Entry {
  StoredTensor tensor;
  std::size_t begin, end;
};

// One tensor's entry in the header. Throws Error.
Entry entry_from_json(const std::string& name, const Json& value) {
  const bool whole = value.is_object() && value.contains("data_offsets") && value.contains("dtype") && value.contains("shape");
  if (!whole || !value["data_offsets"].is_array() || value["data_offsets"].size() != 2 || !value["shape"].is_array())
    throw bundle_error("tensor " + name + " lacks dtype, shape or data_offsets");
  Entry entry{{name, {}, {}, {}}, size_of(value["data_offsets"][0], name), size_of(value["data_offsets"][1], name)};
  if (value["dtype"] != "I64" && value["dtype"] != "F64")
    throw bundle_error("tensor " + name + " has the dtype " + shown(value["dtype"]) + "; expected \"I64\" or \"F64\"");
  entry.tensor.dtype = value["dtype"].get<std::string>();
  for (const Json& axis : value["shape"]) entry.tensor.shape.push_back(size_of(axis, name));
  return entry;
}

// Whether the tensor's axes are positive and its items take just its bytes.
bool fills(const Entry& entry) {
  std::size_t left = (entry.end - entry.begin) / ITEM_BYTES;
  if ((entry.end - entry.begin) % ITEM_BYTES) return false;
  for (const std::size_t axis : entry.tensor.shape) {
    if (axis == 0 || left % axis) return false;
    left /= axis;
  }
  return left == 1;
}

}  // namespace

Result<SafeTensors> safetensors_from_bytes(std::string_view data) {
  if (data.size() < PREFIX_BYTES) return bundle_error("it has " + std::to_string(data.size()) + " bytes");
  uint64_t length = 0;
  for (int i = PREFIX_BYTES - 1; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(data[i]);
  data.remove_prefix(PREFIX_BYTES);
  if (length > data.size())
    return bundle_error("its header says " + std::to_string(length) + " bytes, " + std::to_string(data.size()) + " are there");
  const auto header = json_from_text(std::string(data.substr(0, length)));
  data.remove_prefix(length);
  if (!header) return header.error();
  if (!header->is_object()) return bundle_error("its header is not an object");
  SafeTensors found;
  std::vector<Entry> entries;
  try {
    for (const auto& [name, value] : header->items()) {
      if (name != "__metadata__") {
        entries.push_back(entry_from_json(name, value));
        continue;
      }
      if (!value.is_object()) return bundle_error("its metadata is not an object");
      for (const auto& [key, item] : value.items()) {
        if (!item.is_string()) return bundle_error("its metadata has the value " + shown(item) + "; expected a string");
        found.metadata.emplace_back(key, item.get<std::string>());
      }
    }
  } catch (const Error& error) {
    return error;
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return std::make_pair(a.begin, a.end) < std::make_pair(b.begin, b.end); });
  std::size_t end = 0;
  for (Entry& entry : entries) {
    if (entry.begin != end || entry.end < entry.begin || entry.end > data.size() || !fills(entry))
      return bundle_error("tensor " + entry.tensor.name + " does not fill its bytes");
    entry.tensor.bytes = data.substr(entry.begin, entry.end - entry.begin);
    end = entry.end;
    found.tensors.push_back(std::move(entry.tensor));
  }
  if (end != data.size())
    return bundle_error("tensors take " + std::to_string(end) + " bytes, " + std::to_string(data.size()) + " are there");
  return found;
}

std::string safetensors_from_outputs(const Outputs& outputs) {
  Json header = Json::object();
  std::size_t end = 0;
  for (const auto& [name, array] : outputs) {
    const std::size_t begin = end;
    end += array.values.size() * sizeof(float);
    header[name] = {{"dtype", "F32"}, {"shape", array.shape}, {"data_offsets", {begin, end}}};
  }
  const std::string text = header.dump();
  std::string data;
  data.reserve(PREFIX_BYTES + text.size() + end);
  for (std::size_t i = 0; i < PREFIX_BYTES; ++i) data += static_cast<char>(text.size() >> 8 * i);
  data += text;
  for (const auto& [name, array] : outputs)
    data.append(reinterpret_cast<const char*>(array.values.data()), array.values.size() * sizeof(float));
  return data;
}

}  // namespace fnet
