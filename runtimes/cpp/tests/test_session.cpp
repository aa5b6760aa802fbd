// What a session is given, by the axes of the manifest, and how rows of any lengths run.
#include <numeric>

#include "catch.h"
#include "engine/session.h"

namespace {

using fnet::TensorInfo;
using Shape = std::vector<std::size_t>;

const std::vector<TensorInfo> INPUTS{{"input_ids", "int64", {fnet::BATCH, fnet::SEQUENCE}},
                                     {"token_type_ids", "int64", {fnet::BATCH, fnet::SEQUENCE}}};

std::string fault(const Shape& ids, const Shape& types) {
  const auto found = fnet::inputs_fault({{"input_ids", {ids, {}}}, {"token_type_ids", {types, {}}}}, INPUTS);
  return found ? found->text : "";
}

// Adds up the ids of each row, and keeps the shapes of its batches.
class Sums : public fnet::Session {
 public:
  explicit Sums(fnet::AxisProfile batch) : batch_(batch) {}
  fnet::AxisProfile batch() const override { return batch_; }
  fnet::Result<fnet::Outputs> run(const fnet::Inputs& inputs) const override {
    const fnet::Ids& ids = inputs.at("input_ids");
    shapes.push_back(ids.shape);
    fnet::Floats sums{{ids.shape[0]}, {}};
    for (std::size_t row = 0; row < ids.shape[0]; ++row) {
      const auto values = ids.rows(row, 1).values;
      sums.values.push_back(static_cast<float>(std::accumulate(values.begin(), values.end(), int64_t{0})));
    }
    return fnet::Outputs{{"sum", sums}};
  }
  mutable std::vector<Shape> shapes;

 private:
  const fnet::AxisProfile batch_;
};

// A row for each length, whose first id is the length and whose others are its number.
std::vector<fnet::Inputs> rows_of_lengths(const Shape& lengths) {
  std::vector<fnet::Inputs> rows;
  for (const std::size_t length : lengths) {
    std::vector<int64_t> ids(length, static_cast<int64_t>(rows.size()));
    ids[0] = static_cast<int64_t>(length);
    rows.push_back({{"input_ids", {{1, length}, ids}}});
  }
  return rows;
}

}  // namespace

TEST_CASE("inputs agree on their open axes") {
  CHECK(fault({2, 5}, {2, 5}).empty());
  CHECK(fault({1, 1}, {1, 1}).empty());
  const std::string expected =
      R"(token_type_ids: expected the axes ["batch_size", "sequence_length"], each of length 1 or more; found the shape )";
  CHECK(fault({2, 5}, {2, 4}) == expected + "[2, 4]");
  CHECK(fault({2, 5}, {1, 5}) == expected + "[1, 5]");
  CHECK(fault({2, 5}, {2, 5, 1}) == expected + "[2, 5, 1]");
  CHECK(fault({2, 0}, {2, 0}).find("found the shape [2, 0]") != std::string::npos);
}

TEST_CASE("a graph has the open axes of the manifest") {
  CHECK_FALSE(fnet::graph_fault("model.onnx", {INPUTS[1], INPUTS[0]}, INPUTS));
  for (const fnet::Axis& axis : {fnet::Axis(int64_t{8}), fnet::Axis("length")}) {
    auto found = INPUTS;
    found[1].axes[1] = axis;
    const auto refused = fnet::graph_fault("model.onnx", found, INPUTS);
    REQUIRE(refused);
    CHECK(refused->code == fnet::Code::session);
    CHECK(refused->text == "model.onnx: expected the inputs " + fnet::shown(INPUTS) + "; the graph has " + fnet::shown(found));
  }
}

TEST_CASE("rows of one length run together, in batches that the session takes") {
  const Sums session({2, 3, 4});
  const auto rows = rows_of_lengths({2, 3, 2, 2, 5, 2, 2, 5, 5, 5});
  std::vector<float> sums(rows.size());
  std::size_t taken = 0;
  const auto fault = fnet::run_rows(session, rows, [&](std::size_t number, const fnet::Outputs& outputs) -> std::optional<fnet::Error> {
    const fnet::Floats& sum = outputs.at("sum");
    CHECK(sum.shape == Shape{1});
    sums[number] = sum.values[0];
    ++taken;
    return std::nullopt;
  });
  CHECK_FALSE(fault);
  CHECK(taken == rows.size());
  CHECK(sums == std::vector<float>{2, 5, 4, 5, 21, 7, 8, 33, 37, 41});
  CHECK(session.shapes == std::vector<Shape>{{4, 2}, {2, 2}, {2, 3}, {4, 5}});  // five rows are more than 4, one is less than 2
}

TEST_CASE("what a row's taker finds wrong ends the run") {
  const Sums session({1, 1, 1});
  const auto fault = fnet::run_rows(session, rows_of_lengths({2, 4, 3}), [](std::size_t, const fnet::Outputs& outputs) {
    return outputs.at("sum").values[0] > 3 ? std::optional(fnet::session_error("too much")) : std::nullopt;
  });
  REQUIRE(fault);
  CHECK(fault->text == "too much");
  CHECK(session.shapes == std::vector<Shape>{{1, 2}, {1, 3}});
}
