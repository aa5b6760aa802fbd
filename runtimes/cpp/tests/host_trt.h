// Stand-ins for a library of TensorRT and for CUDA, whose device memory is host memory, and an engine that adds up the rows of x.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <thread>

#include "engine/tensorrt.h"

namespace host_trt {

using fnet::Error, fnet::Result, fnet::session_error;
inline const std::string FILE_NAME = (std::filesystem::temp_directory_path() / "fnet_trt_session_test.engine").string();

inline constexpr auto MEETING_TIME = std::chrono::seconds(20);

// What the stand-ins do, and what they saw.
struct Host {
  int devices = 1, contexts_to_give = 99;
  bool accepts = true, accepts_profiles = true, binds = true, knows_shape = true, executes = true;
  int executes_until = 0;  // without `executes`: the number of runs after which the engine fails
  std::string fails;       // the CUDA function that does
  std::string dtype = "float32";
  std::vector<int64_t> input_axes{-1, 2};
  std::chrono::microseconds run_time{0};
  int meeting = 0;      // runs that wait for each other, for as long as MEETING_TIME, before the first one ends
  int fails_after = 0;  // calls of the function that fails which succeed before
  fnet::GraphMaker graph_maker = fnet::GraphMaker::session;

  mutable std::atomic<int> device{0};  // that is current
  mutable std::vector<int> profiles;   // those that were chosen
  mutable std::atomic<int> contexts{0}, contexts_alive{0}, capturing_contexts{0}, changed_after_capture{0};
  mutable std::atomic<int> allocated{0}, freed{0}, pinned{0}, streams{0}, graphs{0}, made_graphs{0}, launches{0};
  mutable std::atomic<int> enqueued{0}, running{0}, most_running{0}, calls{0};
  int held() const { return allocated - freed + pinned + streams + graphs + contexts_alive; }
};

// Work of a stream is done when somebody waits for it, never before; new memory is full of garbage. So what reads an output too early, or
// writes an input too early, gets wrong answers.
using Work = std::vector<std::function<void()>>;
struct Stream {
  Work work, captured;
  bool capturing = false;
  void put(std::function<void()> step) { (capturing ? captured : work).push_back(std::move(step)); }
};
inline constexpr int GARBAGE = 0xAB;
inline constexpr int64_t MEMORY_BYTES = 64;

inline Stream& stream_of(void* stream) { return *static_cast<Stream*>(stream); }

class HostCuda : public fnet::Cuda {
 public:
  explicit HostCuda(const Host& host) : host_(host) {}
  Result<int> device_count() const override {
    if (host_.devices == 0) return Error{fnet::Code::no_device, "no NVIDIA GPU on this host"};
    return host_.devices;
  }
  std::optional<Error> use(int device) const override {
    host_.device = device;
    return fault("cudaSetDevice");
  }
  Result<int> current() const override { return host_.device.load(); }
  Result<std::string> compute_capability(int) const override { return std::string("8.9"); }
  Result<std::string> name(int) const override { return std::string("NVIDIA L4"); }
  Result<std::string> driver() const override { return std::string("13.0"); }
  Result<void*> stream() const override {
    if (auto failed = fault("cudaStreamCreateWithFlags")) return *failed;
    ++host_.streams;
    return static_cast<void*>(new Stream);
  }
  std::optional<Error> wait(void* stream) const override {
    for (const auto& step : std::exchange(stream_of(stream).work, {})) step();
    return fault("cudaStreamSynchronize");
  }
  void destroy_stream(void* stream) const override { --host_.streams, delete static_cast<Stream*>(stream); }
  Result<void*> allocate(std::size_t size_bytes) const override {
    if (auto failed = fault("cudaMalloc")) return *failed;
    ++host_.allocated;
    return filled(size_bytes);
  }
  void free(void* address) const override { ++host_.freed, std::free(address); }
  Result<void*> allocate_host(std::size_t size_bytes) const override {
    if (auto failed = fault("cudaHostAlloc")) return *failed;
    ++host_.pinned;
    return filled(size_bytes);
  }
  void free_host(void* address) const override { --host_.pinned, std::free(address); }
  std::optional<Error> copy_to_device(void* to, const void* from, std::size_t size_bytes, void* stream) const override {
    return copy(to, from, size_bytes, stream);
  }
  std::optional<Error> copy_to_host(void* to, const void* from, std::size_t size_bytes, void* stream) const override {
    return copy(to, from, size_bytes, stream);
  }
  std::optional<Error> begin_capture(void* stream) const override {
    if (auto failed = fault("cudaStreamBeginCapture")) return failed;
    stream_of(stream).capturing = true;
    return std::nullopt;
  }
  Result<void*> end_capture(void* stream) const override {
    stream_of(stream).capturing = false;
    Work work = std::exchange(stream_of(stream).captured, {});
    if (auto failed = fault("cudaStreamEndCapture")) return *failed;
    ++host_.graphs, ++host_.made_graphs;
    return static_cast<void*>(new Work(std::move(work)));
  }
  std::optional<Error> launch(void* graph, void* stream) const override {
    if (auto failed = fault("cudaGraphLaunch")) return failed;
    ++host_.launches;
    for (const auto& step : *static_cast<Work*>(graph)) stream_of(stream).put(step);
    return std::nullopt;
  }
  void destroy_graph(void* graph) const override { --host_.graphs, delete static_cast<Work*>(graph); }

 private:
  static void* filled(std::size_t size_bytes) { return std::memset(std::malloc(size_bytes), GARBAGE, size_bytes); }
  std::optional<Error> copy(void* to, const void* from, std::size_t size_bytes, void* stream) const {
    if (auto failed = fault("cudaMemcpyAsync")) return failed;
    stream_of(stream).put([=] { std::memcpy(to, from, size_bytes); });
    return std::nullopt;
  }
  std::optional<Error> fault(const char* name) const {
    if (host_.fails != name || host_.calls++ < host_.fails_after) return std::nullopt;
    return session_error(std::string("CUDA failed (") + name + ": 2)");
  }
  const Host& host_;
};

class HostContext : public fnet::TrtContext {
 public:
  HostContext(const Host& host, bool has_memory) : host_(host), has_memory_(has_memory) { ++host.contexts_alive; }
  ~HostContext() override { --host_.contexts_alive; }
  bool choose_profile(int number, void*) override {
    host_.changed_after_capture += captured_;
    host_.profiles.push_back(number);
    return host_.accepts_profiles;
  }
  bool set_shape(const std::string&, const std::vector<std::size_t>& shape) override {
    host_.changed_after_capture += captured_;
    shape_ = shape;
    return host_.accepts;
  }
  std::vector<int64_t> shape(const std::string&) const override { return {host_.knows_shape ? static_cast<int64_t>(shape_[0]) : -1}; }
  bool set_address(const std::string& tensor, void* address) override {
    host_.changed_after_capture += captured_;
    if (tensor == "x") x_ = static_cast<const int64_t*>(address);
    else y_ = static_cast<float*>(address);
    return host_.binds;
  }
  void set_memory(void* address, int64_t size_bytes) override { has_memory_ = address && size_bytes == MEMORY_BYTES; }
  bool enqueue(void* stream) override {
    captured_ = stream_of(stream).capturing;
    stream_of(stream).put([&host = host_, x = x_, y = y_, shape = shape_] { run(host, x, y, shape); });
    ++host_.enqueued;
    return has_memory_ && (host_.executes || host_.enqueued < host_.executes_until);
  }

 private:
  // Adds up the rows of x.
  static void run(const Host& host, const int64_t* x, float* y, const std::vector<std::size_t>& shape) {
    const int running = ++host.running;
    for (int most = host.most_running; most < running && !host.most_running.compare_exchange_weak(most, running);) {}
    const auto end = std::chrono::steady_clock::now() + MEETING_TIME;
    while (host.most_running < host.meeting && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    std::this_thread::sleep_for(host.run_time);
    for (std::size_t i = 0; i < shape[0]; ++i)
      y[i] = static_cast<float>(std::accumulate(x + i * shape[1], x + (i + 1) * shape[1], int64_t{0}));
    --host.running;
  }

  const Host& host_;
  bool has_memory_, captured_ = false;
  const int64_t* x_ = nullptr;
  float* y_ = nullptr;
  std::vector<std::size_t> shape_;
};

class HostEngine : public fnet::TrtEngine {
 public:
  explicit HostEngine(const Host& host) : host_(host) {}
  std::vector<fnet::EngineTensor> tensors() const override {
    return {{"x", "int64", host_.input_axes, false}, {"y", host_.dtype, {-1}, true}};
  }
  std::unique_ptr<fnet::TrtContext> context(fnet::ContextKind kind) const override {
    if (host_.contexts == host_.contexts_to_give) return nullptr;
    ++host_.contexts;
    host_.capturing_contexts += kind == fnet::ContextKind::capturing;
    return std::make_unique<HostContext>(host_, kind != fnet::ContextKind::without_memory);
  }
  int64_t memory_bytes() const override { return MEMORY_BYTES; }
  fnet::GraphMaker graph_maker() const override { return host_.graph_maker; }
  std::string said() const override { return "out of memory"; }

 private:
  const Host& host_;
};

inline const std::vector<fnet::TensorInfo> INPUTS{{"x", "int64", {std::string("batch_size"), int64_t{2}}}};
inline const fnet::EngineInfo INFO{"model.engine", "tensorrt_rtx", "1.7", {"8.9"}, {{{"batch_size", {1, 2, 3}}}}};

inline Result<std::unique_ptr<fnet::Session>> opened(const Host& host, const fnet::TrtOptions& options = {},
                                                     const fnet::EngineInfo& info = INFO, const char* bytes = "engine",
                                                     const std::vector<fnet::TensorInfo>& inputs = INPUTS) {
  std::FILE* out = std::fopen(FILE_NAME.c_str(), "wb");
  std::fputs(bytes, out);
  std::fclose(out);
  const auto library = [&](const std::string& found, bool) -> Result<std::unique_ptr<fnet::TrtEngine>> {
    if (found != "engine") return session_error("a tag does not match");
    return std::unique_ptr<fnet::TrtEngine>(std::make_unique<HostEngine>(host));
  };
  const auto trt = fnet::trt_host(
      options.device, [&] { return Result<std::shared_ptr<const fnet::Cuda>>(std::make_shared<HostCuda>(host)); },
      [&] {
        return Result<fnet::TrtLibrary>(fnet::TrtLibrary{"1.7.1", library});
      });
  if (!trt) return trt.error();
  return fnet::trt_session(FILE_NAME, info, inputs, options, *trt);
}

// A session for texts of any length, whose engine has a profile for short ones and one for longer ones.
inline Result<std::unique_ptr<fnet::Session>> opened_for_lengths(const Host& host, const fnet::TrtOptions& options = {}) {
  auto info = INFO;
  const auto batches = info.profiles[0][0];
  info.profiles = {{batches, {fnet::SEQUENCE, {1, 2, 4}}}, {batches, {fnet::SEQUENCE, {3, 6, 8}}}};
  auto inputs = INPUTS;
  inputs[0].axes[1] = fnet::SEQUENCE;
  return opened(host, options, info, "engine", inputs);
}

// Two texts of ones.
inline fnet::Inputs texts_of_length(std::size_t length) { return {{"x", {{2, length}, std::vector<int64_t>(2 * length, 1)}}}; }

inline fnet::Inputs rows(std::size_t count, int64_t first = 0) {
  fnet::Ids x{{count, 2}, {}};
  for (std::size_t i = 0; i < 2 * count; ++i) x.values.push_back(first + static_cast<int64_t>(i));
  return {{"x", x}};
}

inline std::vector<float> sums(std::size_t count, int64_t first = 0) {
  std::vector<float> expected;
  for (std::size_t i = 0; i < count; ++i) expected.push_back(static_cast<float>(2 * first + 4 * static_cast<int64_t>(i) + 1));
  return expected;
}

inline std::string fault_of(const Host& host, const fnet::TrtOptions& options = {}, const fnet::EngineInfo& info = INFO,
                            const char* bytes = "engine") {
  const auto session = opened(host, options, info, bytes);
  if (!session) return session.error().text;
  const auto outputs = (*session)->run(rows(1));
  return outputs ? "" : outputs.error().text;
}

}  // namespace host_trt
