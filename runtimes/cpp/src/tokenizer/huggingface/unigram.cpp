// The Unigram model: the best path by the sum of its pieces' scores.
#include <array>
#include <limits>
#include <unordered_map>

#include "base/utf8.h"
#include "tokenizer/huggingface/model.h"
#include "tokenizer/trie.h"

namespace fnet {
namespace {

constexpr double UNKNOWN_PENALTY = 10;

class Unigram final : public TokenModel {
 public:
  Unigram(std::vector<ScoredPiece> pieces, std::size_t unknown, bool byte_fallback)
      : pieces_(std::move(pieces)), unknown_(static_cast<std::int32_t>(unknown)), byte_fallback_(byte_fallback) {
    double lowest = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      auto id = static_cast<std::int32_t>(i);
      ids_[pieces_[i].piece] = id;
      trie_.insert(from_utf8(pieces_[i].piece), id);
      lowest = std::min(lowest, pieces_[i].score);
    }
    unknown_score_ = lowest - UNKNOWN_PENALTY;
    for (std::size_t byte = 0; byte < bytes_.size(); ++byte) {
      static constexpr char digits[] = "0123456789ABCDEF";
      bytes_[byte] = id(std::string("<0x") + digits[byte >> 4] + digits[byte & 15] + ">");
    }
  }

  void append(std::u32string_view word, const Span* spans, std::vector<Token>& tokens) const override {
    thread_local std::vector<Node> path;
    find_path(word, path);
    thread_local std::vector<Piece> reversed;
    reversed.clear();
    for (std::size_t end = word.size(); end > 0;) {
      std::size_t begin = path[end].begin;
      std::int32_t id = path[end].id;
      if (id == unknown_) {  // those in a row are one
        while (begin > 0 && path[begin].id == unknown_) begin = path[begin].begin;
      }
      reversed.push_back({id, begin, end});
      end = begin;
    }
    for (auto piece = reversed.rbegin(); piece != reversed.rend(); ++piece) {
      std::size_t begin = spans[piece->begin].begin, end = spans[piece->end - 1].end;
      if (piece->id != unknown_) {
        tokens.push_back({piece->id, begin, end});
      } else {
        append_unknown(word.substr(piece->begin, piece->end - piece->begin), begin, end, tokens);
      }
    }
  }

  std::int32_t id(const std::string& piece) const override {
    auto found = ids_.find(piece);
    return found == ids_.end() ? Trie::NONE : found->second;
  }
  const std::string* piece(std::int32_t id) const override {
    return id >= 0 && static_cast<std::size_t>(id) < pieces_.size() ? &pieces_[static_cast<std::size_t>(id)].piece : nullptr;
  }
  std::size_t size() const override { return pieces_.size(); }

 private:
  // The best way to end a piece at a place: its score, where the piece begins (nowhere yet: NOWHERE), its id.
  struct Node {
    double score;
    std::size_t begin;
    std::int32_t id;
  };
  struct Piece {
    std::int32_t id;
    std::size_t begin, end;
  };
  static constexpr std::size_t NOWHERE = static_cast<std::size_t>(-1);

  void find_path(std::u32string_view word, std::vector<Node>& path) const {
    path.assign(word.size() + 1, {0, NOWHERE, 0});
    for (std::size_t begin = 0; begin < word.size(); ++begin) {
      double till_here = path[begin].score;
      auto offer = [&](std::size_t length, std::int32_t id, double score) {
        Node& node = path[begin + length];
        if (node.begin == NOWHERE || score + till_here > node.score) node = {score + till_here, begin, id};
      };
      bool known = false;
      trie_.prefixes(word.substr(begin), [&](std::size_t length, std::int32_t id) {
        known = known || length == 1;
        offer(length, id, pieces_[static_cast<std::size_t>(id)].score);
      });
      if (!known) offer(1, unknown_, unknown_score_);
    }
  }

  void append_unknown(std::u32string_view text, std::size_t begin, std::size_t end, std::vector<Token>& tokens) const {
    std::int32_t whole = trie_.find(text);
    if (whole == Trie::NONE && byte_fallback_) {
      std::string bytes = to_utf8(std::u32string(text));
      bool all = true;
      for (char byte : bytes) all = all && bytes_[static_cast<unsigned char>(byte)] != Trie::NONE;
      if (all) {
        for (char byte : bytes) tokens.push_back({bytes_[static_cast<unsigned char>(byte)], begin, end});
        return;
      }
    }
    tokens.push_back({whole == Trie::NONE ? unknown_ : whole, begin, end});
  }

  std::vector<ScoredPiece> pieces_;
  std::unordered_map<std::string, std::int32_t> ids_;
  Trie trie_;
  std::array<std::int32_t, 256> bytes_{};
  std::int32_t unknown_;
  double unknown_score_ = 0;
  bool byte_fallback_;
};

}  // namespace

Result<std::unique_ptr<TokenModel>> unigram_model(std::vector<ScoredPiece> pieces, std::size_t unknown, bool byte_fallback) {
  if (unknown >= pieces.size()) return bundle_error("unk_id is not in the vocabulary");
  return std::unique_ptr<TokenModel>(std::make_unique<Unigram>(std::move(pieces), unknown, byte_fallback));
}

}  // namespace fnet
