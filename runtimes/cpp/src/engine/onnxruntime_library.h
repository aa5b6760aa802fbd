// ONNX Runtime's library, opened at run time by its C interface alone, so that one binary works with any newer one.
#pragma once

#define ORT_API_MANUAL_INIT
#include <onnxruntime_c_api.h>

#include <string>
#include <utility>

#include "base/error.h"

namespace fnet {

// An opened library. `newer` has the functions of 1.24 as well, which register plugins and list nodes; null in an older library.
struct OrtLibrary {
  const OrtApi *api, *newer;
  OrtEnv* environment;
  std::string version;
};

// The library of a path, else that of FNET_ONNXRUNTIME, else what the loader finds. It is opened once and never closed: its threads may
// outlive any session.
Result<OrtLibrary> ort_library(const std::string& path);

// A failed call's text; releases it.
std::string text_of(const OrtApi& api, OrtStatus* status);

// Owns what ONNX Runtime made; released by one of its functions.
template <class T>
class Owned {
 public:
  explicit Owned(void(ORT_API_CALL* release)(T*)) : release_(release) {}
  Owned(Owned&& other) noexcept : release_(other.release_), value_(std::exchange(other.value_, nullptr)) {}
  Owned& operator=(Owned&&) = delete;
  ~Owned() { reset(); }
  T* get() const { return value_; }
  // A place for a new value; releases the old one.
  T** out() {
    reset();
    return &value_;
  }

 private:
  void reset() {
    if (value_) release_(std::exchange(value_, nullptr));
  }

  void(ORT_API_CALL* release_)(T*);
  T* value_ = nullptr;
};

}  // namespace fnet
