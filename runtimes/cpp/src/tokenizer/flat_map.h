// A hash map of integers that is filled once and then only read: one array, no node of its own for an entry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace fnet {

template <class Value>
class FlatMap {
 public:
  FlatMap() { grow(16); }

  // The value of a key, made if there is none. A key of all ones is not one.
  Value& operator[](std::uint64_t key) {
    if (2 * (size_ + 1) > slots_.size()) grow(2 * slots_.size());
    Slot& slot = slots_[place_of(key)];
    if (slot.key == EMPTY) {
      slot.key = key;
      ++size_;
    }
    return slot.value;
  }

  // Null where there is none.
  const Value* find(std::uint64_t key) const {
    const Slot& slot = slots_[place_of(key)];
    return slot.key == EMPTY ? nullptr : &slot.value;
  }

 private:
  static constexpr std::uint64_t EMPTY = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = EMPTY;
    Value value{};
  };

  std::size_t place_of(std::uint64_t key) const {
    std::size_t place = static_cast<std::size_t>((key * 0x9E3779B97F4A7C15u) >> shift_);
    while (slots_[place].key != EMPTY && slots_[place].key != key) place = (place + 1) & (slots_.size() - 1);
    return place;
  }

  void grow(std::size_t size) {
    std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(size));
    for (shift_ = 64; size > 1; size /= 2) --shift_;
    for (Slot& slot : old) {
      if (slot.key != EMPTY) slots_[place_of(slot.key)] = std::move(slot);
    }
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
  int shift_ = 64;
};

}  // namespace fnet
