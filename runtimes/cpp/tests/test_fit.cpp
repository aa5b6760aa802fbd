// Whether an engine fits a host: the same cases as tests/unit/runtime/test_fit.py.
#include "catch.h"
#include "engine/fit.h"

namespace {

using fnet::Code, fnet::EngineInfo, fnet::fit_fault, fnet::Gpu;
const Gpu L4{"NVIDIA L4", "8.9"}, L40S{"NVIDIA L40S", "8.9"}, H100{"NVIDIA H100", "9.0"}, T4{"Tesla T4", "7.5"};
const std::string VERSION = "10.13.0.35";

EngineInfo info(const std::string& level = "none", bool version_compatible = false) {
  fnet::EngineBuild build;
  build.gpu = "NVIDIA L4";
  build.hardware_compatibility = level;
  build.version_compatible = version_compatible;
  return {"model.engine", "tensorrt", VERSION, {"8.9"}, {}, build};
}

EngineInfo of_rtx(const std::string& version) { return {"model.engine", "tensorrt_rtx", version, {"8.6", "8.9"}, {}, fnet::EngineBuild{}}; }

// What differs, without what to do about it.
std::string fault(const EngineInfo& engine, const Gpu& gpu, const std::string& version, Code code = Code::no_device) {
  const auto found = fit_fault("e", engine, gpu, version);
  if (!found) return "";
  CHECK(found->code == code);
  return found->text.substr(0, found->text.find(". Build the engine for this host with"));
}

}  // namespace

TEST_CASE("engines that fit") {
  CHECK(fault(info(), L4, VERSION).empty());
  CHECK(fault(info(), L4, "10.13.0.35.post1").empty());
  CHECK(fault(info("same-compute-capability"), L40S, VERSION).empty());
  CHECK(fault(info("ampere-plus"), H100, VERSION).empty());
  CHECK(fault(info("none", true), L4, "10.16.1.11").empty());
  CHECK(fault(info("none", true), L4, "11.4.0.106").empty());
  CHECK(fault(of_rtx("1.7.1.116"), L40S, "1.7.1.116").empty());
  CHECK(fault(of_rtx("1.7"), L4, "1.7.1.116").empty());
  auto unknown = info();
  unknown.build.reset(), unknown.compute_capabilities.clear();
  CHECK(fault(unknown, H100, VERSION).empty());
}

TEST_CASE("what differs is one sentence") {
  CHECK(fault(info(), H100, VERSION) == "e: expected a GPU of compute capability 8.9, found 9.0 (NVIDIA H100)");
  CHECK(fault(info(), L40S, VERSION) == "e: expected the GPU NVIDIA L4, found NVIDIA L40S");
  CHECK(fault(info(), L4, "10.13.2.6", Code::session) == "e: expected tensorrt 10.13.0.35, found 10.13.2.6");
  CHECK(fault(info(), H100, "11.4.0.106") ==
        "e: expected a GPU of compute capability 8.9, found 9.0 (NVIDIA H100) and expected tensorrt 10.13.0.35, found 11.4.0.106");
  CHECK(fault(info("ampere-plus"), T4, VERSION) == "e: expected a GPU of compute capability 8.0 or newer, found 7.5 (Tesla T4)");
  for (const std::string version : {"10.12.0.36", "12.0.0.1"}) {
    CHECK(fault(info("none", true), L4, version, Code::session) == "e: expected tensorrt 10.13.0.35 or newer, up to 11, found " + version);
  }
  CHECK(fault(of_rtx("1.7.1.116"), H100, "1.7.1.116") == "e: expected a GPU of compute capability 8.6 or 8.9, found 9.0 (NVIDIA H100)");
  CHECK(fault(of_rtx("1.7.1.116"), L4, "1.8.0.1", Code::session) == "e: expected tensorrt_rtx 1.7.1.116, found 1.8.0.1");
  CHECK(fault(of_rtx("beta"), L4, "1.8.0.1").empty());
}

TEST_CASE("an engine without weights is refused with the ways out") {
  auto stripped = info();
  stripped.build->weight_stripped = true;
  const auto found = fit_fault("e", stripped, L4, VERSION);
  REQUIRE(found);
  CHECK(found->code == Code::session);
  CHECK(found->text.find("e: has no weights, and only the Python runtime fills them in from model.onnx. Build the engine") == 0);
}
