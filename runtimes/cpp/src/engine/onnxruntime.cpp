// ONNX Runtime, on the CPU or by a provider on a GPU.
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "engine/onnxruntime_library.h"
#include "engine/providers.h"
#include "engine/session.h"

namespace fnet {
namespace {

// Whether the fast int8 products of this processor are exact: with VNNI, or on another processor than x86-64.
bool multiplies_int8_exactly() {
#if defined(__x86_64__)
  constexpr unsigned FEATURES = 7, AVX_VNNI = 1U << 4;  // Intel's manual of instructions, CPUID: bit 4 of EAX in the second part of leaf 7
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool avx_vnni = __get_cpuid_count(FEATURES, 1, &a, &b, &c, &d) != 0 && (a & AVX_VNNI) != 0;
  return __builtin_cpu_supports("avx512vnni") != 0 || (avx_vnni && __builtin_cpu_supports("avx2") != 0);
#else
  return true;
#endif
}

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
  OrtSession(const OrtLibrary& library, std::vector<TensorInfo> inputs)
      : library_(library), api_(*library.api), inputs_(std::move(inputs)), session_(api_.ReleaseSession) {}

  // Opens the graph; nothing where that worked. An error of ONNX Runtime names the file.
  std::optional<Error> open(const std::string& model, const OrtChoice& choice) {
    if (auto fault = choice.provider->name == std::string(CPU) ? open_on_cpu(model, choice) : open_by_provider(model, choice)) return fault;
    return said(model, describe());
  }

  const std::vector<TensorInfo>& graph_inputs() const { return graph_inputs_; }
  std::string note() const override { return note_; }

  Result<Outputs> run(const Inputs& inputs) const override {
    if (auto fault = inputs_fault(inputs, inputs_)) return *fault;
    Outputs outputs;
    if (OrtStatus* status = run(inputs, outputs)) return session_error("ONNX Runtime failed: " + text_of(api_, status));
    return outputs;
  }

 private:
  using Entries = std::vector<std::pair<const char*, const char*>>;

  // What ONNX Runtime says against a graph, as an error; nothing for null.
  std::optional<Error> said(const std::string& model, OrtStatus* status) const {
    if (!status) return std::nullopt;
    return session_error(model + ": ONNX Runtime " + library_.version + " cannot open it (" + text_of(api_, status) + ")");
  }

  OrtStatus* make(OrtSessionOptions** options, const OrtChoice& choice, const Entries& entries) const {
    if (OrtStatus* s = api_.CreateSessionOptions(options)) return s;
    if (OrtStatus* s = api_.SetSessionLogSeverityLevel(*options, ORT_LOGGING_LEVEL_FATAL)) return s;
    // without VNNI, the fast int8 products of x86-64 overflow 16 bits; with this entry ONNX Runtime takes exact products, which are slower
    // even with VNNI
    if (!multiplies_int8_exactly()) {
      if (OrtStatus* s = api_.AddSessionConfigEntry(*options, "session.x64quantprecision", "1")) return s;
    }
    for (const auto& [key, value] : entries) {
      if (OrtStatus* s = api_.AddSessionConfigEntry(*options, key, value)) return s;
    }
    return choice.threads > 0 ? api_.SetIntraOpNumThreads(*options, choice.threads) : nullptr;
  }

  std::optional<Error> open_on_cpu(const std::string& model, const OrtChoice& choice) {
    Owned<OrtSessionOptions> options(api_.ReleaseSessionOptions);
    // the CPU's kernel for a residual and LayerNormalization at once takes several times as long as the two do (1.32, measured)
    const Entries unfused{{"optimization.disable_specified_optimizers", "SkipLayerNormFusion"}};
    if (auto fault = said(model, make(options.out(), choice, unfused))) return fault;
    if (OrtStatus* failure = api_.CreateSession(library_.environment, model.c_str(), options.get(), session_.out())) {
      // without VNNI, 1.32 cannot make exact int8 products of a weight that two nodes read; float32 is slower and exact too
      api_.ReleaseStatus(failure);
      if (auto fault = said(model, api_.AddSessionConfigEntry(options.get(), "session.disable_quant_qdq", "1"))) return fault;
      return said(model, api_.CreateSession(library_.environment, model.c_str(), options.get(), session_.out()));
    }
    return std::nullopt;
  }

  // ONNX Runtime itself refuses a graph that the provider takes only in part. It is opened once more, to list the nodes that are left.
  std::optional<Error> open_by_provider(const std::string& model, const OrtChoice& choice) {
    if (!choice.allow_partial || !lists_nodes(library_)) {
      auto fault = created(model, choice, {{NO_FALLBACK, "1"}});
      if (!fault || fault->text.find(FELL_BACK) == std::string::npos) return fault;
    }
    if (auto fault = created(model, choice, {{RECORD, "1"}})) return fault;
    const std::string left = nodes_not_taken(library_, session_.get(), *choice.provider);
    if (!left.empty() && !choice.allow_partial)
      return session_error(model + ": " + left +
                           ". Let the CPU run them with --allow-partial (Config::allow_partial), or open the bundle without a provider");
    note_ = left.empty() ? "" : left + ". The CPU runs them";
    return std::nullopt;
  }

  std::optional<Error> created(const std::string& model, const OrtChoice& choice, const Entries& entries) {
    Owned<OrtSessionOptions> options(api_.ReleaseSessionOptions);
    if (auto fault = said(model, make(options.out(), choice, entries))) return fault;
    if (auto fault = provider_fault(library_, options.get(), *choice.provider, choice.precision, choice.device)) return fault;
    return said(model, api_.CreateSession(library_.environment, model.c_str(), options.get(), session_.out()));
  }

  OrtStatus* describe() {
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

  const OrtLibrary library_;
  const OrtApi& api_;
  std::string note_;
  std::vector<TensorInfo> inputs_, graph_inputs_;
  std::vector<std::string> output_names_;
  Owned<OrtMemoryInfo> memory_{api_.ReleaseMemoryInfo};
  Owned<::OrtSession> session_;
};

}  // namespace

Result<std::unique_ptr<Session>> ort_session(const std::string& model, const std::vector<TensorInfo>& inputs, const OrtChoice& choice) {
  const auto library = ort_library(choice.library);
  if (!library) return library.error();
  auto session = std::make_unique<OrtSession>(*library, inputs);
  if (auto fault = session->open(model, choice)) return *fault;
  if (const auto fault = graph_fault(model, session->graph_inputs(), inputs)) return *fault;
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace fnet
