#include "bundle/golden.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/files.h"
#include "base/words.h"
#include "bundle/safetensors.h"

namespace fnet {
namespace {

// A tensor is named after the number of its case, what it is, and the input or output: 0.input.input_ids.
const std::string INPUT = "input", REFERENCE = "reference", LIMIT = "limit.";

// A limit as the exporter wrote it: a decimal number from 0, in any locale of the host program. NaN for anything else.
double limit_from_text(const std::string& text) {
  double value = NAN;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  return read.ec == std::errc() && read.ptr == end && value >= 0 && std::isfinite(value) ? value : NAN;
}

// Puts a tensor into its case. An error for another name, another dtype, or numbers that are not finite.
std::optional<Error> put(const StoredTensor& tensor, std::map<std::string, Case>& cases) {
  const std::string& name = tensor.name;
  const std::size_t kind = name.find('.') + 1, rest = name.find('.', kind) + 1;
  const std::string word = kind && rest ? name.substr(kind, rest - 1 - kind) : "";
  if (word != INPUT && word != REFERENCE) return bundle_error("expected tensors named N.input.NAME and N.reference.NAME, found " + name);
  if (tensor.shape.empty()) return bundle_error("tensor " + name + " does not fill its bytes");
  Case& of_tensor = cases[name.substr(0, kind - 1)];
  if (word == INPUT) {
    if (tensor.dtype != "I64") return bundle_error("expected int64 inputs");
    of_tensor.inputs[name.substr(rest)] = array_from_tensor<int64_t>(tensor);
    return std::nullopt;
  }
  if (tensor.dtype != "F64") return bundle_error("expected finite float64 references");
  const auto& reference = of_tensor.references[name.substr(rest)] = array_from_tensor<double>(tensor);
  const bool finite = std::all_of(reference.values.begin(), reference.values.end(), [](double value) { return std::isfinite(value); });
  return finite ? std::nullopt : std::optional(bundle_error("expected finite float64 references"));
}

template <class Value>
bool have_same_names(const std::map<std::string, Value>& a, const std::map<std::string, Value>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) { return one.first == other.first; });
}

Result<Golden> golden_from_tensors(const SafeTensors& file) {
  std::map<std::string, Case> by_number;
  std::vector<std::string> names;
  for (const StoredTensor& tensor : file.tensors) {
    names.push_back(tensor.name);
    if (auto fault = put(tensor, by_number)) return *fault;
  }
  const std::string found = ", found " + joined(names);
  Golden golden;
  for (std::size_t number = 0; number < by_number.size(); ++number) {
    const auto next = by_number.find(std::to_string(number));
    if (next == by_number.end()) return bundle_error("expected cases numbered from 0 without gaps" + found);
    golden.cases.push_back(std::move(next->second));
    const Case &first = golden.cases.front(), &last = golden.cases.back();
    if (!have_same_names(first.inputs, last.inputs) || !have_same_names(first.references, last.references))
      return bundle_error("expected the same inputs and references in each case" + found);
  }
  if (golden.cases.empty() || golden.cases[0].inputs.empty() || golden.cases[0].references.empty())
    return bundle_error("expected inputs and references" + found);
  for (const std::string& tensor : names) {
    const std::string start = "0." + REFERENCE + ".";
    if (tensor.compare(0, start.size(), start) != 0) continue;
    const std::string name = tensor.substr(start.size());
    const auto text = std::find_if(file.metadata.begin(), file.metadata.end(), [&](const auto& m) { return m.first == LIMIT + name; });
    const double limit = text == file.metadata.end() ? NAN : limit_from_text(text->second);
    if (std::isnan(limit)) return bundle_error("/__metadata__: expected limit." + name + " to be a number from 0");
    golden.limits.emplace_back(name, limit);
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
