// Pieces of a vocabulary by their prefixes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/flat_map.h"

namespace fnet {

class Trie {
 public:
  static constexpr std::int32_t NONE = -1;

  // The later of two equal keys counts.
  void insert(std::u32string_view key, std::int32_t id) {
    std::uint32_t node = 0;
    for (char32_t c : key) {
      std::uint32_t& child = children_[edge(node, c)];
      if (child == 0) {
        child = static_cast<std::uint32_t>(ids_.size());
        ids_.push_back(NONE);
      }
      node = child;
    }
    ids_[node] = id;
  }

  // Calls `found(length, id)` for every key that the text begins with, the shortest first; the empty key is none.
  template <class Found>
  void prefixes(std::u32string_view text, Found found) const {
    std::uint32_t node = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const std::uint32_t* child = children_.find(edge(node, text[i]));
      if (!child) return;
      node = *child;
      if (ids_[node] != NONE) found(i + 1, ids_[node]);
    }
  }

  // The id of a key, or NONE.
  std::int32_t find(std::u32string_view key) const {
    std::uint32_t node = 0;
    for (char32_t c : key) {
      const std::uint32_t* child = children_.find(edge(node, c));
      if (!child) return NONE;
      node = *child;
    }
    return ids_[node];
  }

 private:
  static std::uint64_t edge(std::uint32_t node, char32_t c) { return std::uint64_t{node} << 21 | c; }

  FlatMap<std::uint32_t> children_;
  std::vector<std::int32_t> ids_{NONE};
};

}  // namespace fnet
