#include "pipeline/self_test.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "pipeline/scores.h"

namespace fnet {
namespace {

constexpr double INFINITE = std::numeric_limits<double>::infinity();

// The part of an output that its reference holds, or nothing where the shape is another or a number is not finite.
std::vector<double> kept(const Floats& output, const Array<double>& reference) {
  const std::size_t rank = reference.shape.size();
  if (!std::all_of(output.values.begin(), output.values.end(), [](float value) { return std::isfinite(value); })) return {};
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

Check check(const std::string& name, double limit, const std::vector<Outputs>& outputs, const Golden& golden) {
  double scale = 0, worst = 0, cosine = 1;
  for (std::size_t i = 0; i < golden.cases.size(); ++i) {
    const auto& reference = golden.cases[i].references.at(name);
    for (const double value : reference.values) scale = std::max(scale, std::abs(value));
    const auto output = outputs[i].find(name);
    const auto part = output == outputs[i].end() ? std::vector<double>() : kept(output->second, reference);
    for (std::size_t k = 0; k < part.size(); ++k) worst = std::max(worst, std::abs(part[k] - reference.values[k]));
    if (part.empty()) worst = INFINITE;
    cosine = std::min(cosine, part.empty() ? 0 : smallest_cosine(part, reference));
  }
  const double relative = scale > 0 ? worst / scale : worst > 0 ? INFINITE : 0;
  return {name, worst, relative, cosine, limit, worst <= limit};
}

}  // namespace

Result<std::vector<Check>> checks_from_session(const Session& session, const Golden& golden) {
  std::vector<Outputs> outputs;
  for (const Case& one : golden.cases) {
    auto found = run_in_batches(session, one.inputs);
    if (!found) return found.error();
    outputs.push_back(*std::move(found));
  }
  return checks_from_outputs(outputs, golden);
}

std::vector<Check> checks_from_outputs(const std::vector<Outputs>& outputs, const Golden& golden) {
  std::vector<Check> checks;
  for (const auto& [name, limit] : golden.limits) checks.push_back(check(name, limit, outputs, golden));
  return checks;
}

}  // namespace fnet
