// The library's errors, from result.hpp, and how they are made. A reader of nested data may throw one to its own entry, never further.
#pragma once

#include "fnet/result.hpp"

namespace fnet {

inline Error bundle_error(std::string text) { return {Code::bundle, std::move(text)}; }
inline Error input_error(std::string text) { return {Code::input, std::move(text)}; }
inline Error session_error(std::string text) { return {Code::session, std::move(text)}; }

}  // namespace fnet
