// The texts that fnet-run is asked about, each with the place where it stands: an argument, a file or a line of it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "run_options.h"

// A source (--text, a file, or - for standard input), and which of its texts: the number from 1, 0 for all of a file.
struct Place {
  std::string source;
  std::size_t number = 0;
  std::size_t size_bytes = 0;  // of a line, with its end

  std::string text() const;
  // Whether the text is an argument, not a line or a file.
  bool is_argument() const;
};

// A text, or what is wrong with one that is not UTF-8.
struct Asked {
  Place place;
  std::string text;
  std::optional<fnet::Error> fault = {};
};

using Batch = std::vector<Asked>;

// Gives the texts in their order: with --lines up to `size` at a time, fewer where no more have arrived yet, else all at once.
void for_each_batch(const Options& options, std::size_t size, const std::function<void(const Batch&)>& answer);
