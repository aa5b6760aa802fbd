// Arithmetic of scores: the same last digits as the Python runtime's, on every processor.
#pragma once

#include <cstddef>
#include <vector>

namespace fnet {

// numpy's sum along a contiguous axis: pairwise, in eight accumulators of blocks of 128.
double pairwise_sum(const double* values, std::size_t count);
// e to the power x, by operations that round alike everywhere; see fnet_runtime/pipeline/exponential.py.
double exponential(double x);
// Probabilities of logits, in float64.
std::vector<double> softmax(const double* logits, std::size_t count);
std::vector<double> softmax(const float* logits, std::size_t count);
// Indices of scores, best first, the first of equals first, NaN last; no more than `count`.
std::vector<std::size_t> ranked(const std::vector<double>& scores, std::size_t count);
// The index of the greatest, the first of equals; of NaN the first.
std::size_t greatest(const std::vector<double>& scores);
// The logistic function.
double sigmoid(double x);

}  // namespace fnet
