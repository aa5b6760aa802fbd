#include "pipeline/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace fnet {
namespace {

constexpr std::size_t LANES = 8, BLOCK = 128;  // numpy/_core/src/umath/loops_utils.h.src

// fnet_runtime/pipeline/exponential.py has the same constants.
constexpr double PER_LN2 = 0x1.71547652b82fep+0, LN2_HIGH = 0x1.62e42feep-1, LN2_LOW = 0x1.a39ef35793c76p-33;
constexpr double LOWEST = -746, HIGHEST = 710;
constexpr int TERMS = 13;

template <class T>
std::vector<double> softmax_of(const T* logits, std::size_t count) {
  double highest = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < count; ++i) {
    const double value = logits[i];
    if (std::isnan(value) || value > highest) highest = value;
    if (std::isnan(highest)) break;
  }
  std::vector<double> powers(count);
  for (std::size_t i = 0; i < count; ++i) powers[i] = exponential(logits[i] - highest);
  const double sum = pairwise_sum(powers.data(), count);
  for (double& power : powers) power /= sum;
  return powers;
}

}  // namespace

double pairwise_sum(const double* values, std::size_t count) {
  if (count < LANES) {
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += values[i];
    return sum;
  }
  if (count > BLOCK) {
    const std::size_t half = count / 2 / LANES * LANES;
    return pairwise_sum(values, half) + pairwise_sum(values + half, count - half);
  }
  double lanes[LANES];
  std::copy(values, values + LANES, lanes);
  std::size_t i = LANES;
  for (; i + LANES <= count; i += LANES) {
    for (std::size_t k = 0; k < LANES; ++k) lanes[k] += values[i + k];
  }
  double sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  for (; i < count; ++i) sum += values[i];
  return sum;
}

double exponential(double x) {
  if (std::isnan(x)) return x;
  static const auto factors = [] {  // 1, 1/1!, 1/2!, ...
    std::vector<double> terms{1};
    double factorial = 1;
    for (int n = 1; n <= TERMS; ++n) terms.push_back(1 / (factorial *= n));
    return terms;
  }();
  x = std::min(std::max(x, LOWEST), HIGHEST);
  const double power = std::nearbyint(x * PER_LN2), rest = (x - power * LN2_HIGH) - power * LN2_LOW;
  double sum = factors[TERMS];
  for (int n = TERMS - 1; n >= 0; --n) sum = sum * rest + factors[n];
  return std::ldexp(sum, static_cast<int>(power));
}

std::vector<double> softmax(const double* logits, std::size_t count) { return softmax_of(logits, count); }
std::vector<double> softmax(const float* logits, std::size_t count) { return softmax_of(logits, count); }

// Indices of scores, best first, the first of equals first, NaN last; no more than `count`.
std::vector<std::size_t> ranked(const std::vector<double>& scores, std::size_t count) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  count = std::min(count, order.size());
  const auto before = [&](std::size_t a, std::size_t b) {
    const bool nan_a = std::isnan(scores[a]), nan_b = std::isnan(scores[b]);
    if (nan_a != nan_b) return nan_b;
    return scores[a] > scores[b] || (!(scores[b] > scores[a]) && a < b);
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(), before);
  order.resize(count);
  return order;
}

std::size_t greatest(const std::vector<double>& scores) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) return i;
    if (scores[i] > scores[best]) best = i;
  }
  return best;
}

double sigmoid(double x) { return 1 / (1 + exponential(-x)); }

}  // namespace fnet
