// Pipelines with an engine that is made up: what a hostile graph may answer, texts of one length and of their own, and many threads at
// once.
#include <functional>
#include <map>
#include <set>
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

fnet::Bundle bundle(const char* task, int64_t length, std::function<fnet::Outputs(const fnet::Inputs&)> outputs,
                    const char* padding = fnet::MAX_LENGTH) {
  fnet::Manifest manifest{};
  manifest.task = task;
  manifest.labels = {"A", "B"};
  manifest.sequence_length = length;
  manifest.padding = padding;
  manifest.pad_to_multiple_of = 1;
  for (const char* name : fnet::INPUTS) manifest.inputs.push_back({name, "int64", {"batch_size", manifest.sequence_axis()}});
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

// The answers of a bundle as JSON, and the shapes of the batches that ran for them.
struct Answered {
  std::vector<std::string> answers;
  std::vector<std::vector<std::size_t>> batches;
};

Answered answered(const char* task, int64_t length, const char* padding, const std::vector<fnet::Request>& requests,
                  const std::function<fnet::Outputs(const fnet::Inputs&)>& outputs) {
  Answered found;
  const auto opened = bundle(
      task, length,
      [&](const fnet::Inputs& inputs) {
        found.batches.push_back(inputs.at("input_ids").shape);
        return outputs(inputs);
      },
      padding);
  const auto answers = fnet::answers_from_requests(opened, requests, {5});
  REQUIRE(answers);
  for (const auto& answer : *answers) found.answers.push_back(fnet::json_from_answer(answer));
  return found;
}

// Logits of each token, which depend on that token alone.
fnet::Outputs logits_of_tokens(const fnet::Inputs& inputs) {
  const fnet::Ids& ids = inputs.at("input_ids");
  fnet::Floats starts{ids.shape, {}}, ends{ids.shape, {}};
  for (const int64_t id : ids.values)
    starts.values.push_back(static_cast<float>(id % 7)), ends.values.push_back(static_cast<float>(id % 5));
  return {{"start_logits", starts}, {"end_logits", ends}};
}

// A logit of each row, to which padding adds nothing.
fnet::Outputs logit_of_choice(const fnet::Inputs& inputs) {
  const fnet::Ids &ids = inputs.at("input_ids"), &types = inputs.at("token_type_ids");
  fnet::Floats logits{{rows(inputs), ids.shape[1]}, {}};
  for (std::size_t row = 0; row < rows(inputs); ++row) {
    int64_t sum = 0;
    for (std::size_t i = row * ids.row_size(); i < (row + 1) * ids.row_size(); ++i) sum += ids.values[i] * types.values[i];
    logits.values.push_back(static_cast<float>(sum % 11));
  }
  return {{"logits", logits}};
}

// Texts of one to five words in turn.
std::vector<fnet::Request> texts_of_five_lengths(std::size_t count) {
  std::vector<fnet::Request> requests;
  for (std::size_t i = 0; i < count; ++i) {
    std::string text = std::to_string(i);
    for (std::size_t word = 0; word < i % 5; ++word) text += " fox";
    requests.push_back({text});
  }
  return requests;
}

}  // namespace

TEST_CASE("a graph whose answers change their shape is refused") {
  const auto shrinking = bundle("sequence-classification", LENGTH, [](const fnet::Inputs& inputs) {
    const std::size_t labels = rows(inputs) > 1 ? 2 : 1;
    return fnet::Outputs{{"logits", {{rows(inputs), labels}, std::vector<float>(rows(inputs) * labels)}}};
  });
  const auto one = fnet::answers_from_requests(shrinking, {{"a"}}, {5});
  CHECK(one.error().text == "logits: expected the axes of sequence-classification; the graph's output has other axes");
  fnet::Ids ids{{9, 1}, std::vector<int64_t>(9)};
  const auto nine = fnet::run_in_batches(*shrinking.session, {{"input_ids", ids}});
  REQUIRE_FALSE(nine);
  CHECK(nine.error().text == "logits: expected the shape [1, 2]; the graph gave [1, 1]");
}

TEST_CASE("a question that leaves no room for its context is refused") {
  const auto none = bundle("question-answering", 3, [](const fnet::Inputs&) { return fnet::Outputs{}; });
  const auto found = fnet::answers_from_requests(none, {{"", std::string("context")}}, {5});
  REQUIRE_FALSE(found);
  CHECK(found.error().text == "question-answering: the question takes 0 of 3 tokens; too few are left for the context");
}

TEST_CASE("texts are answered in their order, whatever runs together") {
  const auto requests = texts_of_five_lengths(100);
  for (const char* padding : fnet::PADDINGS) {
    const auto all = answered(fnet::SEQUENCE_CLASSIFICATION, LENGTH, padding, requests, logits_of_ids);
    for (std::size_t i = 0; i < requests.size(); ++i)
      CHECK(all.answers[i] == answered(fnet::SEQUENCE_CLASSIFICATION, LENGTH, padding, {requests[i]}, logits_of_ids).answers[0]);
    std::map<std::size_t, std::size_t> rows_of_length;
    for (const auto& shape : all.batches) {
      CHECK(shape[0] <= 8);
      rows_of_length[shape[1]] += shape[0];
    }
    CHECK((rows_of_length.size() == 1) == (padding == std::string(fnet::MAX_LENGTH)));
    CHECK(all.batches.size() < 25);
  }
}

TEST_CASE("more rows are gathered where texts have their own length") {
  const std::vector<fnet::Request> same(130, {"the quick fox"});
  for (const char* padding : fnet::PADDINGS) {
    const bool one_length = padding == std::string(fnet::MAX_LENGTH);
    CHECK(bundle(fnet::SEQUENCE_CLASSIFICATION, LENGTH, logits_of_ids, padding).rows_at_once() == (one_length ? 8 : 128));
    CHECK(answered(fnet::SEQUENCE_CLASSIFICATION, LENGTH, padding, same, logits_of_ids).batches.size() == 17);
  }
}

TEST_CASE("the windows of a context may have different lengths") {
  std::string context;
  for (int i = 0; i < 23; ++i) context += "word " + std::to_string(i) + " ";
  const std::vector<fnet::Request> requests{
      {"who?", context}, {"who?", std::string("a fox")}, {"what is it?", context}, {"", std::string()}};
  const auto padded = answered(fnet::QUESTION_ANSWERING, 32, fnet::MAX_LENGTH, requests, logits_of_tokens);
  const auto own_length = answered(fnet::QUESTION_ANSWERING, 32, fnet::NONE, requests, logits_of_tokens);
  CHECK(padded.answers == own_length.answers);
  std::set<std::size_t> lengths;
  for (const auto& shape : own_length.batches) lengths.insert(shape[1]);
  CHECK(lengths.size() >= 4);
  CHECK(*lengths.rbegin() == 32);
  for (const auto& shape : padded.batches) CHECK(shape[1] == 32);
}

TEST_CASE("each choice is a row of its own") {
  const std::vector<std::string> three{"a", "the quick brown fox", "a b c d e"}, two{"fox", "a"};
  const std::vector<fnet::Request> requests{{"text", three}, {"another text", two}, {"text", std::vector<std::string>{"a"}}};
  const auto padded = answered(fnet::MULTIPLE_CHOICE, LENGTH, fnet::MAX_LENGTH, requests, logit_of_choice);
  CHECK(padded.batches == std::vector<std::vector<std::size_t>>{{6, 1, LENGTH}});
  const auto own_length = answered(fnet::MULTIPLE_CHOICE, LENGTH, fnet::NONE, requests, logit_of_choice);
  CHECK(padded.answers == own_length.answers);
  CHECK(own_length.batches.size() > 2);
  for (const auto& shape : own_length.batches) CHECK(shape[1] == 1);
  CHECK(padded.answers[2].find("\"scores\": [1.0]") != std::string::npos);
  const auto alone = answered(fnet::MULTIPLE_CHOICE, LENGTH, fnet::NONE, {requests[0]}, logit_of_choice);
  CHECK(alone.answers[0] == own_length.answers[0]);
}

TEST_CASE("a text with more masks than the graph predicts has several rows") {
  for (const char* padding : fnet::PADDINGS) {
    const auto best_is_position = [](const fnet::Inputs& inputs) {
      const fnet::Ids& positions = inputs.at(fnet::POSITIONS);
      fnet::Floats logits{{rows(inputs), 2, 20}, std::vector<float>(rows(inputs) * 2 * 20)};
      for (std::size_t i = 0; i < positions.values.size(); ++i) logits.values[i * 20 + static_cast<std::size_t>(positions.values[i])] = 9;
      return fnet::Outputs{{"logits", logits}};
    };
    auto opened = bundle(fnet::MASKED_LM, LENGTH, best_is_position, padding);
    opened.model.manifest.inputs.push_back({fnet::POSITIONS, "int64", {"batch_size", int64_t{2}}});
    const auto answers = fnet::answers_from_requests(opened, {{"[MASK][MASK][MASK]"}, {"[MASK]"}}, {1});
    REQUIRE(answers);
    std::vector<std::vector<int32_t>> best;
    for (const auto& answer : *answers) {
      auto& tokens = best.emplace_back();
      for (const auto& mask : std::get<fnet::Fillers>(answer).masks) tokens.push_back(mask[0].token_id);
    }
    CHECK(best == std::vector<std::vector<int32_t>>{{1, 2, 3}, {1}});
  }
}

TEST_CASE("any number of threads may ask at once") {
  const auto opened = bundle("sequence-classification", LENGTH, logits_of_ids);
  const std::vector<fnet::Request> requests{{"the quick fox"}, {"Ünïcödé ``10,000'' [MASK] 😀"}, {"\xff"}, {"a", std::string("pair")}};
  const auto asked = [&](const fnet::Request& request) {
    const auto answers = fnet::answers_from_requests(opened, {request}, {5});
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
