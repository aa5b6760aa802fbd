#include "tokenizer/charsmap.h"

#include <algorithm>
#include <optional>

#include "base/utf8.h"
#include "tokenizer/unicode.h"

namespace fnet {
namespace {

constexpr std::size_t SHORT_CLUSTER = 6;  // bytes

// Strict: padded, and no character that is not of the alphabet.
std::optional<std::string> bytes_from_base64(const std::string& text) {
  static constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t held = 0, bits = 0;
  for (std::size_t i = 0; i < text.size() - padding; ++i) {
    std::size_t value = alphabet.find(text[i]);
    if (value == std::string_view::npos) return std::nullopt;
    held = (held << 6 | static_cast<std::uint32_t>(value)) & 0xFFFF;
    bits += 6;
    if (bits >= 8) bytes += static_cast<char>(held >> (bits -= 8) & 0xFF);
  }
  return bytes;
}

// One unit of darts-clone's double array.
bool has_leaf(std::uint32_t unit) { return unit >> 8 & 1; }
std::uint32_t label(std::uint32_t unit) { return unit & (1u << 31 | 0xFF); }
std::size_t offset(std::uint32_t unit) { return static_cast<std::size_t>(unit >> 10) << ((unit & 1u << 9) >> 6); }
std::size_t value(std::uint32_t unit) { return unit & ~(1u << 31); }

std::uint32_t little_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t number = 0;
  for (std::size_t i = 4; i-- > 0;) number = number << 8 | static_cast<unsigned char>(bytes[at + i]);
  return number;
}

}  // namespace

Result<Charsmap> Charsmap::from_base64(const std::string& text) {
  auto bytes = bytes_from_base64(text);
  if (!bytes) return bundle_error("precompiled_charsmap is not base64");
  return from_bytes(*bytes);
}

Result<Charsmap> Charsmap::from_bytes(const std::string& bytes) {
  std::size_t size = bytes.size() < 4 ? 0 : little_endian(bytes, 0);
  if (size == 0 || size % 4 || size > bytes.size() - 4) return bundle_error("precompiled_charsmap is cut off");
  Charsmap map;
  map.units_.reserve(size / 4);
  for (std::size_t at = 4; at < 4 + size; at += 4) map.units_.push_back(little_endian(bytes, at));
  map.texts_ = bytes.substr(4 + size);
  if (!is_utf8(map.texts_)) return bundle_error("precompiled_charsmap holds text that is not UTF-8");
  return map;
}

bool Charsmap::is_sound() const {
  constexpr std::size_t BLOCK = 256;
  const auto is_value = [&](std::size_t node) { return label(units_[node]) > 0xFF; };
  if (units_.size() % BLOCK || texts_.empty() || texts_.back() != '\0') return false;
  if (label(units_[0]) != 0 || has_leaf(units_[0]) || offset(units_[0]) == 0) return false;
  for (std::size_t node = 0; node < units_.size(); ++node) {
    const std::size_t next = node ^ offset(units_[node]);
    if (is_value(node) ? value(units_[node]) >= texts_.size() : (next | 0xFF) >= units_.size()) return false;
    if (!is_value(node) && has_leaf(units_[node]) && !is_value(next)) return false;
  }
  return true;
}

std::size_t Charsmap::longest_key() const {
  std::vector<bool> is_parent(units_.size());  // by the place of the children, but for their labels
  std::size_t depth = 0;
  for (std::vector<std::size_t> reached{0}; !reached.empty(); depth += !reached.empty()) {
    std::fill(is_parent.begin(), is_parent.end(), false);
    for (const std::size_t node : reached) is_parent[node ^ offset(units_[node])] = true;
    reached.clear();
    for (std::size_t node = 0; node < units_.size(); ++node) {
      const std::uint32_t byte = label(units_[node]);
      if (byte > 0 && byte <= 0xFF && is_parent[node ^ byte]) reached.push_back(node);
    }
  }
  return depth;
}

template <class Found>
void Charsmap::prefixes(std::string_view bytes, Found found) const {
  std::size_t node = offset(units_[0]);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto byte = static_cast<unsigned char>(bytes[i]);
    node ^= byte;
    if (byte == 0 || node >= units_.size() || label(units_[node]) != byte) return;
    bool leaf = has_leaf(units_[node]);
    node ^= offset(units_[node]);
    if (!leaf) continue;
    std::size_t begin = node < units_.size() ? value(units_[node]) : texts_.size();
    if (!found(i + 1, begin < texts_.size() ? texts_.c_str() + begin : nullptr)) return;
  }
}

std::size_t Charsmap::longest(std::string_view bytes, std::u32string& made) const {
  std::size_t longest = 0;
  const char* text = nullptr;
  prefixes(bytes, [&](std::size_t length, const char* replacement) {
    longest = length, text = replacement;
    return true;
  });
  if (!text) return 0;
  made = from_utf8(text);
  return longest;
}

bool Charsmap::replacement(std::string_view key, std::u32string& made) const {
  bool is_text = false;
  prefixes(key, [&](std::size_t, const char* text) {
    if (text) made = from_utf8(text), is_text = is_utf8(text);
    return false;
  });
  return is_text;
}

bool Charsmap::append_replaced(std::string_view key, std::size_t count, std::vector<Change>& changes, std::u32string& scratch) const {
  if (!replacement(key, scratch)) return false;
  for (std::size_t i = 0; i < scratch.size(); ++i) changes.push_back({scratch[i], i < count ? 0 : 1});
  if (scratch.size() < count && !changes.empty()) changes.back().change -= static_cast<int>(count - scratch.size());
  return true;
}

void Charsmap::apply(AlignedText& text) const {
  const std::u32string& characters = text.characters;
  std::vector<Change> changes;
  changes.reserve(characters.size());
  bool replaced = false;
  std::string key;
  std::u32string scratch;
  for (std::size_t begin = 0, end; begin < characters.size(); begin = end) {
    end = unicode::cluster_end(characters, begin);
    key.clear();
    for (std::size_t i = begin; i < end && key.size() < SHORT_CLUSTER; ++i) append_utf8(key, characters[i]);
    if (key.size() < SHORT_CLUSTER && append_replaced(key, end - begin, changes, scratch)) {
      replaced = true;
      continue;
    }
    for (std::size_t i = begin; i < end; ++i) {
      key.clear();
      append_utf8(key, characters[i]);
      if (append_replaced(key, 1, changes, scratch)) {
        replaced = true;
      } else {
        changes.push_back({characters[i], 0});
      }
    }
  }
  if (replaced) text.transform(changes);
}

}  // namespace fnet
