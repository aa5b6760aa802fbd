// Many threads on one bundle: fnet_threads BUNDLE THREADS ROUNDS < texts, one a line. Each thread opens the bundle too, and runs the
// self-test. Prints how many answers differed from those of one thread alone, and ends with 1 if there were any.
#include <atomic>
#include <iostream>
#include <string>
#include <thread>

#include "fnet/fnet.hpp"

namespace {

std::string answered(const fnet::Pipeline& pipeline, const fnet::Request& request) {
  const auto answers = pipeline.answer_all({request});
  return answers ? fnet::json_from_answer(answers->front()) : answers.error().text;
}

bool passes_self_test(const fnet::Pipeline& pipeline) {
  const auto checks = pipeline.self_test();
  if (!checks) return false;
  for (const fnet::Check& check : *checks) {
    if (!check.passed) return false;
  }
  return true;
}

}  // namespace

int main(int count, char** words) {
  if (count != 4) return 2;
  fnet::Config config;
  config.threads = 2;
  const auto pipeline = fnet::Pipeline::open(words[1], config);
  if (!pipeline) {
    std::cerr << pipeline.error().text << "\n";
    return 1;
  }
  std::vector<fnet::Request> requests;
  std::vector<std::string> expected;
  for (std::string line; std::getline(std::cin, line);) {
    requests.push_back({line});
    expected.push_back(answered(*pipeline, requests.back()));
  }
  std::atomic<int> different{0};
  const int rounds = std::stoi(words[3]);
  std::vector<std::thread> threads;
  for (int i = 0; i < std::stoi(words[2]); ++i) {
    threads.emplace_back([&] {
      const auto own = fnet::Pipeline::open(words[1], config);
      different += !own || !passes_self_test(*own) || !passes_self_test(*pipeline);
      for (int round = 0; round < rounds; ++round) {
        for (std::size_t k = 0; k < requests.size(); ++k) different += answered(*pipeline, requests[k]) != expected[k];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  std::cout << requests.size() << " texts, " << different << " answers differ\n";
  return different ? 1 : 0;
}
