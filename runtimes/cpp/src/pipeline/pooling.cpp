// One vector of a text from the vectors of its tokens, as fnet_runtime/pipeline/pooling.py makes it.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/facts.h"
#include "base/words.h"
#include "pipeline/tasks.h"

namespace fnet {
namespace {

constexpr double SHORTEST = 1e-12;  // a vector is divided by no less than this

// The first vector, the mean or the greatest values of [token, hidden] values. Sums are of doubles, in order.
std::vector<float> pooled_tokens(const std::vector<float>& tokens, std::size_t hidden, const std::string& pooling) {
  std::vector<float> pooled(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(hidden));
  if (pooling == FIRST_TOKEN) return pooled;
  std::vector<double> sums(pooled.begin(), pooled.end());
  for (std::size_t at = hidden; at < tokens.size(); ++at) {
    const float value = tokens[at];
    float& greatest = pooled[at % hidden];
    if (value > greatest || std::isnan(value)) greatest = value;
    sums[at % hidden] += value;
  }
  if (pooling == GREATEST) {
    for (float& value : pooled) value += 0.0F;  // -0 becomes 0, as in Python
    return pooled;
  }
  const std::size_t count = tokens.size() / hidden;
  std::transform(sums.begin(), sums.end(), pooled.begin(),
                 [=](double sum) { return static_cast<float>(sum / static_cast<double>(count)); });
  return pooled;
}

void normalize(std::vector<float>& vector) {
  const double squares = std::accumulate(vector.begin(), vector.end(), 0.0, [](double sum, double value) { return sum + value * value; });
  const double length = std::sqrt(squares);
  for (float& value : vector) value = static_cast<float>(value / (length < SHORTEST ? SHORTEST : length));
}

}  // namespace

Result<AnyAnswer> embedding(const Model& model, const Asked& asked, const Rows& rows) {
  const auto& mask = asked.encodings[0].attention_mask;
  const auto used = static_cast<std::size_t>(std::accumulate(mask.begin(), mask.end(), int64_t{0}));
  const Floats& outputs = rows[0].at("last_hidden_state");
  const std::size_t hidden = outputs.shape.back();
  std::vector<float> tokens(outputs.values.begin(), outputs.values.begin() + static_cast<std::ptrdiff_t>(used * hidden));
  const std::string& pooling = asked.options->pooling.empty() ? model.pooling : asked.options->pooling;
  if (pooling != POOLER && !used)
    return input_error(std::string("pooling: expected a text of at least one token for all but ") + POOLER + "; found none");
  std::vector<float> pooled = pooling == POOLER ? rows[0].at("pooler_output").values : pooled_tokens(tokens, hidden, pooling);
  if (asked.options->normalize.value_or(model.normalize)) normalize(pooled);
  return AnyAnswer(Embedding{hidden, std::move(tokens), std::move(pooled), asked.truncated()});
}

}  // namespace fnet
