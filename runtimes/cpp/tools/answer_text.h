// Answers as fnet-run prints them for people.
#pragma once

#include <string>
#include <vector>

#include "fnet/fnet.hpp"

// Rows of tab-separated columns; `multi_label` says that every label above the threshold, or 0.5, is part of the answer.
std::string text_from_answer(const fnet::AnyAnswer& answer, bool multi_label, const fnet::AnswerOptions& options);
// A text as one column of one row, with the escapes of JSON.
std::string escaped(const std::string& text);
// The self-test's checks, a line each.
std::string text_from_checks(const std::vector<fnet::Check>& checks);
