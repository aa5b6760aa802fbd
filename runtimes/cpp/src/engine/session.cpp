#include "engine/session.h"

#include <algorithm>
#include <map>

#include "base/words.h"
#include "json/writer.h"

namespace fnet {
namespace {

std::string shown(const std::vector<Axis>& axes) {
  std::vector<std::string> words;
  for (const Axis& axis : axes) {
    const auto* name = std::get_if<std::string>(&axis);
    words.push_back(name ? quoted(*name) : std::to_string(std::get<int64_t>(axis)));
  }
  return "[" + joined(words) + "]";
}

// How many rows of so many run at once.
std::size_t size_of_batch(const AxisProfile& batch, std::size_t rows) {
  return static_cast<std::size_t>(rows <= static_cast<std::size_t>(batch.max) ? batch.max : batch.opt);
}

}  // namespace

std::string shown(const std::vector<TensorInfo>& tensors) {
  std::vector<std::string> words;
  for (const TensorInfo& tensor : tensors) words.push_back(tensor.name + " " + tensor.dtype + shown(tensor.axes));
  return joined(words);
}

std::optional<Error> inputs_fault(const Inputs& inputs, const std::vector<TensorInfo>& expected) {
  std::vector<std::string> names, found;
  for (const auto& tensor : expected) names.push_back(tensor.name);
  for (const auto& [name, array] : inputs) found.push_back(name);
  auto sorted = names;
  std::sort(sorted.begin(), sorted.end());
  if (sorted != found)
    return input_error("expected the inputs " + joined(names) + "; found " + (found.empty() ? "no inputs" : joined(found)));
  std::map<std::string, std::size_t> open_axes;
  for (const auto& tensor : expected) {
    const Ids& array = inputs.at(tensor.name);
    bool fits = array.shape.size() == tensor.axes.size();
    for (std::size_t i = 0; i < std::min(array.shape.size(), tensor.axes.size()); ++i) {
      const auto* name = std::get_if<std::string>(&tensor.axes[i]);
      const std::size_t wanted =
          name ? open_axes.emplace(*name, array.shape[i]).first->second : static_cast<std::size_t>(std::get<int64_t>(tensor.axes[i]));
      fits = fits && array.shape[i] == wanted && wanted > 0;
    }
    if (!fits) {
      return input_error(tensor.name + ": expected the axes " + shown(tensor.axes) + ", each of length 1 or more; found the shape " +
                         shown(array.shape));
    }
  }
  return std::nullopt;
}

std::optional<Error> graph_fault(const std::string& model, std::vector<TensorInfo> found, std::vector<TensorInfo> expected) {
  const auto what = model + ": expected the inputs " + shown(expected) + "; the graph has " + shown(found);
  const auto by_name = [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; };
  std::sort(found.begin(), found.end(), by_name);
  std::sort(expected.begin(), expected.end(), by_name);
  const bool same = std::equal(found.begin(), found.end(), expected.begin(), expected.end(),
                               [](const auto& a, const auto& b) { return a.name == b.name && a.dtype == b.dtype && a.axes == b.axes; });
  return same ? std::nullopt : std::optional(session_error(what));
}

std::optional<Error> run_rows(const Session& session, const std::vector<Inputs>& rows, const TakeRow& take) {
  std::map<std::vector<std::vector<std::size_t>>, std::vector<std::size_t>> numbers_by_shape;
  for (std::size_t number = 0; number < rows.size(); ++number) {
    std::vector<std::vector<std::size_t>> shapes;
    for (const auto& [name, array] : rows[number]) shapes.push_back(array.shape);
    numbers_by_shape[shapes].push_back(number);
  }
  for (const auto& [shapes, numbers] : numbers_by_shape) {
    const auto size = static_cast<std::size_t>(session.batch().max);
    for (std::size_t start = 0; start < numbers.size(); start += size) {
      const std::size_t count = std::min(size, numbers.size() - start);
      Inputs batch;
      for (std::size_t i = start; i < start + count; ++i) {
        for (const auto& [name, array] : rows[numbers[i]]) batch[name].append(array);
      }
      const auto outputs = run_in_batches(session, batch);
      if (!outputs) return outputs.error();
      for (std::size_t i = 0; i < count; ++i) {
        Outputs of_row;
        for (const auto& [name, array] : *outputs) of_row[name] = array.rows(i, 1);
        if (auto fault = take(numbers[start + i], std::move(of_row))) return fault;
      }
    }
  }
  return std::nullopt;
}

Result<Outputs> run_in_batches(const Session& session, const Inputs& inputs) {
  const std::vector<std::size_t>& shape = inputs.begin()->second.shape;
  for (const auto& [name, array] : inputs) {
    if (array.shape.empty() || array.shape[0] != shape[0]) return session.run(inputs);  // which says what is wrong
  }
  const AxisProfile batch = session.batch();
  const std::size_t rows = shape[0], size = size_of_batch(batch, rows);
  Outputs joined_outputs;
  for (std::size_t start = 0; start < rows; start += size) {
    const std::size_t count = std::min(size, rows - start), filled = std::max(count, static_cast<std::size_t>(batch.min));
    Inputs part;
    for (const auto& [name, array] : inputs) {
      Ids& taken = part[name] = array.rows(start, count);
      while (taken.shape[0] < filled) taken.append(array.rows(start + count - 1, 1));
    }
    auto outputs = session.run(part);
    if (!outputs) return outputs;
    for (auto& [name, array] : *outputs) {
      Floats& whole = joined_outputs[name];
      auto wanted = whole.shape.empty() ? array.shape : whole.shape;
      wanted.resize(std::max<std::size_t>(1, wanted.size()));
      wanted[0] = filled;
      if (array.shape != wanted)
        return session_error(name + ": expected the shape " + shown(wanted) + "; the graph gave " + shown(array.shape));
      whole.append(count < filled ? array.rows(0, count) : std::move(array));
    }
  }
  return joined_outputs;
}

}  // namespace fnet
