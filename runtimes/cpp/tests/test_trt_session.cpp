// The TensorRT session against stand-ins for the library and for CUDA, whose device memory is host memory.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <thread>

#include "catch.h"
#include "engine/lane.h"
#include "engine/tensorrt.h"

namespace {

using fnet::Error, fnet::Result, fnet::session_error;
const std::string FILE_NAME = (std::filesystem::temp_directory_path() / "fnet_trt_session_test.engine").string();

constexpr auto MEETING_TIME = std::chrono::seconds(20);

// What the stand-ins do, and what they saw.
struct Host {
  int devices = 1, contexts_to_give = 99;
  bool accepts = true, accepts_profiles = true, executes = true;
  std::string fails;  // the CUDA function that does
  std::string dtype = "float32";
  std::vector<int64_t> input_axes{-1, 2};
  std::chrono::microseconds run_time{0};
  int meeting = 0;  // runs that wait for each other, for as long as MEETING_TIME, before the first one ends

  mutable std::vector<int> profiles;  // those that were chosen
  mutable std::atomic<int> contexts{0}, allocated{0}, freed{0}, streams{0}, graphs{0}, launches{0}, running{0}, most_running{0};
};

// A graph is the work that was enqueued while it was captured.
struct Work {
  const int64_t* x;
  float* y;
  std::vector<std::size_t> shape;

  // Adds up the rows of x.
  void run() const {
    for (std::size_t i = 0; i < shape[0]; ++i)
      y[i] = static_cast<float>(std::accumulate(x + i * shape[1], x + (i + 1) * shape[1], int64_t{0}));
  }
};
thread_local Work* capture = nullptr;

class HostCuda : public fnet::Cuda {
 public:
  explicit HostCuda(const Host& host) : host_(host) {}
  Result<int> device_count() const override {
    if (host_.devices == 0) return Error{fnet::Code::no_device, "no NVIDIA GPU on this host"};
    return host_.devices;
  }
  std::optional<Error> use(int) const override { return fault("cudaSetDevice"); }
  Result<std::string> compute_capability(int) const override { return std::string("8.9"); }
  Result<std::string> name(int) const override { return std::string("NVIDIA L4"); }
  Result<std::string> driver() const override { return std::string("13.0"); }
  Result<void*> stream() const override {
    if (auto failed = fault("cudaStreamCreate")) return *failed;
    ++host_.streams;
    return static_cast<void*>(new int);
  }
  std::optional<Error> wait(void*) const override { return fault("cudaStreamSynchronize"); }
  void destroy_stream(void* stream) const override { --host_.streams, delete static_cast<int*>(stream); }
  Result<void*> allocate(std::size_t size_bytes) const override {
    if (auto failed = fault("cudaMalloc")) return *failed;
    ++host_.allocated;
    return std::malloc(size_bytes);
  }
  void free(void* address) const override { ++host_.freed, std::free(address); }
  std::optional<Error> copy_to_device(void* to, const void* from, std::size_t size_bytes, void*) const override {
    std::memcpy(to, from, size_bytes);
    return std::nullopt;
  }
  std::optional<Error> copy_to_host(void* to, const void* from, std::size_t size_bytes, void*) const override {
    std::memcpy(to, from, size_bytes);
    return fault("cudaMemcpyAsync");
  }
  std::optional<Error> begin_capture(void*) const override {
    capture = new Work;
    return std::nullopt;
  }
  Result<void*> end_capture(void*) const override {
    ++host_.graphs;
    return static_cast<void*>(std::exchange(capture, nullptr));
  }
  std::optional<Error> launch(void* graph, void*) const override {
    ++host_.launches;
    static_cast<Work*>(graph)->run();
    return std::nullopt;
  }
  void destroy_graph(void* graph) const override { --host_.graphs, delete static_cast<Work*>(graph); }

 private:
  std::optional<Error> fault(const char* name) const {
    return host_.fails == name ? std::optional(session_error(std::string("CUDA failed (") + name + ": 2)")) : std::nullopt;
  }
  const Host& host_;
};

class HostContext : public fnet::TrtContext {
 public:
  explicit HostContext(const Host& host) : host_(host) {}
  bool choose_profile(int number, void*) override {
    host_.profiles.push_back(number);
    return host_.accepts_profiles;
  }
  bool set_shape(const std::string&, const std::vector<std::size_t>& shape) override {
    work_.shape = shape;
    return host_.accepts;
  }
  std::vector<int64_t> shape(const std::string&) const override { return {static_cast<int64_t>(work_.shape[0])}; }
  bool set_address(const std::string& tensor, void* address) override {
    if (tensor == "x") work_.x = static_cast<const int64_t*>(address);
    else work_.y = static_cast<float*>(address);
    return true;
  }
  bool enqueue(void*) override {
    if (capture) {
      *capture = work_;
      return host_.executes;
    }
    const int running = ++host_.running;
    for (int most = host_.most_running; most < running && !host_.most_running.compare_exchange_weak(most, running);) {}
    const auto end = std::chrono::steady_clock::now() + MEETING_TIME;
    while (host_.most_running < host_.meeting && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    std::this_thread::sleep_for(host_.run_time);
    work_.run();
    --host_.running;
    return host_.executes;
  }

 private:
  const Host& host_;
  Work work_{};
};

class HostEngine : public fnet::TrtEngine {
 public:
  explicit HostEngine(const Host& host) : host_(host) {}
  std::vector<fnet::EngineTensor> tensors() const override {
    return {{"x", "int64", host_.input_axes, false}, {"y", host_.dtype, {-1}, true}};
  }
  std::unique_ptr<fnet::TrtContext> context() const override {
    if (host_.contexts == host_.contexts_to_give) return nullptr;
    ++host_.contexts;
    return std::make_unique<HostContext>(host_);
  }
  std::string said() const override { return "out of memory"; }

 private:
  const Host& host_;
};

const std::vector<fnet::TensorInfo> INPUTS{{"x", "int64", {std::string("batch_size"), int64_t{2}}}};
const fnet::EngineInfo INFO{"model.engine", "tensorrt_rtx", "1.7", {"8.9"}, {{"batch_size", {1, 2, 3}}}, {}};

Result<std::unique_ptr<fnet::Session>> opened(const Host& host, const fnet::TrtOptions& options = {}, const fnet::EngineInfo& info = INFO,
                                              const char* bytes = "engine", const std::vector<fnet::TensorInfo>& inputs = INPUTS) {
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
Result<std::unique_ptr<fnet::Session>> opened_for_lengths(const Host& host, const fnet::TrtOptions& options = {}) {
  auto info = INFO;
  info.length_profiles = {{1, 2, 4}, {3, 6, 8}};
  auto inputs = INPUTS;
  inputs[0].axes[1] = fnet::SEQUENCE;
  return opened(host, options, info, "engine", inputs);
}

// Two texts of ones.
fnet::Inputs texts_of_length(std::size_t length) { return {{"x", {{2, length}, std::vector<int64_t>(2 * length, 1)}}}; }

fnet::Inputs rows(std::size_t count, int64_t first = 0) {
  fnet::Ids x{{count, 2}, {}};
  for (std::size_t i = 0; i < 2 * count; ++i) x.values.push_back(first + static_cast<int64_t>(i));
  return {{"x", x}};
}

std::vector<float> sums(std::size_t count, int64_t first = 0) {
  std::vector<float> expected;
  for (std::size_t i = 0; i < count; ++i) expected.push_back(static_cast<float>(2 * first + 4 * static_cast<int64_t>(i) + 1));
  return expected;
}

std::string fault_of(const Host& host, const fnet::TrtOptions& options = {}, const fnet::EngineInfo& info = INFO,
                     const char* bytes = "engine") {
  const auto session = opened(host, options, info, bytes);
  if (!session) return session.error().text;
  const auto outputs = (*session)->run(rows(1));
  return outputs ? "" : outputs.error().text;
}

}  // namespace

TEST_CASE("batches of any size run, and what they took is freed") {
  const Host host;
  {
    const auto session = opened(host);
    REQUIRE(session);
    CHECK((*session)->batch().max == 3);
    for (const std::size_t count : {1, 3, 2}) {
      const auto outputs = (*session)->run(rows(count));
      REQUIRE(outputs);
      CHECK(outputs->at("y").shape == std::vector<std::size_t>{count});
      CHECK(outputs->at("y").values == sums(count));
    }
    CHECK(host.freed == 2);  // both buffers grew once
    const auto many = fnet::run_in_batches(**session, rows(7));
    REQUIRE(many);
    CHECK(many->at("y").values == sums(7));
  }
  CHECK(host.allocated == host.freed);
  CHECK(host.streams == 0);
}

TEST_CASE("a batch below the profile's smallest is filled") {
  const Host host;
  auto info = INFO;
  info.batch_profile = {{"batch_size", {2, 2, 2}}};
  const auto session = opened(host, {}, info);
  const auto outputs = fnet::run_in_batches(**session, rows(3));
  REQUIRE(outputs);
  CHECK(outputs->at("y").values == sums(3));
  const auto refused = (*session)->run(rows(3));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == fnet::Code::input);
  CHECK(refused.error().text == "x: batch_size is 3; the engine takes 2 to 2");
}

TEST_CASE("a CUDA graph is captured once for each shape, and again when a buffer has moved") {
  const Host host;
  {
    const auto session = opened(host, {0, 1, true});
    for (const std::size_t count : {1, 1, 3, 1, 1, 3, 3}) {
      const auto outputs = (*session)->run(rows(count, static_cast<int64_t>(count)));
      REQUIRE(outputs);
      CHECK(outputs->at("y").values == sums(count, static_cast<int64_t>(count)));
    }
    CHECK(host.graphs == 2);
    CHECK(host.launches == 4);
  }
  CHECK(host.graphs == 0);
}

TEST_CASE("a context keeps a bounded number of CUDA graphs") {
  const Host host;
  auto info = INFO;
  info.batch_profile = {{"batch_size", {1, 2, 64}}};
  const auto session = opened(host, {0, 1, true}, info);
  for (std::size_t count = fnet::MAX_GRAPHS + 2; count > 0; --count) REQUIRE((*session)->run(rows(count, 1)));  // buffers never move
  CHECK(host.graphs <= static_cast<int>(fnet::MAX_GRAPHS));
  CHECK(host.graphs >= 1);
}

TEST_CASE("the first profile that holds the length of the texts is chosen, if it is not the last run's") {
  for (const bool cuda_graph : {false, true}) {
    Host host;
    host.input_axes = {-1, -1};
    const auto session = opened_for_lengths(host, {0, 1, cuda_graph});
    REQUIRE(session);
    for (const std::size_t length : {2, 6, 7, 3, 4, 8, 5, 1, 6}) {
      const auto outputs = (*session)->run(texts_of_length(length));
      REQUIRE(outputs);
      CHECK(outputs->at("y").values == std::vector<float>(2, static_cast<float>(length)));
    }
    CHECK(host.profiles == std::vector<int>{1, 0, 1, 0, 1});
    const auto refused = (*session)->run(texts_of_length(9));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == fnet::Code::input);
    CHECK(refused.error().text ==
          "expected a text of 1 to 4, 3 to 8 tokens, which the engine was built for; found 9. Open the bundle with the runtime "
          "onnxruntime, or export it with another --length-profile");
  }
}

TEST_CASE("after a change of the profile, the CUDA graphs are captured again") {
  Host host;
  host.input_axes = {-1, -1};
  const auto session = opened_for_lengths(host, {0, 1, true});
  std::vector<int> launches;
  for (const std::size_t length : {6, 6, 5, 6, 2, 6, 6}) {
    const auto outputs = (*session)->run(texts_of_length(length));
    REQUIRE(outputs);
    CHECK(outputs->at("y").values == std::vector<float>(2, static_cast<float>(length)));
    launches.push_back(host.launches);
  }
  CHECK(launches == std::vector<int>{0, 1, 1, 2, 2, 2, 3});
  CHECK(host.graphs == 1);
}

TEST_CASE("an engine that refuses a profile has failed, and is asked again") {
  Host host;
  host.input_axes = {-1, -1};
  host.accepts_profiles = false;
  const auto session = opened_for_lengths(host);
  CHECK((*session)->run(texts_of_length(4)));
  for (int i = 0; i < 2; ++i) {
    const auto refused = (*session)->run(texts_of_length(5));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == fnet::Code::session);
    CHECK(refused.error().text == "the engine refuses its optimisation profile 1: out of memory");
  }
  CHECK(host.profiles == std::vector<int>{1, 1});
}

TEST_CASE("an engine of one length is not one for texts of any length") {
  const Host host;
  const auto session = opened_for_lengths(host);
  REQUIRE_FALSE(session);
  CHECK(session.error().text ==
        FILE_NAME + ": expected the inputs x int64[\"batch_size\", \"sequence_length\"]; the graph has x " + "int64[\"batch_size\", 2]");
}

TEST_CASE("any number of callers share the contexts") {
  for (const int contexts : {1, 3}) {
    for (const bool cuda_graph : {false, true}) {
      Host host;
      host.run_time = std::chrono::microseconds(50);
      host.meeting = contexts;  // on a busy host too
      const auto session = opened(host, {0, contexts, cuda_graph});
      std::atomic<int> wrong{0};
      std::vector<std::thread> callers;
      for (int caller = 0; caller < 8; ++caller) {
        callers.emplace_back([&, caller] {
          for (int i = 0; i < 1000; ++i) {
            const auto count = static_cast<std::size_t>(1 + (caller + i) % 3);
            const auto outputs = (*session)->run(rows(count, caller));
            wrong += !outputs || outputs->at("y").values != sums(count, caller);
          }
        });
      }
      for (std::thread& caller : callers) caller.join();
      CHECK(wrong == 0);
      CHECK(host.contexts == contexts);
      CHECK(host.most_running <= contexts);
    }
  }
}

TEST_CASE("a GPU without room for another context makes do with those it has") {
  Host host;
  host.contexts_to_give = 2;
  host.run_time = std::chrono::milliseconds(1);
  const auto session = opened(host, {0, 8, false});
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller)
    callers.emplace_back([&] {
      for (int i = 0; i < 10; ++i) wrong += !(*session)->run(rows(2));
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
  CHECK(host.contexts == 2);
}

TEST_CASE("failures are told, and hold nothing") {
  const std::string at = FILE_NAME + ": ";
  const auto with = [](auto change) {
    auto host = std::make_unique<Host>();
    change(*host);
    return host;
  };
  CHECK(fault_of(Host(), {}, INFO, "other") == at + "tensorrt_rtx 1.7.1 cannot open it (built with 1.7): a tag does not match");
  CHECK(fault_of(*with([](Host& h) { h.contexts_to_give = 0; })) ==
        at + "could not create an execution context; usually the GPU is out of memory: out of memory");
  CHECK(fault_of(*with([](Host& h) { h.accepts = false; })) == "x: the engine refuses the shape [1, 2]: out of memory");
  CHECK(fault_of(*with([](Host& h) { h.executes = false; })) == "the engine failed: out of memory");
  CHECK(fault_of(*with([](Host& h) { h.fails = "cudaStreamCreate"; })) == at + "CUDA failed (cudaStreamCreate: 2)");
  for (const std::string name : {"cudaMalloc", "cudaMemcpyAsync", "cudaStreamSynchronize"})
    CHECK(fault_of(*with([&](Host& h) { h.fails = name; })) == "CUDA failed (" + name + ": 2)");
  CHECK(fault_of(*with([](Host& h) { h.dtype = "float16"; })) == at + "the output y is float16, expected float32");
  CHECK(fault_of(*with([](Host& h) {
          h.input_axes = {-1, 3};
        })) == at + "expected the inputs x int64[\"batch_size\", 2]; the graph has x int64[\"batch_size\", 3]");
  CHECK(fault_of(Host(), {3, 1, false}) == "device: expected 0 to 0, found 3");
  auto other = INFO;
  other.compute_capabilities = {"12.0"};
  CHECK(fault_of(Host(), {}, other).find("expected a GPU of compute capability 12.0, found 8.9 (NVIDIA L4). ") != std::string::npos);
  CHECK(opened(Host(), {}, other).error().code == fnet::Code::no_device);
  const auto none = with([](Host& h) { h.devices = 0; });
  CHECK(opened(*none).error().code == fnet::Code::no_device);
  CHECK(fault_of(*none) == "no NVIDIA GPU on this host");
}
