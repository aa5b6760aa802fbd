// A lane runs one caller's batch at a time on a GPU: a stream, execution contexts, and buffers of its own.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/array.h"
#include "base/facts.h"
#include "engine/gpu.h"
#include "engine/tensorrt_library.h"

namespace fnet {

// For one caller at a time, on the session's GPU.
//
// With `cuda_graph`, the first run of a shape is an ordinary one. Then its chain is captured as a CUDA graph, which later runs launch.
// TensorRT forbids a change to a context whose run was captured, so each graph has a context of its own. Contexts of a lane never run at
// once, so they share one memory for intermediate values. TensorRT-RTX makes its graphs itself.
class Lane {
 public:
  // What is passed outlives the lane.
  Lane(const Cuda& cuda, const TrtEngine& engine, const std::vector<std::string>& outputs, bool cuda_graph);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane();

  std::optional<Error> open();
  // Runs inputs with one of the engine's optimisation profiles, which holds their shapes.
  Result<Outputs> run(const Inputs& inputs, int profile);

 private:
  using Shape = std::vector<std::size_t>;
  using Shapes = std::map<std::string, Shape>;
  // The memory of one tensor: page-locked on the host, and as much on the GPU.
  struct Buffer {
    void *host, *device;
    std::size_t size_bytes;
  };
  // An input or output in a run of one shape.
  struct Tensor {
    std::string name;
    void *host, *device;
    Shape shape;
    std::size_t count, size_bytes;
  };
  // Runs of one shape: copy the inputs to the GPU, execute, and copy the outputs back. All addresses are fixed.
  struct Chain {
    std::vector<Tensor> inputs, outputs;
  };
  struct Graph {
    std::unique_ptr<TrtContext> context;
    Chain chain;
    void* graph;
  };

  // Puts a run into the stream. The chain says where the outputs will be.
  Result<const Chain*> start(const Inputs& inputs, int profile);
  std::optional<Error> make_context(ContextKind kind);
  // Changes the optimisation profile, if this is another one than the last run's.
  std::optional<Error> choose(int profile);
  // Prepares the context for the shapes of the inputs.
  std::optional<Error> prepare(const Inputs& inputs);
  // Binds a tensor to its buffer, which is grown where needed.
  Result<Tensor> bound(const std::string& name, Shape shape, std::size_t element_bytes);
  std::optional<Error> enqueue();
  Result<void*> captured();
  void forget_graphs();
  void free(const Buffer& buffer) const;

  const Cuda& cuda_;
  const TrtEngine& engine_;
  const std::vector<std::string>& output_names_;
  const bool cuda_graph_, captures_;
  std::unique_ptr<TrtContext> context_;  // of the last ordinary run
  int profile_ = 0;                      // a new context has the first
  Chain chain_;
  void *stream_ = nullptr, *memory_ = nullptr;
  std::map<std::string, Buffer> buffers_;
  std::map<Shapes, Graph> graphs_;
};

}  // namespace fnet
