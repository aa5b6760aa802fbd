// The command line of fnet-run.
#pragma once

#include <string>
#include <vector>

#include "fnet/fnet.hpp"

struct Options {
  std::string bundle;
  bool standard_input = false, lines = false, as_json = false, self_test = false;
  std::vector<std::string> texts, files, pairs;
  int top_k = 5;
  fnet::Config config;
};

// Reads the words after the program's name; ends the program for --help, --version and what is no use of it.
Options options_from_line(const std::vector<std::string>& line);
