// Arrays that go into a model and come out of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace fnet {

// Values in row-major order.
template <class T>
struct Array {
  std::vector<std::size_t> shape;
  std::vector<T> values;

  // Values of one index of the first axis.
  std::size_t row_size() const { return shape.empty() || shape[0] == 0 ? 0 : values.size() / shape[0]; }
  // A copy of `count` indices of the first axis.
  Array rows(std::size_t start, std::size_t count) const {
    const auto at = [this](std::size_t index) { return values.begin() + static_cast<std::ptrdiff_t>(index * row_size()); };
    Array part{shape, {at(start), at(start + count)}};
    part.shape[0] = count;
    return part;
  }
  // Adds the rows of an array whose other axes are the same. An array without axes becomes the other.
  void append(Array more) {
    if (shape.empty()) {
      *this = std::move(more);
      return;
    }
    shape[0] += more.shape[0];
    values.insert(values.end(), more.values.begin(), more.values.end());
  }
};
using Ids = Array<int64_t>;
using Floats = Array<float>;
using Inputs = std::map<std::string, Ids>;
using Outputs = std::map<std::string, Floats>;

}  // namespace fnet
