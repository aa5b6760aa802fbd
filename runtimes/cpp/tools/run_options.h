// The command line of fnet-run.
#pragma once

#include <string>
#include <vector>

#include "base/facts.h"
#include "fnet/fnet.hpp"

struct Options {
  std::string bundle;
  bool standard_input = false, lines = false, as_json = false, self_test = false, quiet = false, devices = false;
  std::vector<std::string> texts, files, pairs;
  std::string line_format = fnet::PLAIN;
  fnet::AnswerOptions answers;
  fnet::Config config;
};

// Reads the command line. Ends the program for --help, --version and a usage error.
Options options_from_line(int count, char** words);
