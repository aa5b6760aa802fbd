// A line on a terminal that says how far `fnet-run --lines` is.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

class Progress {
 public:
  // Reads how far the files are. Nothing is shown unless `wanted`, and unless standard error is a terminal and standard output is not.
  Progress(std::vector<int> descriptors, bool wanted);
  // Removes the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  // Shows that so many lines have answers, unless it is a moment since the last time.
  void show(std::size_t lines);

 private:
  using Clock = std::chrono::steady_clock;

  std::vector<int> descriptors_;
  std::optional<long long> bytes_;  // of all files; none where one is not a regular file
  bool shown_;
  Clock::time_point start_, last_;
};
