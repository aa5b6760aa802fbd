// The CUDA runtime, opened at run time; only its headers are needed to build. What is used here is the same in CUDA 12 and 13.
#include <cuda_runtime_api.h>

#include <vector>

#include "base/library.h"
#include "engine/gpu.h"

// clang-format off
#define FNET_CUDA_FUNCTIONS(X)                                                                                              \
  X(cudaGetDeviceCount) X(cudaGetErrorName) X(cudaDriverGetVersion) X(cudaSetDevice) X(cudaDeviceGetAttribute)              \
  X(cudaStreamCreateWithFlags) X(cudaStreamSynchronize) X(cudaStreamDestroy) X(cudaMalloc) X(cudaFree) X(cudaHostAlloc)     \
  X(cudaFreeHost) X(cudaMemcpyAsync) X(cudaStreamBeginCapture) X(cudaStreamEndCapture) X(cudaGraphInstantiate)              \
  X(cudaGraphDestroy) X(cudaGraphLaunch) X(cudaGraphExecDestroy) X(cudaGetLastError) X(cudaGetDevice)
// clang-format on

namespace fnet {
namespace {

constexpr const char* NO_GPU = "no NVIDIA GPU on this host";
constexpr std::size_t PROPERTIES_BYTES = 16384;  // more than the struct of any version
static_assert(sizeof(cudaDeviceProp) < PROPERTIES_BYTES);
constexpr const char* LIBRARY_VARIABLE = "FNET_CUDART";

class CudaRuntime : public Cuda {
 public:
  // Whether the library has every function that is used.
  bool bind(void* library) {
#define FNET_BIND(name) &&(name##_ = reinterpret_cast<decltype(&::name)>(function_of(library, #name)))
    for (const char* name : {"cudaGetDeviceProperties_v2", "cudaGetDeviceProperties"}) {  // of CUDA 12, then of 13
      if (!properties_) properties_ = reinterpret_cast<Properties>(function_of(library, name));
    }
    return properties_ FNET_CUDA_FUNCTIONS(FNET_BIND);
#undef FNET_BIND
  }

  Result<int> device_count() const override {
    int count = 0;
    const cudaError_t code = cudaGetDeviceCount_(&count);
    if (code != cudaSuccess) return Error{Code::no_device, std::string(NO_GPU) + " (cudaGetDeviceCount: " + cudaGetErrorName_(code) + ")"};
    if (count < 1) return Error{Code::no_device, NO_GPU};
    return count;
  }

  Result<int> current() const override {
    int device = 0;
    if (const auto failed = fault("cudaGetDevice", cudaGetDevice_(&device))) return *failed;
    return device;
  }

  std::optional<Error> use(int device) const override { return fault("cudaSetDevice", cudaSetDevice_(device)); }

  Result<std::string> compute_capability(int device) const override {
    int major = 0, minor = 0;
    auto failed = fault("cudaDeviceGetAttribute", cudaDeviceGetAttribute_(&major, cudaDevAttrComputeCapabilityMajor, device));
    if (!failed) failed = fault("cudaDeviceGetAttribute", cudaDeviceGetAttribute_(&minor, cudaDevAttrComputeCapabilityMinor, device));
    if (failed) return *failed;
    return std::to_string(major) + "." + std::to_string(minor);
  }

  // The structs of CUDA 12 and 13 differ, but both begin with the name.
  Result<std::string> name(int device) const override {
    std::vector<char> properties(PROPERTIES_BYTES);
    if (const auto failed = fault("cudaGetDeviceProperties", properties_(properties.data(), device))) return *failed;
    properties.back() = 0;
    return std::string(properties.data());
  }

  Result<std::string> driver() const override {
    int version = 0;
    if (const auto failed = fault("cudaDriverGetVersion", cudaDriverGetVersion_(&version))) return *failed;
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  }

  Result<void*> stream() const override {
    cudaStream_t made = nullptr;
    if (const auto failed = fault("cudaStreamCreateWithFlags", cudaStreamCreateWithFlags_(&made, cudaStreamNonBlocking))) return *failed;
    return static_cast<void*>(made);
  }
  std::optional<Error> wait(void* stream) const override {
    return fault("cudaStreamSynchronize", cudaStreamSynchronize_(static_cast<cudaStream_t>(stream)));
  }
  void destroy_stream(void* stream) const override { cudaStreamDestroy_(static_cast<cudaStream_t>(stream)); }

  Result<void*> allocate(std::size_t size_bytes) const override {
    void* address = nullptr;
    if (const auto failed = fault("cudaMalloc", cudaMalloc_(&address, size_bytes))) return *failed;
    return address;
  }
  void free(void* address) const override { cudaFree_(address); }
  Result<void*> allocate_host(std::size_t size_bytes) const override {
    void* address = nullptr;
    if (const auto failed = fault("cudaHostAlloc", cudaHostAlloc_(&address, size_bytes, cudaHostAllocDefault))) return *failed;
    return address;
  }
  void free_host(void* address) const override { cudaFreeHost_(address); }
  std::optional<Error> copy_to_device(void* to, const void* from, std::size_t size_bytes, void* stream) const override {
    return copy(to, from, size_bytes, cudaMemcpyHostToDevice, stream);
  }
  std::optional<Error> copy_to_host(void* to, const void* from, std::size_t size_bytes, void* stream) const override {
    return copy(to, from, size_bytes, cudaMemcpyDeviceToHost, stream);
  }

  std::optional<Error> begin_capture(void* stream) const override {
    return fault("cudaStreamBeginCapture", cudaStreamBeginCapture_(static_cast<cudaStream_t>(stream), cudaStreamCaptureModeThreadLocal));
  }
  Result<void*> end_capture(void* stream) const override {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t made = nullptr;
    auto failed = fault("cudaStreamEndCapture", cudaStreamEndCapture_(static_cast<cudaStream_t>(stream), &graph));
    if (!failed) {
      failed = fault("cudaGraphInstantiate", cudaGraphInstantiate_(&made, graph, 0));
      cudaGraphDestroy_(graph);
    }
    if (!failed) return static_cast<void*>(made);
    cudaGetLastError_();  // a failed capture leaves its error behind, which later calls would report
    return *failed;
  }
  std::optional<Error> launch(void* graph, void* stream) const override {
    return fault("cudaGraphLaunch", cudaGraphLaunch_(static_cast<cudaGraphExec_t>(graph), static_cast<cudaStream_t>(stream)));
  }
  void destroy_graph(void* graph) const override { cudaGraphExecDestroy_(static_cast<cudaGraphExec_t>(graph)); }

 private:
  std::optional<Error> fault(const char* name, cudaError_t code) const {
    if (code == cudaSuccess) return std::nullopt;
    return session_error(std::string("CUDA failed (") + name + ": " + cudaGetErrorName_(code) + ")");
  }
  std::optional<Error> copy(void* to, const void* from, std::size_t size_bytes, cudaMemcpyKind kind, void* stream) const {
    return fault("cudaMemcpyAsync", cudaMemcpyAsync_(to, from, size_bytes, kind, static_cast<cudaStream_t>(stream)));
  }

  using Properties = cudaError_t (*)(void*, int);
  Properties properties_ = nullptr;
#define FNET_DECLARE(name) decltype(&::name) name##_ = nullptr;
  FNET_CUDA_FUNCTIONS(FNET_DECLARE)
#undef FNET_DECLARE
};

}  // namespace

Result<std::shared_ptr<const Cuda>> cuda_from_library() {
  const std::string name = "libcudart.so.", built_with = std::to_string(CUDART_VERSION / 1000);
  const auto library = library_from_names("the CUDA runtime", "", LIBRARY_VARIABLE, {name + built_with, name + "13", name + "12"});
  if (!library) return library.error();
  auto cuda = std::make_shared<CudaRuntime>();
  if (!cuda->bind(*library)) {
    return session_error(std::string("the library that was opened as CUDA's runtime lacks its functions; name the file of libcudart.so, "
                                     "of CUDA 12 or 13, in ") +
                         LIBRARY_VARIABLE);
  }
  return std::shared_ptr<const Cuda>(std::move(cuda));
}

}  // namespace fnet
