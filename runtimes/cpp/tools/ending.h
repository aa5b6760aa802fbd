// How fnet-run ends before its time, and the standard output that may make it.
#pragma once

#include <string>

#include "fnet/result.hpp"

constexpr int BAD_INPUT = 1, USAGE = 2, SELF_TEST_FAILED = 3, NO_ENGINE = 4;

// Says what is wrong, and ends with the code of its kind.
[[noreturn]] void fail(const fnet::Error& error);

// Writes a line, or several, at once. Ends as SIGPIPE does when nobody reads, and with an error when it cannot be written.
void write_line(const std::string& text);
