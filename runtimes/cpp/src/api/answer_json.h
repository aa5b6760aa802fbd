// Answers as JSON, for fnet-run; json_from_answer of fnet.hpp is here as well.
#pragma once

#include <string>
#include <vector>

#include "engine/devices.h"
#include "fnet/fnet.hpp"

namespace fnet {

// What stands in place of the answer to a line: the error, and the file and the number of the line.
std::string json_from_error(const std::string& error, const std::string& source, std::size_t line);
// The self-test's checks, as one JSON value.
std::string json_from_checks(const std::vector<Check>& checks);
// What the host has or lacks, as one JSON value.
std::string json_from_device(const Device& device);

}  // namespace fnet
