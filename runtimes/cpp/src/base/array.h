// Arrays that go into a model and come out of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace fnet {

// Values in row-major order.
template <class T>
struct Array {
  std::vector<std::size_t> shape;
  std::vector<T> values;

  // Values of one index of the first axis.
  std::size_t row_size() const { return shape.empty() || shape[0] == 0 ? 0 : values.size() / shape[0]; }
};
using Ids = Array<int64_t>;
using Floats = Array<float>;
using Inputs = std::map<std::string, Ids>;
using Outputs = std::map<std::string, Floats>;

}  // namespace fnet
