#include "engine/lane.h"

#include <cstring>
#include <functional>
#include <new>
#include <numeric>

#include "base/words.h"

namespace fnet {

Lane::Lane(const Cuda& cuda, const TrtEngine& engine, const std::vector<std::string>& outputs, bool cuda_graph)
    : cuda_(cuda),
      engine_(engine),
      output_names_(outputs),
      cuda_graph_(cuda_graph),
      captures_(cuda_graph && engine.graph_maker() == GraphMaker::session) {}

Lane::~Lane() {
  forget_graphs();
  context_.reset();
  for (const auto& [name, buffer] : buffers_) free(buffer);
  if (memory_) cuda_.free(memory_);
  if (stream_) cuda_.destroy_stream(stream_);
}

std::optional<Error> Lane::open() {
  if (cuda_graph_ && engine_.graph_maker() == GraphMaker::nobody)
    return session_error(
        "TensorRT-RTX makes no CUDA graphs in this build; expected the headers of 1.3 or newer. Open the bundle without cuda_graph");
  auto made = cuda_.stream();
  if (!made) return made.error();
  stream_ = *made;
  if (!captures_) return make_context(cuda_graph_ ? ContextKind::capturing : ContextKind::ordinary);
  if (engine_.memory_bytes() == 0) return std::nullopt;
  auto memory = cuda_.allocate(static_cast<std::size_t>(engine_.memory_bytes()));
  if (!memory) return memory.error();
  memory_ = *memory;
  return std::nullopt;
}

Result<Outputs> Lane::run(const Inputs& inputs, int profile) {
  try {
    const auto chain = start(inputs, profile);
    const auto unfinished = cuda_.wait(stream_);  // even then: what was enqueued uses the buffers and the context
    if (!chain) return chain.error();
    if (unfinished) return *unfinished;
    Outputs outputs;
    for (const Tensor& tensor : (*chain)->outputs) {
      const auto* const values = static_cast<const float*>(tensor.host);
      outputs[tensor.name] = Floats{tensor.shape, {values, values + tensor.count}};
    }
    return outputs;
  } catch (const std::bad_alloc&) {
    cuda_.wait(stream_);
    return session_error("out of memory");
  }
}

Result<const Lane::Chain*> Lane::start(const Inputs& inputs, int profile) {
  const auto fill = [&](const Chain& chain) {
    for (const Tensor& tensor : chain.inputs) std::memcpy(tensor.host, inputs.at(tensor.name).values.data(), tensor.size_bytes);
  };
  Shapes shapes;
  for (const auto& [name, array] : inputs) shapes[name] = array.shape;
  if (const auto known = graphs_.find(shapes); known != graphs_.end()) {
    fill(known->second.chain);
    if (auto failed = cuda_.launch(known->second.graph, stream_)) return *failed;
    return &known->second.chain;
  }
  if (captures_) {
    if (graphs_.size() == MAX_GRAPHS) forget_graphs();
    if (auto failed = make_context(ContextKind::without_memory)) return *failed;
  }
  if (auto failed = choose(profile)) return *failed;
  if (auto failed = prepare(inputs)) return *failed;
  fill(chain_);
  if (auto failed = enqueue()) return *failed;  // in an ordinary run TensorRT does what a graph must not hold
  if (!captures_) return &chain_;
  if (auto failed = cuda_.wait(stream_)) return *failed;  // an error of this run is not one of the capture
  const auto graph = captured();
  if (!graph) return session_error("a run cannot become a CUDA graph (" + graph.error().text + "); open the bundle without cuda_graph");
  return &graphs_.emplace(shapes, Graph{std::move(context_), std::move(chain_), *graph}).first->second.chain;
}

std::optional<Error> Lane::make_context(ContextKind kind) {
  context_ = engine_.context(kind);
  profile_ = 0;
  if (!context_) return session_error("could not create an execution context; usually the GPU is out of memory: " + engine_.said());
  if (kind == ContextKind::without_memory) context_->set_memory(memory_, engine_.memory_bytes());
  return std::nullopt;
}

std::optional<Error> Lane::choose(int profile) {
  if (profile == profile_) return std::nullopt;
  if (!context_->choose_profile(profile, stream_))
    return session_error("the engine refuses its optimisation profile " + std::to_string(profile) + ": " + engine_.said());
  profile_ = profile;
  return std::nullopt;
}

std::optional<Error> Lane::prepare(const Inputs& inputs) {
  chain_ = {};
  for (const auto& [name, array] : inputs) {
    if (!context_->set_shape(name, array.shape))
      return session_error(name + ": the engine refuses the shape " + shown(array.shape) + ": " + engine_.said());
  }
  for (const auto& [name, array] : inputs) {
    auto tensor = bound(name, array.shape, sizeof(int64_t));
    if (!tensor) return tensor.error();
    chain_.inputs.push_back(*std::move(tensor));
  }
  for (const std::string& name : output_names_) {
    Shape shape;
    for (const int64_t length : context_->shape(name)) {
      if (length < 0) return session_error(name + ": the engine does not know the output's shape; export again");
      shape.push_back(static_cast<std::size_t>(length));
    }
    auto tensor = bound(name, std::move(shape), sizeof(float));
    if (!tensor) return tensor.error();
    chain_.outputs.push_back(*std::move(tensor));
  }
  return std::nullopt;
}

Result<Lane::Tensor> Lane::bound(const std::string& name, Shape shape, std::size_t element_bytes) {
  const std::size_t count = std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
  const std::size_t size_bytes = count * element_bytes;
  auto found = buffers_.find(name);
  if (found == buffers_.end() || found->second.size_bytes < size_bytes) {
    if (found != buffers_.end()) {
      forget_graphs();  // they have the old addresses
      free(found->second);
      buffers_.erase(found);
    }
    auto host = cuda_.allocate_host(size_bytes);
    if (!host) return host.error();
    auto device = cuda_.allocate(size_bytes);
    if (!device) {
      cuda_.free_host(*host);
      return device.error();
    }
    found = buffers_.emplace(name, Buffer{*host, *device, size_bytes}).first;
  }
  const Buffer& buffer = found->second;
  if (!context_->set_address(name, buffer.device)) return session_error(name + ": the engine refuses its buffer: " + engine_.said());
  return Tensor{name, buffer.host, buffer.device, std::move(shape), count, size_bytes};
}

std::optional<Error> Lane::enqueue() {
  for (const Tensor& tensor : chain_.inputs) {
    if (auto failed = cuda_.copy_to_device(tensor.device, tensor.host, tensor.size_bytes, stream_)) return failed;
  }
  if (!context_->enqueue(stream_)) return session_error("the engine failed: " + engine_.said());
  for (const Tensor& tensor : chain_.outputs) {
    if (auto failed = cuda_.copy_to_host(tensor.host, tensor.device, tensor.size_bytes, stream_)) return failed;
  }
  return std::nullopt;
}

Result<void*> Lane::captured() {
  if (auto failed = cuda_.begin_capture(stream_)) return *failed;
  const auto failed = enqueue();
  auto graph = cuda_.end_capture(stream_);  // even then: the stream must leave the capture
  if (failed) {
    if (graph) cuda_.destroy_graph(*graph);
    return *failed;
  }
  return graph;
}

void Lane::forget_graphs() {
  for (const auto& [shapes, graph] : graphs_) cuda_.destroy_graph(graph.graph);
  graphs_.clear();
}

void Lane::free(const Buffer& buffer) const {
  cuda_.free_host(buffer.host);
  cuda_.free(buffer.device);
}

}  // namespace fnet
