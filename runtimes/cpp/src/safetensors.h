// The safetensors format: 8 bytes of length, a JSON header, the tensors. (github.com/huggingface/safetensors, README)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "error.h"

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

}  // namespace fnet
