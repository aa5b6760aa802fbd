// What benchmarks/cpp.py times: fnet_bench open | answer | tokenise | soak. Reads a job, a line of JSON, and says {}; then does a
// turn for every line that it is sent, and says {"ms": ...} of a turn or a text, or what the soak found. An {"error": ...} ends it.
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "fnet/fnet.hpp"
#include "tokenizer/tokenizer.h"

using nlohmann::json;

namespace {

constexpr std::size_t SAMPLED_EVERY = 1000;  // requests of a soak

using Turn = std::function<json()>;

template <class T>
T value_of(fnet::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().text);
  return *std::move(result);
}

// Milliseconds that a call takes.
double timed_ms(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

fnet::Pipeline opened(const json& job) {
  fnet::Config config;
  config.threads = job["threads"];
  return value_of(fnet::Pipeline::open(job["bundle"], config));
}

std::size_t resident_kb() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::size_t kb = 0;
  while (status >> word && word != "VmRSS:") {}
  status >> kb;
  return kb;
}

Turn open_turn(const json& job) {
  return [job] { return json{{"ms", timed_ms([&] { opened(job); })}}; };
}

Turn answer_turn(const json& job) {
  const auto pipeline = std::make_shared<fnet::Pipeline>(opened(job));
  const std::vector<std::string> texts = job["texts"];
  return [pipeline, texts] {
    const double ms = timed_ms([&] {
      for (const auto& text : texts) value_of(pipeline->classify(text));
    });
    return json{{"ms", ms / static_cast<double>(texts.size())}};
  };
}

Turn tokenise_turn(const json& job) {
  fnet::TokenizerOptions options;
  options.flavour = job["flavour"];
  const auto tokenizer = std::make_shared<fnet::Tokenizer>(value_of(fnet::Tokenizer::from_file(job["file"], options)));
  const std::vector<std::string> texts = job["texts"];
  const int64_t length = job["length"];
  return [=] {
    const auto all = [&] {
      for (const auto& text : texts) value_of(tokenizer->encode(value_of(fnet::text_from_utf8(text)), nullptr, {length}));
    };
    return json{{"ms", timed_ms(all) / static_cast<double>(texts.size())}};
  };
}

// Many threads ask one pipeline; every answer is compared with the one that a single thread got.
Turn soak_turn(const json& job) {
  const auto pipeline = std::make_shared<fnet::Pipeline>(opened(job));
  const std::vector<std::string> texts = job["texts"];
  const std::size_t callers = job["callers"], requests = job["requests"];
  return [=] {
    std::vector<std::string> expected;
    for (const auto& text : texts) expected.push_back(json_from_answer(value_of(pipeline->classify(text))));
    std::atomic<std::size_t> done{0}, errors{0}, different{0};
    std::vector<std::size_t> memory_kb(callers * requests / SAMPLED_EVERY);
    const auto ask = [&](std::size_t caller) {
      for (std::size_t i = 0; i < requests; ++i) {
        const std::size_t at = (caller + i) % texts.size();
        const auto answer = pipeline->classify(texts[at]);
        if (!answer) ++errors;
        else if (json_from_answer(*answer) != expected[at]) ++different;
        const std::size_t count = ++done;
        if (count % SAMPLED_EVERY == 0) memory_kb[count / SAMPLED_EVERY - 1] = resident_kb();
      }
      // an ended thread gives its memory back, so that the last sample would be too small
      while (done < callers * requests) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
    const double ms = timed_ms([&] {
      std::vector<std::thread> threads;
      for (std::size_t caller = 0; caller < callers; ++caller) threads.emplace_back(ask, caller);
      for (std::thread& thread : threads) thread.join();
    });
    return json{{"requests", done.load()},
                {"errors", errors.load()},
                {"different", different.load()},
                {"ms", ms / static_cast<double>(done)},
                {"memory_kb", memory_kb}};
  };
}

}  // namespace

int main(int count, char** words) {
  const std::map<std::string, Turn (*)(const json&)> turns{
      {"open", open_turn}, {"answer", answer_turn}, {"tokenise", tokenise_turn}, {"soak", soak_turn}};
  const auto make = turns.find(count == 2 ? words[1] : "");
  if (make == turns.end()) return 2;
  try {
    std::string line;
    std::getline(std::cin, line);
    const Turn turn = make->second(json::parse(line));
    std::cout << json::object() << std::endl;
    while (std::getline(std::cin, line)) std::cout << turn() << std::endl;
  } catch (const std::exception& error) {
    std::cout << json{{"error", error.what()}} << std::endl;
    return 1;
  }
}
