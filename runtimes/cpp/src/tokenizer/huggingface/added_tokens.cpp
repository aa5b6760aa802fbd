#include "tokenizer/huggingface/added_tokens.h"

#include <algorithm>

#include "base/utf8.h"
#include "tokenizer/unicode.h"

namespace fnet {

void AddedTokens::add(const AddedToken& token, std::int32_t id, std::u32string_view spelled) {
  ids_[token.content] = id;
  if (token.special) special_.insert(token.content);
  entries_[id] = {token, std::u32string(spelled), to_utf8(std::u32string(spelled))};
}

void AddedTokens::build() {
  for (const auto& [id, entry] : entries_) {
    if (entry.spelled.empty()) continue;
    (entry.token.normalized ? normalized_ : raw_).insert(entry.spelled, id);
    any_normalized_ = any_normalized_ || entry.token.normalized;
  }
}

std::vector<Part> AddedTokens::split(std::u32string_view text, bool normalized) const {
  const Trie& trie = normalized ? normalized_ : raw_;
  std::vector<Part> parts;
  std::size_t last = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = 0;
    std::int32_t id = Trie::NONE;
    trie.prefixes(text.substr(at), [&](std::size_t found, std::int32_t of) { length = found, id = of; });
    if (length == 0) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = at += length;
    const AddedToken& token = entries_.at(id).token;
    bool in_word = (begin > 0 && unicode::is_word(text[begin - 1])) || (end < text.size() && unicode::is_word(text[end]));
    if (token.single_word && in_word) continue;
    if (token.lstrip) {
      while (begin > 0 && unicode::is_space(text[begin - 1])) --begin;
      begin = std::max(begin, last);
    }
    if (token.rstrip) {
      while (end < text.size() && unicode::is_space(text[end])) ++end;
    }
    if (last < begin) parts.push_back({Trie::NONE, last, begin});
    parts.push_back({id, begin, end});
    last = end;
  }
  if (last != text.size()) parts.push_back({Trie::NONE, last, text.size()});
  return parts;
}

std::vector<std::u32string> AddedTokens::contents() const {
  std::vector<std::u32string> contents;
  for (const auto& [id, entry] : entries_) contents.push_back(entry.spelled);
  return contents;
}

bool AddedTokens::is_plain() const {
  return std::none_of(entries_.begin(), entries_.end(), [](const auto& entry) {
    const AddedToken& token = entry.second.token;
    return token.normalized || token.single_word || token.rstrip;
  });
}

std::int32_t AddedTokens::id(const std::string& content) const {
  auto found = ids_.find(content);
  return found == ids_.end() ? Trie::NONE : found->second;
}

const std::string* AddedTokens::piece(std::int32_t id) const {
  auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second.piece;
}

}  // namespace fnet
