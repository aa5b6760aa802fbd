// A library of TensorRT, or TensorRT-RTX, as the headers have it, whose engines
// classify a text of ids: the first two logits are the sums of input_ids and of
// token_type_ids over 1000, the others 0. An engine file holds the sequence
// length and the number of labels. stubs.inc, which the test makes of
// NvInferImpl.h, defines classes that abort in each function but those of here.
#include <NvInfer.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <sstream>
#include <string>

#include "stubs.inc"
// stubs first
#include "stand_in_builder.h"

namespace {

using namespace nvinfer1;

struct Size {
  int32_t length = 0, labels = 0;
};

constexpr const char* NAMES[] = {"input_ids", "token_type_ids", "logits"};

constexpr int64_t MEMORY_BYTES = 512;

// A run as it was enqueued: its shape and addresses do not change after that.
struct Run {
  Size size;
  int64_t rows;
  void* addresses[3];

  static void run(void* data) {
    const Run& run = *static_cast<Run*>(data);
    auto* logits = static_cast<float*>(run.addresses[2]);
    std::fill_n(logits, run.rows * run.size.labels, 0.0F);
    for (int64_t row = 0; row < run.rows; ++row) {
      for (int i = 0; i < 2; ++i) {
        const auto* ids = static_cast<const int64_t*>(run.addresses[i]) + row * run.size.length;
        int64_t sum = 0;
        for (int32_t token = 0; token < run.size.length; ++token) sum += ids[token];
        logits[run.size.labels * row + i] = static_cast<float>(sum) / 1000;
      }
    }
  }
};

// The stand-in of CUDA, which the session has opened.
bool enqueued(cudaStream_t stream, Run& run) {
  using Launch = int (*)(cudaStream_t, void (*)(void*), void*);
  void* const cuda = dlopen(std::getenv("FNET_CUDART"), RTLD_NOW);
  const auto launch = cuda ? reinterpret_cast<Launch>(dlsym(cuda, "cudaLaunchHostFunc")) : nullptr;
  return launch && launch(stream, Run::run, &run) == 0;
}

class ContextCalls : public VExecutionContextStub {
 public:
  ContextCalls(Size size, bool has_memory) : size_(size), has_memory_(has_memory) {}
  bool setInputShape(char const*, Dims const& dims) noexcept override {
    rows_ = dims.d[0];
    return dims.nbDims == 2 && dims.d[1] == size_.length;
  }
  bool setNvtxVerbosity(ProfilingVerbosity verbosity) noexcept override { return verbosity == ProfilingVerbosity::kNONE; }
  Dims getTensorShape(char const*) const noexcept override {
    Dims dims{};
    dims.nbDims = 2;
    dims.d[0] = rows_, dims.d[1] = size_.labels;
    return dims;
  }
  bool setTensorAddress(char const* name, void* address) noexcept override {
    for (int i = 0; i < 3; ++i) {
      if (!std::strcmp(name, NAMES[i])) addresses_[i] = address;
    }
    return true;
  }
  void setDeviceMemoryV2(void* memory, int64_t size) noexcept override { has_memory_ = memory && size >= MEMORY_BYTES; }
  bool enqueueV3(cudaStream_t stream) noexcept override {
    runs_.push_back({size_, rows_, {addresses_[0], addresses_[1], addresses_[2]}});
    return has_memory_ && stream && enqueued(stream, runs_.back());
  }

 private:
  const Size size_;
  bool has_memory_;
  int64_t rows_ = 0;
  void* addresses_[3]{};
  std::deque<Run> runs_;  // a graph may repeat each of them for as long as the context lives
};

class Context : public IExecutionContext {
 public:
  Context(Size size, bool has_memory) : calls_(size, has_memory) { mImpl = &calls_; }

 private:
  ContextCalls calls_;
};

class EngineCalls : public VCudaEngineStub {
 public:
  explicit EngineCalls(Size size) : size_(size) {}
  int32_t getNbIOTensors() const noexcept override { return 3; }
  char const* getIOTensorName(int32_t index) const noexcept override { return NAMES[index]; }
  TensorIOMode getTensorIOMode(char const* name) const noexcept override {
    return std::strcmp(name, NAMES[2]) ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  DataType getTensorDataType(char const* name) const noexcept override {
    return std::strcmp(name, NAMES[2]) ? DataType::kINT64 : DataType::kFLOAT;
  }
  Dims getTensorShape(char const* name) const noexcept override {
    Dims dims{};
    dims.nbDims = 2;
    dims.d[0] = -1, dims.d[1] = std::strcmp(name, NAMES[2]) ? size_.length : size_.labels;
    return dims;
  }
  int64_t getDeviceMemorySizeV2() const noexcept override { return MEMORY_BYTES; }
  IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept override {
    return new Context(size_, strategy != ExecutionContextAllocationStrategy::kUSER_MANAGED);
  }

 private:
  const Size size_;
};

class Engine : public ICudaEngine {
 public:
  explicit Engine(Size size) : calls_(size) { mImpl = &calls_; }

 private:
  EngineCalls calls_;
};

class RuntimeCalls : public VRuntimeStub {
 public:
  explicit RuntimeCalls(ILogger& logger) : logger_(logger) {}
  ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept override {
    Size found;
    std::istringstream(std::string(static_cast<const char*>(blob), size)) >> found.length >> found.labels;
    if (found.labels > 0) return new Engine(found);
    logger_.log(ILogger::Severity::kERROR, "the engine has no labels\n");
    logger_.log(ILogger::Severity::kINTERNAL_ERROR, "cudaError 35");
    logger_.log(ILogger::Severity::kWARNING, "a warning");
    return nullptr;
  }

 private:
  ILogger& logger_;
};

class Runtime : public IRuntime {
 public:
  explicit Runtime(ILogger& logger) : calls_(logger) { mImpl = &calls_; }

 private:
  RuntimeCalls calls_;
};

}  // namespace

extern "C" {

void* createInferRuntime_INTERNAL(void* logger, int32_t) noexcept { return new Runtime(*static_cast<ILogger*>(logger)); }
void* createInferBuilder_INTERNAL(void* logger, int32_t) noexcept { return new Builder(*static_cast<ILogger*>(logger)); }
int32_t getInferLibMajorVersion() noexcept { return STAND_IN_MAJOR; }
int32_t getInferLibMinorVersion() noexcept { return NV_TENSORRT_MINOR; }
int32_t getInferLibPatchVersion() noexcept { return NV_TENSORRT_PATCH; }
int32_t getInferLibBuildVersion() noexcept { return std::stoi(text_of("STAND_IN_BUILD", "0")); }

}  // extern "C"
