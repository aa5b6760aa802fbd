// Errors are values: what every function of the library returns beside its answer.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace fnet {

// The kinds of the Python runtime's errors; see fnet_runtime/errors.py.
enum class Code {
  bundle = 1,  // the folder is not a whole, unaltered bundle of a known version
  input,       // what the caller passed cannot be an input of this bundle
  session,     // the engine cannot be opened or run on this host, or a library is missing
  no_device,   // this host has no device that the engine can run on
};

struct Error {
  Code code;
  std::string text;  // what was expected, what was found and what to do; UTF-8
};

// A value or an Error. Taking the value of an error is undefined, as with std::optional. What is taken of a temporary Result is a value
// of its own: `for (auto& answer : *pipeline.answer(question, context))` is safe.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return held_.index() == 0; }
  T& operator*() & { return *std::get_if<0>(&held_); }
  const T& operator*() const& { return *std::get_if<0>(&held_); }
  T operator*() && { return std::move(*std::get_if<0>(&held_)); }
  T* operator->() { return std::get_if<0>(&held_); }
  const T* operator->() const { return std::get_if<0>(&held_); }
  const Error& error() const& { return *std::get_if<1>(&held_); }
  Error error() && { return std::move(*std::get_if<1>(&held_)); }

 private:
  std::variant<T, Error> held_;
};

}  // namespace fnet
