#include "bundle/golden.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/files.h"
#include "bundle/safetensors.h"

namespace fnet {
namespace {

const std::string INPUT = "input.", REFERENCE = "reference.", LIMIT = "limit.";

bool starts_with(const std::string& text, const std::string& start) { return text.compare(0, start.size(), start) == 0; }

// A limit as the exporter wrote it: a decimal number from 0, in any locale of the host program. NaN for anything else.
double limit_from_text(const std::string& text) {
  double value = NAN;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  return read.ec == std::errc() && read.ptr == end && value >= 0 && std::isfinite(value) ? value : NAN;
}

Result<Golden> golden_from_tensors(const SafeTensors& file) {
  Golden golden;
  for (const StoredTensor& tensor : file.tensors) {
    const bool input = starts_with(tensor.name, INPUT), reference = starts_with(tensor.name, REFERENCE);
    if (!input && !reference) return bundle_error("expected tensors named input.* and reference.*, found " + tensor.name);
    if (tensor.dtype != (input ? "I64" : "F64") || tensor.shape.empty()) return bundle_error("inputs must be int64 and references float64");
    if (input) golden.inputs[tensor.name.substr(INPUT.size())] = array_from_tensor<int64_t>(tensor);
    else golden.references.emplace_back(tensor.name.substr(REFERENCE.size()), array_from_tensor<double>(tensor));
  }
  if (golden.inputs.empty() || golden.references.empty()) return bundle_error("expected tensors named input.* and reference.*");
  for (const auto& [name, reference] : golden.references) {
    for (const double value : reference.values) {
      if (!std::isfinite(value)) return bundle_error("references must be finite");
    }
    const auto found =
        std::find_if(file.metadata.begin(), file.metadata.end(), [&n = name](const auto& m) { return m.first == LIMIT + n; });
    const double limit = found == file.metadata.end() ? NAN : limit_from_text(found->second);
    if (std::isnan(limit)) return bundle_error("/__metadata__: expected limit." + name + " to be a number from 0");
    golden.limits[name] = limit;
  }
  return golden;
}

}  // namespace

Result<Golden> golden_from_bytes(const std::string& data) {
  const auto file = safetensors_from_bytes(data);
  return file ? golden_from_tensors(*file) : file.error();
}

Result<Golden> golden_from_file(const std::string& path) {
  const auto refused = [&](const std::string& why) {
    return bundle_error(path + ": not the golden.safetensors of a bundle (" + why + ")");
  };
  const auto data = bytes_from_file(path);
  if (const auto* fault = std::get_if<SystemFault>(&data)) return refused(fault->text());
  auto golden = golden_from_bytes(std::get<std::string>(data));
  if (!golden) return refused(golden.error().text);
  return golden;
}

}  // namespace fnet
