// Answers as fnet-run prints them.
#pragma once

#include <string>
#include <vector>

#include "fnet/fnet.hpp"

namespace fnet {

// Rows of tab-separated columns for people; `multi_label` tells that every label above a score of 0.5 is part of the answer.
std::string text_from_answer(const AnyAnswer& answer, bool multi_label);
// A text as one column of one row: characters that do not print, and backslashes, are escaped as Python does it.
std::string escaped(const std::string& text);
// What stands in place of the answer to a line: the error, and the file and the number of the line.
std::string json_from_error(const std::string& error, const std::string& source, std::size_t line);
// The self-test's checks, as one JSON value or a line each.
std::string json_from_checks(const std::vector<Check>& checks);
std::string text_from_checks(const std::vector<Check>& checks);

}  // namespace fnet
