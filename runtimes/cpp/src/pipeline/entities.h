// Groups the tokens of a text to entities, as fnet_runtime/pipeline/entities.py does.
#pragma once

#include <string>
#include <vector>

#include "pipeline/tasks.h"

namespace fnet {

// A token, a word or an entity with one label.
struct Labelled {
  std::string label;
  double score;
  Span span;
};

// The entities of one row, whose logits are float[token, label], without those of the label O.
std::vector<Labelled> entities_from_logits(const Model& model, const Asked& asked, const Encoding& encoding,
                                           const std::vector<float>& logits);

// Keeps the longer of two entities that two windows found in one place, or the one with the higher score if both are as long.
std::vector<Labelled> without_overlaps(std::vector<Labelled> entities);

}  // namespace fnet
