// How the [MASK] tokens of a text are filled with words of the vocabulary.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "pipeline/tasks.h"

namespace fnet {

// Fillers of every mask. The logits of a row, float[1, token, vocab], are those of every token, or of the masks in their order.
std::vector<std::vector<Filler>> fillers_from_rows(const Model& model, const Asked& asked, const Rows& rows, const char* output);
// The ids of the words that may fill a [MASK], in their order, each once; an input error for a word that is not one token.
Result<std::vector<std::size_t>> ids_of_targets(const Tokenizer& tokenizer, const std::vector<std::string>& targets);

}  // namespace fnet
