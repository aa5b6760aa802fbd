// A CUDA runtime whose device memory is host memory and whose streams run when
// somebody waits for them: one GPU of compute capability 8.9, unless
// STAND_IN_CAPABILITY (such as 86) and STAND_IN_DRIVER (such as 13010) say
// otherwise. STAND_IN_COUNTS names a file, which says at the end how many
// graphs were launched and how many things were never freed.
#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

namespace {

using Work = std::vector<std::function<void()>>;
struct Stream {
  Work work, captured;
  bool capturing = false;
  void put(std::function<void()> step) { (capturing ? captured : work).push_back(std::move(step)); }
};
Stream& stream_of(cudaStream_t stream) { return *reinterpret_cast<Stream*>(stream); }

constexpr int GARBAGE = 0xAB;
std::atomic<int> held{0}, launches{0};

cudaError_t allocated(void** address, size_t size) {
  *address = std::memset(std::malloc(size), GARBAGE, size);
  ++held;
  return cudaSuccess;
}
cudaError_t freed(void* address) {
  std::free(address);
  --held;
  return cudaSuccess;
}

struct Counts {
  ~Counts() {
    const char* name = std::getenv("STAND_IN_COUNTS");
    if (std::FILE* out = name ? std::fopen(name, "w") : nullptr) {
      std::fprintf(out, "launches %d, held %d", launches.load(), held.load());
      std::fclose(out);
    }
  }
} counts;

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
const char* cudaGetErrorName(cudaError_t) { return "cudaErrorUnknown"; }
cudaError_t cudaDriverGetVersion(int* version) {
  const char* chosen = std::getenv("STAND_IN_DRIVER");
  *version = chosen ? std::atoi(chosen) : 13000;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  const char* chosen = std::getenv("STAND_IN_CAPABILITY");
  const int capability = chosen ? std::atoi(chosen) : 89;
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? capability / 10 : capability % 10;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "NVIDIA L4");
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  *stream = reinterpret_cast<cudaStream_t>(new Stream);
  ++held;
  return flags == cudaStreamNonBlocking ? cudaSuccess : cudaErrorUnknown;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  for (const auto& step : std::exchange(stream_of(stream).work, {})) step();
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete &stream_of(stream);
  --held;
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** address, size_t size) { return allocated(address, size); }
cudaError_t cudaFree(void* address) { return freed(address); }
cudaError_t cudaHostAlloc(void** address, size_t size, unsigned) { return allocated(address, size); }
cudaError_t cudaFreeHost(void* address) { return freed(address); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind, cudaStream_t stream) {
  stream_of(stream).put([=] { std::memcpy(to, from, size); });
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function,
                               void* data) {  // for the stand-in of TensorRT
  stream_of(stream).put([=] { function(data); });
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  stream_of(stream).capturing = true;
  return mode == cudaStreamCaptureModeThreadLocal ? cudaSuccess : cudaErrorUnknown;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  stream_of(stream).capturing = false;
  *graph = reinterpret_cast<cudaGraph_t>(new Work(std::exchange(stream_of(stream).captured, {})));
  ++held;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  *made = reinterpret_cast<cudaGraphExec_t>(new Work(*reinterpret_cast<Work*>(graph)));
  ++held;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<Work*>(graph);
  --held;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  for (const auto& step : *reinterpret_cast<Work*>(graph)) stream_of(stream).put(step);
  ++launches;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete reinterpret_cast<Work*>(graph);
  --held;
  return cudaSuccess;
}

}  // extern "C"
