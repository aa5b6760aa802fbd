// The question that a line of fnet-run --lines asks, in each format of a line.
#pragma once

#include <string>

#include "fnet/fnet.hpp"

// Reads a line; `choices` says that every text after the first is a choice.
fnet::Result<fnet::Request> request_from_line(const std::string& line, const std::string& format, bool choices);
