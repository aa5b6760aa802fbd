// The options of answers: whether they are allowed, and what they mean where a caller leaves them out.
#pragma once

#include <cstddef>
#include <optional>

#include "fnet/fnet.hpp"
#include "pipeline/tasks.h"

namespace fnet {

// An input error for a value that is not allowed, or for an option of other tasks.
std::optional<Error> options_fault(const AnswerOptions& options, const TaskFacts& task, const Tokenizer& tokenizer);
// Whether the answers to a question include an empty one.
bool with_empty_answer(const AnswerOptions& options);
// How many fillers or spans an answer lists.
std::size_t count_from_options(const AnswerOptions& options);

}  // namespace fnet
