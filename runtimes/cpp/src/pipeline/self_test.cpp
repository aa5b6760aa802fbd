#include "pipeline/self_test.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "pipeline/scores.h"

namespace fnet {
namespace {

constexpr double INFINITE = std::numeric_limits<double>::infinity();

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

std::vector<Check> checks_from_outputs(const Outputs& outputs, const Golden& golden) {
  std::vector<Check> checks;
  for (const auto& [name, reference] : golden.references) {
    const auto output = outputs.find(name);
    checks.push_back(check(name, output == outputs.end() ? Floats{} : output->second, reference, golden.limits.at(name)));
  }
  return checks;
}

}  // namespace fnet
