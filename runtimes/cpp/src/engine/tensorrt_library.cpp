// TensorRT, or TensorRT-RTX: which one the headers say. Compiled once for each, as neither's C++ classes are the other's; the build
// names their namespace apart (nvinfer1=...), so that the linker does not merge their inline functions.
#include <NvInferRuntime.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <type_traits>
#include <utility>

#include "base/library.h"
#include "base/words.h"
#include "engine/rtx_copies.h"
#include "engine/tensorrt_builder.h"
#include "engine/tensorrt_library.h"

namespace fnet {
namespace {

#ifdef TRT_MAJOR_RTX
constexpr bool RTX = true;
constexpr const char *PRODUCT = "TensorRT-RTX", *LIBRARY_VARIABLE = "FNET_TENSORRT_RTX", *LIBRARY = "libtensorrt_rtx.so";
#else
constexpr bool RTX = false;
constexpr const char *PRODUCT = "TensorRT", *LIBRARY_VARIABLE = "FNET_TENSORRT", *LIBRARY = "libnvinfer.so";
#endif
// On a host without a driver, TensorRT-RTX logs this line after every other error.
constexpr const char* DRIVER_NOISE = "cudaError 35";
constexpr std::size_t KEPT_ERRORS = 3;

// Keeps the last errors: failures have no other text.
class Log : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (severity > Severity::kERROR || std::string(message).find(DRIVER_NOISE) != std::string::npos) return;
    std::string text = message;
    text.erase(text.find_last_not_of(" \n") + 1);
    const std::lock_guard<std::mutex> lock(mutex_);
    errors_.push_back(std::move(text));
    if (errors_.size() > KEPT_ERRORS) errors_.pop_front();
  }
  std::string said() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return errors_.empty() ? "it gave no reason" : joined(errors_, "; ");
  }

 private:
  mutable std::mutex mutex_;
  std::deque<std::string> errors_;
};

// The name that the manifest gives an element type.
std::string dtype_name(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kINT64: return "int64";
    case nvinfer1::DataType::kINT32: return "int32";
    case nvinfer1::DataType::kFLOAT: return "float32";
    case nvinfer1::DataType::kHALF: return "float16";
    case nvinfer1::DataType::kBF16: return "bfloat16";
    default: return "type " + std::to_string(static_cast<int32_t>(type));
  }
}

std::vector<int64_t> axes_from_dims(const nvinfer1::Dims& dims) { return {dims.d, dims.d + std::max(dims.nbDims, 0)}; }

// Switches on the CUDA graphs that a library makes itself. The function and its type are only in headers of TensorRT-RTX 1.3 and newer.
template <class Config, class Strategy>
bool switch_on(Config& config, bool (Config::*set)(Strategy) noexcept) {
  return (config.*set)(Strategy::kWHOLE_GRAPH_CAPTURE);
}
template <class Engine, class Config = std::remove_pointer_t<decltype(std::declval<Engine&>().createRuntimeConfig())>,
          auto SET = &Config::setCudaGraphStrategy>
nvinfer1::IExecutionContext* capturing_context(Engine& engine, int) {
  const std::unique_ptr<Config> config(engine.createRuntimeConfig());
  return config && switch_on(*config, SET) ? engine.createExecutionContext(config.get()) : nullptr;
}
template <class Engine>
std::nullptr_t capturing_context(Engine&, long) {
  return nullptr;
}
constexpr bool HAS_GRAPHS = !std::is_null_pointer_v<decltype(capturing_context(std::declval<nvinfer1::ICudaEngine&>(), 0))>;

class Context : public TrtContext {
 public:
  explicit Context(nvinfer1::IExecutionContext* context) : context_(context) {}
  bool choose_profile(int number, void* stream) override {
    return context_->setOptimizationProfileAsync(number, static_cast<cudaStream_t>(stream));
  }
  bool set_shape(const std::string& input, const std::vector<std::size_t>& shape) override {
    nvinfer1::Dims dims{};
    if (shape.size() > nvinfer1::Dims::MAX_DIMS) return false;
    dims.nbDims = static_cast<int32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), dims.d);
    return context_->setInputShape(input.c_str(), dims);
  }
  std::vector<int64_t> shape(const std::string& output) const override { return axes_from_dims(context_->getTensorShape(output.c_str())); }
  bool set_address(const std::string& tensor, void* address) override { return context_->setTensorAddress(tensor.c_str(), address); }
  void set_memory(void* address, int64_t size_bytes) override { context_->setDeviceMemoryV2(address, size_bytes); }
  bool enqueue(void* stream) override { return context_->enqueueV3(static_cast<cudaStream_t>(stream)); }

 private:
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
};

class Engine : public TrtEngine {
 public:
  bool open(nvinfer1::IRuntime* runtime, const std::string& bytes, bool host_code) {
    runtime_.reset(runtime);
    if (runtime_ && host_code) runtime_->setEngineHostCodeAllowed(true);
    if (runtime_) engine_.reset(runtime_->deserializeCudaEngine(bytes.data(), bytes.size()));
    return engine_ != nullptr;
  }
  nvinfer1::ILogger& log() { return log_; }

  std::vector<EngineTensor> tensors() const override {
    std::vector<EngineTensor> found;
    for (int32_t i = 0; i < engine_->getNbIOTensors(); ++i) {
      const char* name = engine_->getIOTensorName(i);
      found.push_back({name, dtype_name(engine_->getTensorDataType(name)), axes_from_dims(engine_->getTensorShape(name)),
                       engine_->getTensorIOMode(name) == nvinfer1::TensorIOMode::kOUTPUT});
    }
    return found;
  }
  std::unique_ptr<TrtContext> context(ContextKind kind) const override {
    using Strategy = nvinfer1::ExecutionContextAllocationStrategy;
    nvinfer1::IExecutionContext* const made =
        kind == ContextKind::capturing
            ? capturing_context(*engine_, 0)
            : engine_->createExecutionContext(kind == ContextKind::without_memory ? Strategy::kUSER_MANAGED : Strategy::kSTATIC);
    if (!made) return nullptr;
    made->setNvtxVerbosity(nvinfer1::ProfilingVerbosity::kNONE);  // an engine built with details would send NVTX a range per layer
    return std::make_unique<Context>(made);
  }
  int64_t memory_bytes() const override { return engine_->getDeviceMemorySizeV2(); }
  GraphMaker graph_maker() const override { return !RTX ? GraphMaker::session : HAS_GRAPHS ? GraphMaker::library : GraphMaker::nobody; }
  std::string said() const override { return log_.said(); }

 private:
  Log log_;  // outlives both
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
};

Result<TrtLibrary> opened(const std::string& file) {
  const std::string name = LIBRARY;
  const auto open = [&] {
    return library_from_names(PRODUCT, file, LIBRARY_VARIABLE, {name + "." + std::to_string(NV_TENSORRT_MAJOR), name});
  };
  const auto library = RTX ? rtx_copies_of_process().opened(RtxCopy::library, open) : open();
  if (!library) return library.error();
  const auto create = reinterpret_cast<decltype(&::createInferRuntime_INTERNAL)>(function_of(*library, "createInferRuntime_INTERNAL"));
  using Number = decltype(&::getInferLibMajorVersion);
  std::vector<int32_t> version;
  for (const char* part : {"getInferLibMajorVersion", "getInferLibMinorVersion", "getInferLibPatchVersion", "getInferLibBuildVersion"}) {
    if (const auto number = reinterpret_cast<Number>(function_of(*library, part))) version.push_back(number());
  }
  if (!create || version.size() != 4)
    return session_error(std::string("the library that was opened as ") + PRODUCT + " lacks its functions; expected " + LIBRARY);
  std::vector<std::string> words;
  for (const int32_t number : version) words.push_back(std::to_string(number));
  // TensorRT only adds to its classes within a major version; TensorRT-RTX 1.5 took functions out of the middle of 1.4's
  if (version[0] != NV_TENSORRT_MAJOR || (RTX && version[1] != NV_TENSORRT_MINOR)) {
    const std::string wanted = std::to_string(NV_TENSORRT_MAJOR) + (RTX ? "." + std::to_string(NV_TENSORRT_MINOR) : "");
    return session_error(std::string(PRODUCT) + " " + joined(words, ".") + ": this build of fnet_runtime was compiled for " + wanted +
                         "; name the file of such a library in " + LIBRARY_VARIABLE + ", or build with the headers of this one");
  }
  const std::string text = joined(words, ".");
  return TrtLibrary{text,
                    [create](const std::string& bytes, bool host_code) -> Result<std::unique_ptr<TrtEngine>> {
                      auto engine = std::make_unique<Engine>();
                      auto* runtime = static_cast<nvinfer1::IRuntime*>(create(&engine->log(), NV_TENSORRT_VERSION));
                      if (!engine->open(runtime, bytes, host_code)) return session_error(engine->said());
                      return std::unique_ptr<TrtEngine>(std::move(engine));
                    },
                    [opened = *library, text](const TrtBuild& build) {
                      Log log;
                      return engine_from_graph(opened, build, text, log, [&] { return log.said(); });
                    }};
}

}  // namespace

#ifdef TRT_MAJOR_RTX
Result<TrtLibrary> tensorrt_rtx_library(const std::string& file) { return opened(file); }
#else
Result<TrtLibrary> tensorrt_library(const std::string& file) { return opened(file); }
#endif

}  // namespace fnet
