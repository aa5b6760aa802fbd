// One of the execution contexts of a TensorRT session, with a stream and device buffers of its own.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/array.h"
#include "engine/gpu.h"
#include "engine/tensorrt_library.h"

namespace fnet {

// The CUDA graphs that a lane keeps. Texts at their own length may have hundreds of shapes, and a graph takes memory of the GPU.
inline constexpr std::size_t MAX_GRAPHS = 32;

// For one caller at a time, on the session's GPU.
class Lane {
 public:
  // What is passed outlives the lane. `cuda_graph`: capture each shape's run as a CUDA graph, and launch that from then on.
  Lane(const Cuda& cuda, const TrtEngine& engine, const std::vector<std::string>& outputs, bool cuda_graph);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane();

  std::optional<Error> open();
  // Runs inputs with one of the engine's optimisation profiles, which holds their shapes.
  Result<Outputs> run(const Inputs& inputs, int profile);

 private:
  using Shapes = std::map<std::string, std::vector<std::size_t>>;
  struct Buffer {
    void* address;
    std::size_t size_bytes;
  };

  // Changes the optimisation profile, if this is another one than the last run's.
  std::optional<Error> choose(int profile);
  std::optional<Error> enqueue(const Inputs& inputs, Outputs& outputs);
  std::optional<Error> execute();
  // The first run of a shape is an ordinary one, in which TensorRT does what a graph must not hold; the next is captured after it.
  std::optional<Error> execute_graph(const Shapes& shapes);
  // Address of a tensor's device buffer, grown where needed.
  Result<void*> bound(const std::string& name, std::size_t size_bytes);
  void forget_graphs();

  const Cuda& cuda_;
  const TrtEngine& engine_;
  const std::vector<std::string>& output_names_;
  const bool cuda_graph_;
  std::unique_ptr<TrtContext> context_;
  int profile_ = 0;  // a new context has the first
  void* stream_ = nullptr;
  std::map<std::string, Buffer> buffers_;
  std::map<Shapes, void*> graphs_;
};

}  // namespace fnet
