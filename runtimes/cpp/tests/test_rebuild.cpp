// The cache of rebuilt engines, with a builder that makes text.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <thread>

#include "base/sha256.h"
#include "catch.h"
#include "engine/cache.h"
#include "engine/rebuild.h"

namespace {

namespace files = std::filesystem;
using fnet::Result, fnet::session_error;

// A cache of its own, a bundle whose engine is another GPU's, and the number of builds.
struct Case {
  Case() {
    std::string pattern = (files::temp_directory_path() / "fnet_rebuild_test.XXXXXX").string();
    folder = mkdtemp(pattern.data());
    setenv("FNET_RUNTIME_CACHE", folder.c_str(), 1);
    manifest.target = "tensorrt", manifest.precision = "fp32";
    manifest.inputs = {{"input_ids", "int64", {std::string("batch_size"), int64_t{7}}}};
    manifest.engine = fnet::EngineInfo{"model.engine", "tensorrt_rtx", "1.7", {"7.5"}, {{{"batch_size", {1, 2, 4}}}}};
    manifest.engine->build = fnet::EngineBuild{};
    manifest.engine->build->workspace_mib = 64;
    manifest.files = {{"model.onnx.data", {"bb", 2}}, {"model.onnx", {"aa", 1}}};
    host.gpu = {"NVIDIA L4", "8.9", "13.0"};
    host.library.version = "10.13.0.35";
    host.library.engine_from_graph = [this](const fnet::TrtBuild& build) -> Result<std::string> {
      ++builds;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (fails) return session_error("no kernel fits");
      return "engine of " + build.graph;
    };
  }
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;
  ~Case() {
    files::remove_all(folder);
    unsetenv("FNET_RUNTIME_CACHE");
  }

  Result<fnet::Rebuilt> rebuilt() const { return fnet::rebuilt_engine("bundle", manifest, "tensorrt", host); }
  std::vector<files::path> entries() const {
    std::vector<files::path> found;
    for (const auto& entry : files::directory_iterator(folder / "engines")) {
      if (entry.is_directory()) found.push_back(entry.path());
    }
    return found;
  }

  files::path folder;
  fnet::Manifest manifest{};
  fnet::TrtHost host;
  std::atomic<int> builds{0};
  bool fails = false;
};

std::string text_of(const files::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// What Python hashes and writes for the same bundle and host.
constexpr const char* DEPENDS =
    R"({"gpu": {"name": "NVIDIA L4", "compute_capability": "8.9", "driver": "13.0"}, "library": ["tensorrt", "10.13.0.35"], )"
    R"("options": [64, null], "profiles": [{"input_ids": [[1, 7], [2, 7], [4, 7]]}], "graph": ["aa", "bb"]})";
constexpr const char* DESCRIBED = R"({
  "engine": {
    "file": "model.engine",
    "library": "tensorrt",
    "version": "10.13.0.35",
    "compute_capabilities": [
      "8.9"
    ],
    "profiles": [
      {
        "batch_size": {
          "min": 1,
          "opt": 2,
          "max": 4
        }
      }
    ],
    "build": {
      "gpu": "NVIDIA L4",
      "workspace_mib": 64,
      "optimization_level": null,
      "timing_cache_sha256": null,
      "version_compatible": false,
      "hardware_compatibility": "none",
      "weight_stripped": false
    }
  },
  "file": {
    "sha256": "HASH",
    "size_bytes": 27
  },
  "gpu": {
    "name": "NVIDIA L4",
    "compute_capability": "8.9",
    "driver": "13.0"
  }
}
)";

std::string hash_of(const std::string& text) {
  fnet::Sha256 hash;
  hash.add(text.data(), text.size());
  return hash.hex();
}

}  // namespace

TEST_CASE("an entry has the name and the files that Python gives it") {
  const Case test;
  const auto first = test.rebuilt();
  REQUIRE(first);
  const files::path entry = test.folder / "engines" / hash_of(DEPENDS);
  CHECK(first->file == (entry / "model.engine").string());
  CHECK(text_of(first->file) == "engine of bundle/model.onnx");
  std::string described = DESCRIBED;
  described.replace(described.find("HASH"), 4, hash_of("engine of bundle/model.onnx"));
  CHECK(text_of(entry / "engine.json") == described);
  const auto again = test.rebuilt();
  REQUIRE(again);
  CHECK(again->info.build->gpu == "NVIDIA L4");
  CHECK(test.builds == 1);
  CHECK(test.entries().size() == 1);
}

TEST_CASE("what an engine depends on is in the name of its entry") {
  Case test;
  REQUIRE(test.rebuilt());
  SECTION("driver") { test.host.gpu.driver = "13.1"; }
  SECTION("GPU") { test.host.gpu.name = "NVIDIA L40S"; }
  SECTION("library") { test.host.library.version = "10.13.0.36"; }
  SECTION("options") { test.manifest.engine->build->optimization_level = 1; }
  SECTION("graph") { test.manifest.files[1].second.sha256 = "cc"; }
  SECTION("lengths") {
    test.manifest.inputs[0].axes[1] = fnet::SEQUENCE;
    const auto batches = test.manifest.engine->profiles[0][0];
    test.manifest.engine->profiles = {{batches, {fnet::SEQUENCE, {1, 2, 3}}}, {batches, {fnet::SEQUENCE, {4, 5, 6}}}};
  }
  REQUIRE(test.rebuilt());
  CHECK(test.builds == 2);
  CHECK(test.entries().size() == 2);
}

TEST_CASE("callers that need the same engine build it once") {
  const Case test;
  std::vector<std::thread> callers;
  std::atomic<int> opened{0};
  for (int i = 0; i < 3; ++i) callers.emplace_back([&] { opened += static_cast<bool>(test.rebuilt()); });
  for (std::thread& caller : callers) caller.join();
  CHECK(opened == 3);
  CHECK(test.builds == 1);
}

TEST_CASE("a damaged entry is built again, and a build that fails leaves none") {
  Case test;
  const auto first = test.rebuilt();
  REQUIRE(first);
  std::ofstream(first->file) << "cut";
  REQUIRE(test.rebuilt());
  CHECK(text_of(first->file) == "engine of bundle/model.onnx");
  files::remove_all(test.entries()[0]);
  test.fails = true;
  const auto failed = test.rebuilt();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().text == "no kernel fits");
  CHECK(test.entries().empty());
}

TEST_CASE("what cannot be rebuilt is refused before the cache is touched") {
  Case test;
  std::string expected;
  SECTION("precision") {
    test.manifest.precision = "fp8", test.host.gpu.compute_capability = "8.6";
    expected = "bundle: fp8 needs a GPU of compute capability 8.9 or newer; found NVIDIA L4 with 8.6. Export the bundle in int8, or ";
  }
  SECTION("workspace") {
    test.manifest.engine->build->workspace_mib = 0;
    expected = "--workspace-mib: expected 1 to 16777216, found 0";
  }
  const auto refused = test.rebuilt();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text.substr(0, expected.size()) == expected);
  CHECK_FALSE(files::exists(test.folder / "engines"));
}

// ---- what is removed after a build

namespace {

// Builds or opens an engine, says that it was used a while ago, and returns the key of its entry.
std::string used(const Case& test, std::chrono::seconds ago = std::chrono::hours(1)) {
  const auto found = test.rebuilt();
  REQUIRE(found);
  const files::path folder = files::path(found->file).parent_path();
  files::last_write_time(folder / "engine.json", files::file_time_type::clock::now() - ago);
  return folder.filename().string();
}

std::set<std::string> keys(const Case& test) {
  std::set<std::string> found;
  for (const files::path& entry : test.entries()) found.insert(entry.filename().string());
  return found;
}

bool has_lock(const Case& test, const std::string& key) { return files::exists(test.folder / "engines" / ("." + key + ".lock")); }

}  // namespace

TEST_CASE("an update of the driver or the library removes the engines before it") {
  Case test;
  const std::string old = used(test);
  test.host.gpu.name = "NVIDIA L40S";
  const std::string other_gpu = used(test);
  test.host.gpu.name = "NVIDIA L4";
  SECTION("driver") { test.host.gpu.driver = "13.1"; }
  SECTION("library") { test.host.library.version = "10.16.1.11"; }
  const std::string updated = used(test);
  CHECK(keys(test) == std::set<std::string>{other_gpu, updated});
  CHECK_FALSE(has_lock(test, old));
  CHECK(has_lock(test, updated));
  test.host.gpu.driver = "12.9", test.host.library.version = "10.13.0.35";
  const std::string going_back = used(test);
  CHECK(keys(test) == std::set<std::string>{other_gpu, updated, going_back});
}

TEST_CASE("an entry that is in use stays") {
  Case test;
  const std::string held = used(test);
  test.manifest.files[1].second.sha256 = "cc";
  const std::string recent = used(test, std::chrono::seconds(1));
  test.host.gpu.driver = "13.1";
  std::string updated;
  {
    const fnet::CacheLock lock((test.folder / "engines").string(), held);
    updated = used(test);
  }
  CHECK(keys(test) == std::set<std::string>{held, recent, updated});
  test.manifest.files[1].second.sha256 = "dd";
  const std::string another = used(test);
  CHECK(keys(test) == std::set<std::string>{recent, updated, another});
}

TEST_CASE("the least recently used engines make room") {
  Case test;
  std::vector<std::string> built;
  for (const std::string graph : {"1", "2", "3"}) {
    test.manifest.files[1].second.sha256 = graph;
    built.push_back(used(test, std::chrono::hours(9) - std::chrono::hours(std::stoi(graph))));
  }
  test.manifest.files[1].second.sha256 = "1";
  CHECK(used(test) == built[0]);  // is used again
  test.manifest.files[1].second.sha256 = "4";
  const std::string added = used(test);
  const std::string cache = (test.folder / "engines").string();
  const auto entry = fnet::used_entry(cache, added);
  REQUIRE(entry);
  fnet::trim(cache, added, *entry, int64_t{3} * 27);
  CHECK(keys(test) == std::set<std::string>{built[0], built[2], added});
  setenv("FNET_RUNTIME_CACHE_MIB", "0", 1);
  test.manifest.files[1].second.sha256 = "5";
  const std::string last = used(test);
  CHECK(keys(test) == std::set<std::string>{added, last});  // one that was just used stays
  setenv("FNET_RUNTIME_CACHE_MIB", "4 GiB", 1);
  const auto refused = test.rebuilt();
  unsetenv("FNET_RUNTIME_CACHE_MIB");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text == "FNET_RUNTIME_CACHE_MIB: expected a number of MiB from 0 to 999999999, found 4 GiB");
}

TEST_CASE("a lock that was removed while a process waited is not held") {
  const Case test;
  const std::string cache = test.folder.string();
  std::atomic<bool> waited{false};
  auto first = std::make_unique<fnet::CacheLock>(cache, "key");
  std::thread waiter([&] {
    const fnet::CacheLock lock(cache, "key");
    waited = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // it has opened the lock that is removed now
  files::remove(test.folder / ".key.lock");
  auto another = std::make_unique<fnet::CacheLock>(cache, "key");
  first.reset();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK_FALSE(waited);
  another.reset();
  waiter.join();
  CHECK(waited);
}
