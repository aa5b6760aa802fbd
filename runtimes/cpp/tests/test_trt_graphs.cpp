// The CUDA graphs of a TensorRT session, against stand-ins for the library and for CUDA.
#include "base/facts.h"
#include "catch.h"
#include "host_trt.h"

using namespace host_trt;

TEST_CASE("the second run of a shape is one launch, until a buffer grows") {
  const Host host;
  {
    const auto session = opened(host, {0, 1, true});
    std::vector<int> launches;
    for (const std::size_t count : {1, 1, 3, 1, 1, 3, 3}) {
      const auto outputs = (*session)->run(rows(count, static_cast<int64_t>(count)));
      REQUIRE(outputs);
      CHECK(outputs->at("y").values == sums(count, static_cast<int64_t>(count)));
      launches.push_back(host.launches);
    }
    CHECK(launches == std::vector<int>{0, 1, 1, 1, 2, 3, 4});  // the third run moves the buffers
    CHECK(host.graphs == 2);
    CHECK(host.made_graphs == 3);
    CHECK(host.enqueued == 2 * host.made_graphs);  // once to run and once to capture
    CHECK(host.changed_after_capture == 0);
  }
  CHECK(host.held() == 0);
}

TEST_CASE("without the option nothing is captured") {
  const Host host;
  const auto session = opened(host);
  for (int i = 0; i < 3; ++i) REQUIRE((*session)->run(rows(1)));
  CHECK(host.made_graphs == 0);
  CHECK(host.contexts == 1);
}

TEST_CASE("a lane keeps a bounded number of CUDA graphs") {
  const Host host;
  auto info = INFO;
  info.profiles = {{{"batch_size", {1, 2, 64}}}};
  const auto session = opened(host, {0, 1, true}, info);
  for (std::size_t count = fnet::MAX_GRAPHS + 2; count > 0; --count) {  // buffers never move
    REQUIRE((*session)->run(rows(count, 1)));
    CHECK(host.graphs <= static_cast<int>(fnet::MAX_GRAPHS));
  }
  CHECK(host.graphs == 2);
  CHECK(host.contexts_alive == 2);
}

TEST_CASE("a run that cannot be captured is an error, and the next one may be") {
  for (const std::string name : {"cudaStreamBeginCapture", "cudaStreamEndCapture"}) {
    Host host;
    host.fails = name;
    {
      const auto session = opened(host, {0, 1, true});
      const auto refused = (*session)->run(rows(2));
      REQUIRE_FALSE(refused);
      CHECK(refused.error().text == "a run cannot become a CUDA graph (CUDA failed (" + name + ": 2)); open the bundle without cuda_graph");
      CHECK(host.graphs == 0);
      host.fails = "";
      const auto outputs = (*session)->run(rows(2));
      REQUIRE(outputs);
      CHECK(outputs->at("y").values == sums(2));
      CHECK(host.graphs == 1);
    }
    CHECK(host.held() == 0);
  }
  Host host;
  host.executes = false, host.executes_until = 2;
  {
    const auto session = opened(host, {0, 1, true});
    const auto refused = (*session)->run(rows(2));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text ==
          "a run cannot become a CUDA graph (the engine failed: out of memory); open the bundle without cuda_graph");
  }
  CHECK(host.held() == 0);
}

TEST_CASE("TensorRT-RTX makes its CUDA graphs itself") {
  Host host;
  host.graph_maker = fnet::GraphMaker::library;
  const auto session = opened(host, {0, 1, true});
  for (const std::size_t count : {1, 2, 1}) {
    const auto outputs = (*session)->run(rows(count));
    REQUIRE(outputs);
    CHECK(outputs->at("y").values == sums(count));
  }
  CHECK(host.made_graphs == 0);
  CHECK(host.capturing_contexts == 1);
  CHECK(host.contexts == 1);
  host.graph_maker = fnet::GraphMaker::nobody;
  CHECK(fault_of(host, {0, 1, true}) == FILE_NAME +
                                            ": TensorRT-RTX makes no CUDA graphs in this build; expected the headers of 1.3 or newer. "
                                            "Open the bundle without cuda_graph");
  CHECK(fault_of(host).empty());
}

TEST_CASE("a CUDA graph has the profile of its length") {
  Host host;
  host.input_axes = {-1, -1};
  const auto session = opened_for_lengths(host, {0, 1, true});
  std::vector<int> launches;
  for (const std::size_t length : {6, 6, 5, 6, 2, 6, 2}) {
    const auto outputs = (*session)->run(texts_of_length(length));
    REQUIRE(outputs);
    CHECK(outputs->at("y").values == std::vector<float>(2, static_cast<float>(length)));
    launches.push_back(host.launches);
  }
  CHECK(launches == std::vector<int>{0, 1, 1, 2, 2, 3, 4});
  CHECK(host.graphs == 3);
}
