#include "pipeline/golden.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/files.h"
#include "base/numbers.h"
#include "bundle/safetensors.h"

namespace fnet {
namespace {

constexpr double INFINITE = std::numeric_limits<double>::infinity();
const std::string INPUT = "input.", REFERENCE = "reference.", LIMIT = "limit.";

bool starts_with(const std::string& text, const std::string& start) { return text.compare(0, start.size(), start) == 0; }

// A limit as the exporter wrote it: a decimal number from 0, in any locale of the host program. NaN for anything else.
double limit_from_text(const std::string& text) {
  double value = NAN;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  return read.ec == std::errc() && read.ptr == end && value >= 0 && value < INFINITE ? value : NAN;
}

Result<Golden> golden_from_tensors(const SafeTensors& file) {
  Golden golden;
  for (const StoredTensor& tensor : file.tensors) {
    const bool input = starts_with(tensor.name, INPUT), reference = starts_with(tensor.name, REFERENCE);
    if (!input && !reference) return bundle_error("expected only input.* and reference.*, found " + tensor.name);
    if (tensor.dtype != (input ? "I64" : "F64") || tensor.shape.empty())
      return bundle_error("inputs must be int64 and references float64");
    if (input) golden.inputs[tensor.name.substr(INPUT.size())] = array_from_tensor<int64_t>(tensor);
    else golden.references.emplace_back(tensor.name.substr(REFERENCE.size()), array_from_tensor<double>(tensor));
  }
  if (golden.inputs.empty() || golden.references.empty()) return bundle_error("expected input.* and reference.*");
  for (const auto& [name, reference] : golden.references) {
    for (const double value : reference.values) {
      if (!std::isfinite(value)) return bundle_error("references must be finite");
    }
    const auto found = std::find_if(file.metadata.begin(), file.metadata.end(), [&n = name](const auto& m) { return m.first == LIMIT + n; });
    const double limit = found == file.metadata.end() ? NAN : limit_from_text(found->second);
    if (std::isnan(limit)) return bundle_error("expected a limit from 0 of " + name);
    golden.limits[name] = limit;
  }
  return golden;
}

// The leading part of `output` that `reference` has, or nothing when it is of another shape.
std::vector<double> leading_part(const Floats& output, const Array<double>& reference) {
  const std::size_t rank = reference.shape.size();
  if (output.shape.size() != rank || output.shape[0] != reference.shape[0]) return {};
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (output.shape[axis] < reference.shape[axis]) return {};
  }
  std::vector<double> part(reference.values.size());
  for (std::size_t i = 0; i < part.size(); ++i) {
    std::size_t rest = i, place = 0, stride = 1;
    for (std::size_t axis = rank; axis-- > 0;) {
      place += rest % reference.shape[axis] * stride;
      rest /= reference.shape[axis];
      stride *= output.shape[axis];
    }
    part[i] = output.values[place];
  }
  return part;
}

// The smallest cosine of the angles between vectors along the last axis; 1 for two of nothing but zeros.
double smallest_cosine(const std::vector<double>& got, const Array<double>& want) {
  const std::size_t width = want.shape.back();
  double smallest = INFINITE;
  std::vector<double> products(width);
  const auto dot = [&](const double* a, const double* b) {
    for (std::size_t i = 0; i < width; ++i) products[i] = a[i] * b[i];
    return pairwise_sum(products.data(), width);
  };
  for (std::size_t start = 0; start < got.size(); start += width) {
    const double *a = got.data() + start, *b = want.values.data() + start;
    const double first = std::sqrt(dot(a, a)), second = std::sqrt(dot(b, b)), scale = first * second;
    const double cosine = first == 0 && second == 0 ? 1 : scale == 0 ? 0 : dot(a, b) / scale;
    smallest = std::min(smallest, cosine);
  }
  return smallest;
}

Check check(const std::string& name, const Floats& output, const Array<double>& reference, double limit) {
  Check found{name, INFINITE, INFINITE, 0, limit, false};
  const auto part = leading_part(output, reference);
  const bool finite = std::all_of(output.values.begin(), output.values.end(), [](float value) { return std::isfinite(value); });
  if (!part.empty() && finite) {
    double scale = 0;
    found.max_abs = 0;
    for (std::size_t i = 0; i < part.size(); ++i) {
      scale = std::max(scale, std::abs(reference.values[i]));
      found.max_abs = std::max(found.max_abs, std::abs(part[i] - reference.values[i]));
    }
    found.max_rel = scale > 0 ? found.max_abs / scale : found.max_abs > 0 ? INFINITE : 0;
    found.cosine = smallest_cosine(part, reference);
  }
  found.passed = found.max_abs <= limit;
  return found;
}

}  // namespace

Result<Golden> golden_from_bytes(const std::string& data) {
  const auto file = safetensors_from_bytes(data);
  return file ? golden_from_tensors(*file) : file.error();
}

Result<Golden> golden_from_file(const std::string& path) {
  const auto refused = [&](const std::string& why) { return bundle_error(path + ": not the safetensors file of a bundle (" + why + ")"); };
  const auto data = bytes_from_file(path);
  if (const auto* fault = std::get_if<SystemFault>(&data)) return refused(fault->text());
  auto golden = golden_from_bytes(std::get<std::string>(data));
  if (!golden) return refused(golden.error().text);
  return golden;
}

std::vector<Check> checks_from_outputs(const Outputs& outputs, const Golden& golden) {
  std::vector<Check> checks;
  for (const auto& [name, reference] : golden.references) {
    const auto output = outputs.find(name);
    checks.push_back(check(name, output == outputs.end() ? Floats{} : output->second, reference, golden.limits.at(name)));
  }
  return checks;
}

}  // namespace fnet
