#include "engine/rtx_copies.h"

namespace fnet {
namespace {

constexpr const char* PLUGIN_REFUSED =
    "NvTensorRTRTXExecutionProvider has a TensorRT-RTX of its own, and this process has opened TensorRT-RTX's library. Open the bundle in "
    "another process";
constexpr const char* LIBRARY_REFUSED =
    "TensorRT-RTX's library cannot be opened, because this process has opened NvTensorRTRTXExecutionProvider, which has a TensorRT-RTX of "
    "its own. Open or build the engine in another process";

}  // namespace

Result<void*> RtxCopies::opened(RtxCopy copy, const std::function<Result<void*>()>& open) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (present_ && *present_ != copy) return session_error(copy == RtxCopy::plugin ? PLUGIN_REFUSED : LIBRARY_REFUSED);
  auto handle = open();
  if (handle) present_ = copy;
  return handle;
}

RtxCopies& rtx_copies_of_process() {
  static RtxCopies copies;
  return copies;
}

}  // namespace fnet
