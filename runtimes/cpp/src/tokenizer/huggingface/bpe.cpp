// The BPE model: characters, then the merge of the lowest rank, of equals the leftmost, until there is none.
#include <algorithm>
#include <optional>
#include <unordered_map>

#include "base/utf8.h"
#include "tokenizer/flat_map.h"
#include "tokenizer/huggingface/model.h"

namespace fnet {
namespace {

constexpr std::size_t NOWHERE = static_cast<std::size_t>(-1);

struct Merged {
  std::uint32_t rank;
  std::int32_t id;
};

// A piece on its way, with its neighbours; of one that was merged into another, the length is 0.
struct Symbol {
  std::int32_t id;
  std::size_t previous, next, length;
};

struct Candidate {
  std::uint32_t rank;
  std::size_t place;
  std::int32_t id;

  // So that std's heap, whose greatest is first, gives the lowest rank, leftmost.
  bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : place > other.place; }
};

class Bpe final : public TokenModel {
 public:
  explicit Bpe(const std::vector<BpePiece>& pieces) {
    for (const BpePiece& piece : pieces) {
      ids_[piece.piece] = piece.id;
      pieces_[piece.id] = piece.piece;
      std::u32string characters = from_utf8(piece.piece);
      if (characters.size() == 1) characters_[characters[0]] = piece.id;
    }
  }

  // The first piece that the vocabulary lacks.
  std::optional<std::string> learn(const std::vector<Merge>& merges, const std::string& unknown) {
    std::uint32_t rank = 0;
    for (const Merge& merge : merges) {
      for (const std::string& piece : {merge.left, merge.right, merge.left + merge.right}) {
        if (!ids_.count(piece)) return piece;
      }
      merges_[pair(ids_[merge.left], ids_[merge.right])] = {rank++, ids_[merge.left + merge.right]};
    }
    if (!ids_.count(unknown)) return unknown;
    unknown_ = ids_[unknown];
    return std::nullopt;
  }

  void append(std::u32string_view word, const Span* spans, std::vector<Token>& tokens) const override {
    thread_local std::vector<Symbol> symbols;
    fill(word, symbols);
    merge(symbols);
    std::size_t place = 0;
    for (const Symbol& symbol : symbols) {
      if (symbol.length == 0) continue;
      tokens.push_back({symbol.id, spans[place].begin, spans[place + symbol.length - 1].end});
      place += symbol.length;
    }
  }

  std::int32_t id(const std::string& piece) const override {
    auto found = ids_.find(piece);
    return found == ids_.end() ? -1 : found->second;
  }
  const std::string* piece(std::int32_t id) const override {
    auto found = pieces_.find(id);
    return found == pieces_.end() ? nullptr : &found->second;
  }
  std::size_t size() const override { return ids_.size(); }

 private:
  static std::uint64_t pair(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }

  // One symbol a character; characters that the vocabulary lacks are one together.
  void fill(std::u32string_view word, std::vector<Symbol>& symbols) const {
    symbols.clear();
    bool unknown_before = false;
    for (char32_t c : word) {
      const std::int32_t* known = characters_.find(c);
      if (!known && unknown_before) {
        ++symbols.back().length;
        continue;
      }
      std::size_t place = symbols.size();
      if (place) symbols.back().next = place;
      symbols.push_back({known ? *known : unknown_, place ? place - 1 : NOWHERE, NOWHERE, 1});
      unknown_before = !known;
    }
  }

  void merge(std::vector<Symbol>& symbols) const {
    thread_local std::vector<Candidate> heap;
    heap.clear();
    auto offer = [&](std::size_t left, std::size_t right) {
      const Merged* merged = merges_.find(pair(symbols[left].id, symbols[right].id));
      if (merged) heap.push_back({merged->rank, left, merged->id});
      return merged != nullptr;
    };
    for (std::size_t i = 1; i < symbols.size(); ++i) offer(i - 1, i);
    std::make_heap(heap.begin(), heap.end());
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end());
      Candidate top = heap.back();
      heap.pop_back();
      Symbol& left = symbols[top.place];
      if (left.length == 0 || left.next == NOWHERE) continue;
      Symbol& right = symbols[left.next];
      const Merged* merged = merges_.find(pair(left.id, right.id));
      if (!merged || merged->id != top.id) continue;  // of a pair that is no more
      left.id = top.id;
      left.length += right.length;
      left.next = right.next;
      right.length = 0;
      if (left.next != NOWHERE) symbols[left.next].previous = top.place;
      if (left.previous != NOWHERE && offer(left.previous, top.place)) std::push_heap(heap.begin(), heap.end());
      if (left.next != NOWHERE && offer(top.place, left.next)) std::push_heap(heap.begin(), heap.end());
    }
  }

  std::unordered_map<std::string, std::int32_t> ids_;
  std::unordered_map<std::int32_t, std::string> pieces_;
  FlatMap<std::int32_t> characters_;
  FlatMap<Merged> merges_;
  std::int32_t unknown_ = 0;
};

}  // namespace

Result<std::unique_ptr<TokenModel>> bpe_model(const std::vector<BpePiece>& pieces, const std::vector<Merge>& merges,
                                              const std::string& unknown) {
  auto model = std::make_unique<Bpe>(pieces);
  if (auto missing = model->learn(merges, unknown)) return bundle_error("the piece `" + *missing + "` is not in the vocabulary");
  return std::unique_ptr<TokenModel>(std::move(model));
}

}  // namespace fnet
