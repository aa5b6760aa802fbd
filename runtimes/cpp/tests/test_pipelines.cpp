// Pipelines with an engine that is made up: what a hostile graph may answer, and many threads at once.
#include <functional>
#include <thread>

#include "catch.h"
#include "pipeline/open.h"

namespace {

constexpr int64_t LENGTH = 16;
const std::string VOCABULARY = std::string(GOLDEN_FOLDER) + "/bpe.model";

// Answers each batch as it is told.
class Told : public fnet::Session {
 public:
  explicit Told(std::function<fnet::Outputs(const fnet::Inputs&)> outputs) : outputs_(std::move(outputs)) {}
  fnet::Result<fnet::Outputs> run(const fnet::Inputs& inputs) const override { return outputs_(inputs); }

 private:
  std::function<fnet::Outputs(const fnet::Inputs&)> outputs_;
};

fnet::Bundle bundle(const char* task, int64_t length, std::function<fnet::Outputs(const fnet::Inputs&)> outputs) {
  fnet::Manifest manifest{};
  manifest.task = task;
  manifest.labels = {"A", "B"};
  manifest.sequence_length = length;
  manifest.inputs = {{"input_ids", "int64", {"batch_size", length}}, {"token_type_ids", "int64", {"batch_size", length}}};
  auto tokenizer = fnet::Tokenizer::from_file(VOCABULARY, manifest.tokenizer);
  REQUIRE(tokenizer);
  return {{manifest, *std::move(tokenizer), "", 4}, fnet::task_from_name(task), std::make_unique<Told>(std::move(outputs)), ""};
}

std::size_t rows(const fnet::Inputs& inputs) { return inputs.at("input_ids").shape[0]; }

// Logits that depend on every id of a row.
fnet::Outputs logits_of_ids(const fnet::Inputs& inputs) {
  const fnet::Ids& ids = inputs.at("input_ids");
  fnet::Floats logits{{rows(inputs), 2}, {}};
  for (std::size_t row = 0; row < rows(inputs); ++row) {
    int64_t sum = 0;
    for (std::size_t i = 0; i < ids.row_size(); ++i) sum += ids.values[row * ids.row_size() + i] * static_cast<int64_t>(i + 1);
    logits.values.insert(logits.values.end(), {static_cast<float>(sum % 7), static_cast<float>(sum % 5)});
  }
  return {{"logits", logits}};
}

}  // namespace

TEST_CASE("a graph whose answers change their shape is refused") {
  const auto shrinking = bundle("sequence-classification", LENGTH, [](const fnet::Inputs& inputs) {
    const std::size_t labels = rows(inputs) > 1 ? 2 : 1;
    return fnet::Outputs{{"logits", {{rows(inputs), labels}, std::vector<float>(rows(inputs) * labels)}}};
  });
  const auto one = fnet::answers_from_requests(shrinking, {{"a"}}, 5);
  CHECK(one.error().text == "logits: expected the axes of sequence-classification; the graph's output has other axes");
  fnet::Ids ids{{9, 1}, std::vector<int64_t>(9)};
  const auto nine = fnet::run_in_batches(*shrinking.session, {{"input_ids", ids}});
  REQUIRE_FALSE(nine);
  CHECK(nine.error().text == "logits: expected the shape [1, 2]; the graph gave [1, 1]");
}

TEST_CASE("a question that leaves no room for its context is refused") {
  const auto none = bundle("question-answering", 3, [](const fnet::Inputs&) { return fnet::Outputs{}; });
  const auto found = fnet::answers_from_requests(none, {{"", std::string("context")}}, 5);
  REQUIRE_FALSE(found);
  CHECK(found.error().text == "question-answering: the question takes 0 of 3 tokens; too few are left for the context");
}

TEST_CASE("any number of threads may ask at once") {
  const auto opened = bundle("sequence-classification", LENGTH, logits_of_ids);
  const std::vector<fnet::Request> requests{{"the quick fox"}, {"Ünïcödé ``10,000'' [MASK] 😀"}, {"\xff"}, {"a", std::string("pair")}};
  const auto asked = [&](const fnet::Request& request) {
    const auto answers = fnet::answers_from_requests(opened, {request}, 5);
    return answers ? fnet::json_from_answer(answers->front()) : answers.error().text;
  };
  std::vector<std::string> expected;
  for (const auto& request : requests) expected.push_back(asked(request));
  std::vector<int> different(8);
  std::vector<std::thread> threads;
  for (int& count : different) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < 1000; ++i) count += asked(requests[i % requests.size()]) != expected[i % requests.size()];
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(different == std::vector<int>(8));
}

TEST_CASE("what is taken of a temporary result outlives it") {
  const auto words = []() -> fnet::Result<std::vector<std::string>> {
    return std::vector<std::string>(3, "longer than what a string holds itself");
  };
  std::size_t characters = 0;
  for (const std::string& word : *words()) characters += word.size();
  CHECK(characters == std::size_t{3} * 38);
}

TEST_CASE("the defaults are those of the Python runtime") {
  CHECK(fnet::Config{}.max_text_bytes == fnet::MAX_TEXT_BYTES);
  CHECK(fnet::task_from_name("no task") == nullptr);
  CHECK(fnet::task_names().size() == std::size(fnet::TASK_FACTS));
}
