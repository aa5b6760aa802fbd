// Lists of words in one text.
#pragma once

#include <string>
#include <vector>

namespace fnet {

template <class Words>
std::string joined(const Words& words, const std::string& between = ", ") {
  std::string text;
  bool first = true;
  for (const auto& word : words) {
    if (!first) text += between;
    text += word;
    first = false;
  }
  return text;
}

// A shape, such as [8, 512].
inline std::string shown(const std::vector<std::size_t>& shape) {
  std::vector<std::string> words;
  for (const std::size_t length : shape) words.push_back(std::to_string(length));
  return "[" + joined(words) + "]";
}

}  // namespace fnet
