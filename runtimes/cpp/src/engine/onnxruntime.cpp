// ONNX Runtime on the CPU. The library is opened at run time, by its C interface alone, so that one binary works with any newer one.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_c_api.h>

#include <mutex>

#include "base/library.h"
#include "engine/session.h"

namespace fnet {
namespace {

constexpr uint32_t API_VERSION = 17;  // of ONNX Runtime 1.17: everything used here is as old; newer libraries serve it too
constexpr const char* LIBRARY_VARIABLE = "FNET_ONNXRUNTIME";

struct Library {
  const OrtApi* api;
  OrtEnv* environment;
  std::string version;
};

// A failed call's text; releases it.
std::string text_of(const OrtApi& api, OrtStatus* status) {
  std::string text = api.GetErrorMessage(status);
  api.ReleaseStatus(status);
  return text;
}

Result<Library> library_from_file(const std::string& path) {
  const auto handle = library_from_names("ONNX Runtime", path, LIBRARY_VARIABLE, {"libonnxruntime.so.1", "libonnxruntime.so"});
  if (!handle) return handle.error();
  const auto base = reinterpret_cast<const OrtApiBase* (*)()>(function_of(*handle, "OrtGetApiBase"));
  if (!base) return session_error((path.empty() ? LIBRARY_VARIABLE : path) + ": is not ONNX Runtime's library; expected libonnxruntime.so");
  Library library{base()->GetApi(API_VERSION), nullptr, base()->GetVersionString()};
  if (!library.api)
    return session_error("ONNX Runtime " + library.version + " is too old; expected 1." + std::to_string(API_VERSION) + " or newer");
  if (OrtStatus* status = library.api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "fnet", &library.environment))
    return session_error("ONNX Runtime " + library.version + " does not start (" + text_of(*library.api, status) + ")");
  // from 1.29 on it tells Microsoft of the models that are opened, unless told not to
  if (OrtStatus* status = library.api->DisableTelemetryEvents(library.environment)) library.api->ReleaseStatus(status);
  return library;
}

// The library of a path, opened once and never closed: its threads may outlive any session.
Result<Library> shared_library(const std::string& path) {
  static std::mutex mutex;
  static std::vector<std::pair<std::string, Library>> open;
  const std::lock_guard<std::mutex> lock(mutex);
  for (const auto& [name, library] : open) {
    if (name == path) return library;
  }
  auto library = library_from_file(path);
  if (library) open.emplace_back(path, *library);
  return library;
}

// Owns what ONNX Runtime made; released by one of its functions.
template <class T>
class Owned {
 public:
  explicit Owned(void(ORT_API_CALL* release)(T*)) : release_(release) {}
  Owned(Owned&& other) noexcept : release_(other.release_), value_(std::exchange(other.value_, nullptr)) {}
  Owned& operator=(Owned&&) = delete;
  ~Owned() {
    if (value_) release_(value_);
  }
  T* get() const { return value_; }
  T** out() { return &value_; }

 private:
  void(ORT_API_CALL* release_)(T*);
  T* value_ = nullptr;
};

// The name that Python gives an element type.
std::string dtype_name(ONNXTensorElementDataType type) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return "int64";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: return "int32";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: return "float";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE: return "double";
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16: return "float16";
    default: return "type " + std::to_string(type);
  }
}

class OrtSession : public Session {
 public:
  OrtSession(const Library& library, std::vector<TensorInfo> inputs)
      : api_(*library.api), inputs_(std::move(inputs)), session_(api_.ReleaseSession) {}

  // Opens the graph. Returns what ONNX Runtime says against it, or null.
  OrtStatus* open(const Library& library, const std::string& model, int threads) {
    Owned<OrtSessionOptions> options(api_.ReleaseSessionOptions);
    if (OrtStatus* s = api_.CreateSessionOptions(options.out())) return s;
    if (OrtStatus* s = api_.SetSessionLogSeverityLevel(options.get(), ORT_LOGGING_LEVEL_FATAL)) return s;
    // its kernel for a residual and LayerNormalization at once takes several times as long as the two do (1.32, measured)
    if (OrtStatus* s = api_.AddSessionConfigEntry(options.get(), "optimization.disable_specified_optimizers", "SkipLayerNormFusion"))
      return s;
    // without VNNI, the fast int8 products of x86-64 overflow 16 bits; ONNX Runtime then takes slower, exact products
    if (OrtStatus* s = api_.AddSessionConfigEntry(options.get(), "session.x64quantprecision", "1")) return s;
    if (threads > 0) {
      if (OrtStatus* s = api_.SetIntraOpNumThreads(options.get(), threads)) return s;
    }
    if (OrtStatus* failure = api_.CreateSession(library.environment, model.c_str(), options.get(), session_.out())) {
      // without VNNI, 1.32 cannot make exact int8 products of a weight that two nodes read; float32 is slower and exact too
      api_.ReleaseStatus(failure);
      if (OrtStatus* s = api_.AddSessionConfigEntry(options.get(), "session.disable_quant_qdq", "1")) return s;
      if (OrtStatus* s = api_.CreateSession(library.environment, model.c_str(), options.get(), session_.out())) return s;
    }
    if (OrtStatus* s = api_.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, memory_.out())) return s;
    std::size_t inputs = 0, outputs = 0;
    if (OrtStatus* s = api_.SessionGetInputCount(session_.get(), &inputs)) return s;
    if (OrtStatus* s = api_.SessionGetOutputCount(session_.get(), &outputs)) return s;
    graph_inputs_.resize(inputs), output_names_.resize(outputs);
    for (std::size_t i = 0; i < inputs; ++i) {
      if (OrtStatus* s = describe_input(i)) return s;
    }
    for (std::size_t i = 0; i < outputs; ++i) {
      if (OrtStatus* s = take_name(api_.SessionGetOutputName, i, output_names_[i])) return s;
    }
    return nullptr;
  }

  const std::vector<TensorInfo>& graph_inputs() const { return graph_inputs_; }

  Result<Outputs> run(const Inputs& inputs) const override {
    if (auto fault = inputs_fault(inputs, inputs_)) return *fault;
    Outputs outputs;
    if (OrtStatus* status = run(inputs, outputs)) return session_error("ONNX Runtime failed: " + text_of(api_, status));
    return outputs;
  }

 private:
  template <class Get>
  OrtStatus* take_name(Get get, std::size_t index, std::string& name) {
    OrtAllocator* allocator = nullptr;
    char* found = nullptr;
    if (OrtStatus* s = api_.GetAllocatorWithDefaultOptions(&allocator)) return s;
    if (OrtStatus* s = get(session_.get(), index, allocator, &found)) return s;
    name = found;
    return api_.AllocatorFree(allocator, found);
  }

  OrtStatus* describe_input(std::size_t index) {
    TensorInfo& input = graph_inputs_[index];
    if (OrtStatus* s = take_name(api_.SessionGetInputName, index, input.name)) return s;
    Owned<OrtTypeInfo> type(api_.ReleaseTypeInfo);
    if (OrtStatus* s = api_.SessionGetInputTypeInfo(session_.get(), index, type.out())) return s;
    const OrtTensorTypeAndShapeInfo* tensor = nullptr;
    if (OrtStatus* s = api_.CastTypeInfoToTensorInfo(type.get(), &tensor)) return s;
    if (!tensor) return input.dtype = "no tensor", nullptr;
    ONNXTensorElementDataType element{};
    std::size_t rank = 0;
    if (OrtStatus* s = api_.GetTensorElementType(tensor, &element)) return s;
    if (OrtStatus* s = api_.GetDimensionsCount(tensor, &rank)) return s;
    std::vector<int64_t> lengths(rank);
    std::vector<const char*> names(rank);
    if (OrtStatus* s = api_.GetDimensions(tensor, lengths.data(), rank)) return s;
    if (OrtStatus* s = api_.GetSymbolicDimensions(tensor, names.data(), rank)) return s;
    input.dtype = dtype_name(element);
    for (std::size_t i = 0; i < rank; ++i) input.axes.push_back(lengths[i] < 0 ? Axis(std::string(names[i])) : Axis(lengths[i]));
    return nullptr;
  }

  OrtStatus* run(const Inputs& inputs, Outputs& outputs) const {
    std::vector<Owned<OrtValue>> fed, found;
    std::vector<const char*> input_names, output_names;
    std::vector<const OrtValue*> fed_values;
    for (const auto& [name, array] : inputs) {
      std::vector<int64_t> shape(array.shape.begin(), array.shape.end());
      input_names.push_back(name.c_str());
      fed.emplace_back(api_.ReleaseValue);
      // ONNX Runtime does not write to inputs
      if (OrtStatus* s = api_.CreateTensorWithDataAsOrtValue(memory_.get(), const_cast<int64_t*>(array.values.data()),
                                                             array.values.size() * sizeof(int64_t), shape.data(), shape.size(),
                                                             ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, fed.back().out()))
        return s;
      fed_values.push_back(fed.back().get());
    }
    std::vector<OrtValue*> values(output_names_.size());
    for (const std::string& name : output_names_) output_names.push_back(name.c_str());
    OrtStatus* status = api_.Run(session_.get(), nullptr, input_names.data(), fed_values.data(), fed_values.size(), output_names.data(),
                                 output_names.size(), values.data());
    for (OrtValue* value : values) *found.emplace_back(api_.ReleaseValue).out() = value;
    if (status) return status;
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (OrtStatus* s = take_output(found[i].get(), outputs[output_names_[i]])) return s;
    }
    return nullptr;
  }

  OrtStatus* take_output(OrtValue* value, Floats& array) const {
    Owned<OrtTensorTypeAndShapeInfo> tensor(api_.ReleaseTensorTypeAndShapeInfo);
    if (OrtStatus* s = api_.GetTensorTypeAndShape(value, tensor.out())) return s;
    ONNXTensorElementDataType element{};
    std::size_t rank = 0, count = 0;
    float* data = nullptr;
    if (OrtStatus* s = api_.GetTensorElementType(tensor.get(), &element)) return s;
    if (element != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)
      return api_.CreateStatus(ORT_INVALID_GRAPH, ("an output is " + dtype_name(element) + ", expected float").c_str());
    if (OrtStatus* s = api_.GetDimensionsCount(tensor.get(), &rank)) return s;
    std::vector<int64_t> lengths(rank);
    if (OrtStatus* s = api_.GetDimensions(tensor.get(), lengths.data(), rank)) return s;
    if (OrtStatus* s = api_.GetTensorShapeElementCount(tensor.get(), &count)) return s;
    if (OrtStatus* s = api_.GetTensorMutableData(value, reinterpret_cast<void**>(&data))) return s;
    array.shape.assign(lengths.begin(), lengths.end());
    array.values.assign(data, data + count);
    return nullptr;
  }

  const OrtApi& api_;
  std::vector<TensorInfo> inputs_, graph_inputs_;
  std::vector<std::string> output_names_;
  Owned<OrtMemoryInfo> memory_{api_.ReleaseMemoryInfo};
  Owned<::OrtSession> session_;
};

}  // namespace

Result<std::unique_ptr<Session>> ort_session(const std::string& model, const std::vector<TensorInfo>& inputs, int threads,
                                             const std::string& library) {
  const auto opened_library = shared_library(library);
  if (!opened_library) return opened_library.error();
  auto session = std::make_unique<OrtSession>(*opened_library, inputs);
  if (OrtStatus* status = session->open(*opened_library, model, threads)) {
    return session_error(model + ": ONNX Runtime " + opened_library->version + " cannot open it (" + text_of(*opened_library->api, status) +
                         ")");
  }
  if (const auto fault = graph_fault(model, session->graph_inputs(), inputs)) return *fault;
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace fnet
