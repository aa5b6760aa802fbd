// TensorRT-RTX in a process: its own library, or the copy in ONNX Runtime's plugin. Their libraries have the same names, so a process can
// use one of them.
#pragma once

#include <functional>
#include <mutex>
#include <optional>

#include "base/error.h"

namespace fnet {

enum class RtxCopy { library, plugin };

class RtxCopies {
 public:
  // Opens a copy, which stays in the process if that works. A session error, without opening anything, where the process has the other.
  Result<void*> opened(RtxCopy copy, const std::function<Result<void*>()>& open);

 private:
  std::mutex mutex_;
  std::optional<RtxCopy> present_;
};

RtxCopies& rtx_copies_of_process();

}  // namespace fnet
