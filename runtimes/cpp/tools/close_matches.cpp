#include "close_matches.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "base/python_str.h"

namespace {

constexpr std::size_t MOST = 3;
constexpr double LEAST_RATIO = 0.6;

// Characters of the longest common part, the first of equals in `a`, then in `b`, and of those to its left and to its right.
std::size_t matched(std::u32string_view a, std::u32string_view b) {
  std::size_t longest = 0, begin_a = 0, begin_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) {
      std::size_t size = 0;
      while (i + size < a.size() && j + size < b.size() && a[i + size] == b[j + size]) ++size;
      if (size > longest) longest = size, begin_a = i, begin_b = j;
    }
  }
  if (longest == 0) return 0;
  return matched(a.substr(0, begin_a), b.substr(0, begin_b)) + longest + matched(a.substr(begin_a + longest), b.substr(begin_b + longest));
}

double ratio(const std::string& name, const std::u32string& word) {
  fnet::python::Utf8Fault fault{};
  const std::u32string characters = fnet::python::from_utf8(name, &fault);
  return 2.0 * static_cast<double>(matched(characters, word)) / static_cast<double>(characters.size() + word.size());
}

}  // namespace

std::vector<std::string> close_matches(const std::string& word, const std::vector<std::string>& names) {
  fnet::python::Utf8Fault fault{};
  const std::u32string characters = fnet::python::from_utf8(word, &fault);
  std::vector<std::pair<double, std::string>> close;
  for (const std::string& name : names) {
    if (const double found = ratio(name, characters); found >= LEAST_RATIO) close.emplace_back(found, name);
  }
  std::sort(close.begin(), close.end(), std::greater<>());
  std::vector<std::string> best;
  for (std::size_t i = 0; i < std::min(close.size(), MOST); ++i) best.push_back(close[i].second);
  std::sort(best.begin(), best.end());
  return best;
}
