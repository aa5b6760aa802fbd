#include "engine/lane.h"

#include <new>

#include "base/words.h"

namespace fnet {

Lane::Lane(const Cuda& cuda, const TrtEngine& engine, const std::vector<std::string>& outputs, bool cuda_graph)
    : cuda_(cuda), engine_(engine), output_names_(outputs), cuda_graph_(cuda_graph) {}

Lane::~Lane() {
  context_.reset();
  forget_graphs();
  for (const auto& [name, buffer] : buffers_) cuda_.free(buffer.address);
  if (stream_) cuda_.destroy_stream(stream_);
}

std::optional<Error> Lane::open() {
  context_ = engine_.context();
  if (!context_) return session_error("could not create an execution context; usually the GPU is out of memory: " + engine_.said());
  auto made = cuda_.stream();
  if (!made) return made.error();
  stream_ = *made;
  return std::nullopt;
}

Result<Outputs> Lane::run(const Inputs& inputs, int profile) {
  Outputs outputs;
  std::optional<Error> failed;
  try {
    failed = choose(profile);
    if (!failed) failed = enqueue(inputs, outputs);
  } catch (const std::bad_alloc&) {
    failed = session_error("out of memory");
  }
  const auto unfinished = cuda_.wait(stream_);  // even then: the copies that were enqueued read and write host memory
  if (failed) return *failed;
  if (unfinished) return *unfinished;
  return outputs;
}

std::optional<Error> Lane::choose(int profile) {
  if (profile == profile_) return std::nullopt;
  if (!context_->choose_profile(profile, stream_))
    return session_error("the engine refuses its optimisation profile " + std::to_string(profile) + ": " + engine_.said());
  profile_ = profile;
  forget_graphs();  // after a change, TensorRT updates what its layers use, but in an ordinary run alone
  return std::nullopt;
}

std::optional<Error> Lane::enqueue(const Inputs& inputs, Outputs& outputs) {
  Shapes shapes;
  for (const auto& [name, array] : inputs) {
    if (!context_->set_shape(name, array.shape))
      return session_error(name + ": the engine refuses the shape " + shown(array.shape) + ": " + engine_.said());
    shapes[name] = array.shape;
    const std::size_t size_bytes = array.values.size() * sizeof(int64_t);
    auto address = bound(name, size_bytes);
    if (!address) return address.error();
    if (auto failed = cuda_.copy_to_device(*address, array.values.data(), size_bytes, stream_)) return failed;
  }
  for (const std::string& name : output_names_) {
    Floats& array = outputs[name];
    std::size_t count = 1;
    for (const int64_t length : context_->shape(name)) {
      if (length < 0) return session_error(name + ": the engine cannot tell the output's shape; export again");
      array.shape.push_back(static_cast<std::size_t>(length));
      count *= array.shape.back();
    }
    array.values.resize(count);
    if (auto address = bound(name, count * sizeof(float)); !address) return address.error();
  }
  if (auto failed = cuda_graph_ ? execute_graph(shapes) : execute()) return failed;
  for (auto& [name, array] : outputs) {
    const auto failed = cuda_.copy_to_host(array.values.data(), buffers_.at(name).address, array.values.size() * sizeof(float), stream_);
    if (failed) return failed;
  }
  return std::nullopt;
}

std::optional<Error> Lane::execute() {
  return context_->enqueue(stream_) ? std::nullopt : std::optional(session_error("the engine failed: " + engine_.said()));
}

std::optional<Error> Lane::execute_graph(const Shapes& shapes) {
  const auto known = graphs_.find(shapes);
  if (known != graphs_.end()) return cuda_.launch(known->second, stream_);
  if (graphs_.size() == MAX_GRAPHS) forget_graphs();
  if (auto failed = execute()) return failed;
  if (auto failed = cuda_.begin_capture(stream_)) return failed;
  const auto failed = execute();
  auto graph = cuda_.end_capture(stream_);
  if (failed) {
    if (graph) cuda_.destroy_graph(*graph);
    return failed;
  }
  if (!graph) return graph.error();
  graphs_[shapes] = *graph;
  return std::nullopt;
}

Result<void*> Lane::bound(const std::string& name, std::size_t size_bytes) {
  const auto found = buffers_.find(name);
  if (found == buffers_.end() || found->second.size_bytes < size_bytes) {
    if (found != buffers_.end()) {
      forget_graphs();  // they have the old address
      cuda_.free(found->second.address);
      buffers_.erase(found);
    }
    auto address = cuda_.allocate(size_bytes);
    if (!address) return address;
    buffers_[name] = {*address, size_bytes};
  }
  void* const address = buffers_.at(name).address;
  if (!context_->set_address(name, address)) return session_error(name + ": the engine refuses its buffer: " + engine_.said());
  return address;
}

void Lane::forget_graphs() {
  for (const auto& [shapes, graph] : graphs_) cuda_.destroy_graph(graph);
  graphs_.clear();
}

}  // namespace fnet
