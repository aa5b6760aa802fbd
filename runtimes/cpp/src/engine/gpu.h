// What a session needs of the CUDA runtime. Streams, graphs and device addresses are CUDA's own pointers.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"

namespace fnet {

// Session errors name the function that failed. Thread-safe; what has no device of its own acts on the calling thread's (`use`).
class Cuda {
 public:
  virtual ~Cuda() = default;
  // A no-device error when there is none.
  virtual Result<int> device_count() const = 0;
  virtual std::optional<Error> use(int device) const = 0;
  virtual Result<int> current() const = 0;
  // Such as 8.9.
  virtual Result<std::string> compute_capability(int device) const = 0;
  // Such as NVIDIA L4.
  virtual Result<std::string> name(int device) const = 0;
  // The version of CUDA that the driver is for, such as 13.0.
  virtual Result<std::string> driver() const = 0;

  // A stream that never waits for the default stream, so other libraries of the process do not hold it up.
  virtual Result<void*> stream() const = 0;
  virtual std::optional<Error> wait(void* stream) const = 0;
  virtual void destroy_stream(void* stream) const = 0;

  virtual Result<void*> allocate(std::size_t size_bytes) const = 0;
  virtual void free(void* address) const = 0;
  // Page-locked memory of the host: a copy from or to it does not hold up the host.
  virtual Result<void*> allocate_host(std::size_t size_bytes) const = 0;
  virtual void free_host(void* address) const = 0;
  virtual std::optional<Error> copy_to_device(void* to, const void* from, std::size_t size_bytes, void* stream) const = 0;
  virtual std::optional<Error> copy_to_host(void* to, const void* from, std::size_t size_bytes, void* stream) const = 0;

  // What this thread enqueues between the two becomes a graph, and does not run.
  virtual std::optional<Error> begin_capture(void* stream) const = 0;
  virtual Result<void*> end_capture(void* stream) const = 0;
  virtual std::optional<Error> launch(void* graph, void* stream) const = 0;
  virtual void destroy_graph(void* graph) const = 0;
};

// The CUDA runtime's library: the file that FNET_CUDART names, else what the loader finds. A session error where there is none.
Result<std::shared_ptr<const Cuda>> cuda_from_library();

}  // namespace fnet
