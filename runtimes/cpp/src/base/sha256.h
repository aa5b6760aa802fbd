// SHA-256 (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fnet {

class Sha256 {
 public:
  using State = std::array<uint32_t, 8>;
  using AddBlocks = void (*)(State& state, const unsigned char* bytes, std::size_t blocks);
  // The ways to add blocks of 64 bytes that this processor has, the fastest last; all to the same end.
  static std::vector<AddBlocks> ways();

  explicit Sha256(AddBlocks way = ways().back()) : add_blocks_(way) {}
  void add(const void* data, std::size_t bytes);
  // The hash in lower-case hexadecimal; the object is used up.
  std::string hex();

 private:
  AddBlocks add_blocks_;
  State state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> rest_{};
  uint64_t total_ = 0;
};

}  // namespace fnet
