// A line on a terminal that says how far `fnet-run --lines` is.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

class Progress {
 public:
  // Asks the files for their sizes. Nothing is shown unless `wanted`, and unless standard error is a terminal and standard output is not.
  Progress(const std::vector<int>& descriptors, bool wanted);
  // Removes the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  // Shows that so many more lines of so many bytes have answers, unless it is a moment since the last time.
  void show(std::size_t lines, std::size_t size_bytes);

 private:
  using Clock = std::chrono::steady_clock;

  std::optional<long long> bytes_;  // of all files; none where one is not a regular file
  std::size_t lines_ = 0, answered_bytes_ = 0;
  bool shown_;
  Clock::time_point start_, last_;
};
