// The TensorRT session against stand-ins for the library and for CUDA.
#include <atomic>
#include <thread>

#include "catch.h"
#include "host_trt.h"

using namespace host_trt;

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
  CHECK(host.held() == 0);
}

TEST_CASE("a session that ends leaves the current GPU as it was") {
  Host host;
  host.devices = 2;
  {
    const auto session = opened(host, {1});
    REQUIRE(session);
    REQUIRE((*session)->run(rows(1)));
    CHECK(host.device == 1);
    host.device = 0;
  }
  CHECK(host.device == 0);
  CHECK(host.held() == 0);
}

TEST_CASE("a batch below the profile's smallest is filled") {
  const Host host;
  auto info = INFO;
  info.profiles = {{{"batch_size", {2, 2, 2}}}};
  const auto session = opened(host, {}, info);
  const auto outputs = fnet::run_in_batches(**session, rows(3));
  REQUIRE(outputs);
  CHECK(outputs->at("y").values == sums(3));
  const auto refused = (*session)->run(rows(3));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == fnet::Code::input);
  CHECK(refused.error().text ==
        "expected what the engine was built for: batch_size 2 to 2; found batch_size 3. Open the bundle "
        "with the runtime onnxruntime, or export it with another --batch-profile or --length-profile");
}

TEST_CASE("a failure half-way leaks nothing") {
  for (const std::string name : {"cudaStreamCreateWithFlags", "cudaMalloc", "cudaHostAlloc", "cudaMemcpyAsync", "cudaGraphLaunch"}) {
    for (const bool cuda_graph : {false, true}) {
      for (int after = 0; after < 4; ++after) {
        Host host;
        host.fails = name, host.fails_after = after;
        {
          const auto session = opened(host, {0, 1, cuda_graph});
          if (session) {
            for (const std::size_t count : {1, 3, 2, 2}) {
              const auto outputs = (*session)->run(rows(count));
              if (outputs) CHECK(outputs->at("y").values == sums(count));
              else CHECK(outputs.error().text.find(name) != std::string::npos);
            }
            host.fails = "";
            CHECK((*session)->run(rows(3)));
          }
        }
        CHECK(host.held() == 0);
      }
    }
  }
}

TEST_CASE("the first profile that holds the shapes is chosen, if it is not the last run's") {
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
    // a graph has a context of its own, which starts with the first profile
    CHECK(host.profiles == (cuda_graph ? std::vector<int>(5, 1) : std::vector<int>{1, 0, 1, 0, 1}));
    CHECK(host.changed_after_capture == 0);
    const auto refused = (*session)->run(texts_of_length(9));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == fnet::Code::input);
    CHECK(refused.error().text ==
          "expected what the engine was built for: batch_size 1 to 3, sequence_length 1 to 4 or batch_size 1 to 3, sequence_length 3 to "
          "8; found batch_size 2, sequence_length 9. Open the bundle with the runtime onnxruntime, or export it with another "
          "--batch-profile or --length-profile");
  }
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
      CHECK(host.streams == contexts);
      CHECK(host.most_running <= contexts);
      CHECK((host.launches > 0) == cuda_graph);
      CHECK(host.changed_after_capture == 0);
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
  CHECK(fault_of(*with([](Host& h) { h.fails = "cudaStreamCreateWithFlags"; })) == at + "CUDA failed (cudaStreamCreateWithFlags: 2)");
  CHECK(fault_of(*with([](Host& h) { h.binds = false; })) == "x: the engine refuses its buffer: out of memory");
  CHECK(fault_of(*with([](Host& h) { h.knows_shape = false; })) == "y: the engine does not know the output's shape; export again");
  for (const std::string name : {"cudaMalloc", "cudaHostAlloc", "cudaMemcpyAsync", "cudaStreamSynchronize"})
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
