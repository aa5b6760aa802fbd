// The safetensors format: 8 bytes of length, a JSON header, the tensors. (github.com/huggingface/safetensors, README)
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/array.h"
#include "base/error.h"

namespace fnet {

struct StoredTensor {
  std::string name, dtype;  // dtype is I64 or F64
  std::vector<std::size_t> shape;
  std::string_view bytes;  // of the data it was read from; not aligned
};

struct SafeTensors {
  std::vector<StoredTensor> tensors;  // in the order of their bytes
  std::vector<std::pair<std::string, std::string>> metadata;
};

// Reads strictly: tensors of I64 and F64 that fill the data without gap or overlap, each of positive axes, and metadata of strings.
// The error's text is the reason alone.
Result<SafeTensors> safetensors_from_bytes(std::string_view data);

// A tensor's values; T is int64_t or double, as its dtype says.
template <class T>
Array<T> array_from_tensor(const StoredTensor& tensor) {
  Array<T> array{tensor.shape, std::vector<T>(tensor.bytes.size() / sizeof(T))};
  std::memcpy(array.values.data(), tensor.bytes.data(), tensor.bytes.size());
  return array;
}

// Writes tensors of F32.
std::string safetensors_from_outputs(const Outputs& outputs);

}  // namespace fnet
