// Answers as fnet-run prints them.
#pragma once

#include <string>
#include <vector>

#include "fnet/fnet.hpp"

namespace fnet {

// A line or a few for people: tab-separated columns, the score first after the name.
std::string text_from_answer(const AnyAnswer& answer);
// The self-test's checks, as one JSON value or a line each.
std::string json_from_checks(const std::vector<Check>& checks);
std::string text_from_checks(const std::vector<Check>& checks);

}  // namespace fnet
