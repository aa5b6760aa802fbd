#include "tokenizer/sentencepiece/unigram.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>

#include "base/utf8.h"

namespace fnet {
namespace {

constexpr float UNKNOWN_PENALTY = 10, LARGEST_SUM = 100000;

// Never below 0, and so taken before any piece; of two ways to write the same bytes in symbols, the one of fewer.
float symbol_score(std::size_t bytes) { return static_cast<float>(0.1 * (static_cast<double>(bytes) - 1)); }

std::string name_of_byte(unsigned byte) {
  char name[8];
  std::snprintf(name, sizeof name, "<0x%02X>", byte);
  return name;
}

}  // namespace

SentencePieceUnigram::SentencePieceUnigram(const SentencePieceModel& model) : normalizer_(model) {
  if (model.byte_fallback) byte_ids_.resize(256);
  float lowest = FLT_MAX;
  for (const auto& [piece, score, type] : model.entries) {
    const auto id = static_cast<int32_t>(scores_.size());
    scores_.push_back(type == SentencePieceModel::USER_DEFINED ? symbol_score(piece.size()) : score);
    if (type == SentencePieceModel::UNKNOWN) unknown_ = id;
    if (type == SentencePieceModel::NORMAL) lowest = std::min(lowest, score);
    if (type == SentencePieceModel::BYTE) byte_ids_[std::stoul(piece.substr(3, 2), nullptr, 16)] = id;
    if (type != SentencePieceModel::NORMAL && type != SentencePieceModel::USER_DEFINED) continue;
    if (is_utf8(piece)) trie_.insert(from_utf8(piece), id);
  }
  unknown_score_ = lowest - UNKNOWN_PENALTY;
}

std::vector<SentencePieceUnigram::Step> SentencePieceUnigram::best_path(const std::u32string& text) const {
  struct Node {
    float score = 0;
    std::size_t begin = std::u32string::npos;
    int32_t id = 0;
  };
  std::vector<Node> best(text.size() + 1);
  std::size_t furthest = 0;
  for (std::size_t begin = 0; begin < text.size(); ++begin) {
    if (const float offset = best[begin].score; std::abs(offset) > LARGEST_SUM) {  // so that sums keep their last digits
      for (std::size_t i = begin; i <= furthest; ++i) {
        if (best[i].begin != text.npos) best[i].score -= offset;
      }
    }
    const float till_here = best[begin].score;
    bool known = false;
    const auto offer = [&](std::size_t length, int32_t id, float score) {
      furthest = std::max(furthest, begin + length);
      Node& node = best[begin + length];
      const float sum = score + till_here;
      if (node.begin == text.npos || sum > node.score) node = {sum, begin, id};
    };
    trie_.prefixes(std::u32string_view(text).substr(begin), [&](std::size_t length, int32_t id) {
      known = known || length == 1;
      offer(length, id, scores_[id]);
    });
    if (!known) offer(1, unknown_, unknown_score_);
  }
  std::vector<Step> path;
  for (std::size_t end = text.size(); end > 0; end = best[end].begin) path.push_back({best[end].begin, end, best[end].id});
  std::reverse(path.begin(), path.end());
  return path;
}

std::vector<Piece> SentencePieceUnigram::pieces_of(const NormalizedText& text) const {
  const auto& [characters, starts] = text;
  std::vector<Piece> found;
  bool after_unknown = false;
  for (const auto& [begin, end, id] : best_path(characters)) {
    const bool unknown = id == unknown_;
    const std::u32string surface = characters.substr(begin, end - begin);
    const Span span{starts[begin], starts[end]};
    if (unknown && !byte_ids_.empty()) {
      for (const char c : to_utf8(surface)) {
        const auto byte = static_cast<unsigned char>(c);
        const std::string name = name_of_byte(byte);
        found.push_back({{name.begin(), name.end()}, byte_ids_[byte], {span.begin, span.begin}});
      }
      found.back().span.end = span.end;  // the last has the character
    } else if (unknown && after_unknown) {
      found.back().surface += surface;
      found.back().span.end = span.end;
    } else {
      found.push_back({surface, id, span});
    }
    after_unknown = unknown;
  }
  return found;
}

}  // namespace fnet
