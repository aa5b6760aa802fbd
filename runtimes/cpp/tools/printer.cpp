#include "printer.h"

#include <algorithm>
#include <iostream>
#include <iterator>

#include "answer_text.h"
#include "api/answer_json.h"
#include "base/error.h"
#include "base/words.h"
#include "ending.h"
#include "pipeline/tasks.h"
#include "questions.h"

namespace {

using Found = fnet::Result<fnet::AnyAnswer>;

const std::string TASKS_OF_ROWS[] = {fnet::PRETRAINING, fnet::MASKED_LM, fnet::TOKEN_CLASSIFICATION, fnet::QUESTION_ANSWERING};

struct IsTruncated {
  bool operator()(const fnet::Answers&) const { return false; }  // question-answering cuts no text
  template <class T>
  bool operator()(const T& answer) const {
    return answer.truncated;
  }
};

}  // namespace

Printer::Printer(const fnet::Pipeline& pipeline, const Options& options) : pipeline_(pipeline), options_(options) {
  const bool choices = pipeline.task() == fnet::MULTIPLE_CHOICE;
  if (options.pairs.size() > 1 && !choices) fail(fnet::input_error("--pair: expected once, because only multiple-choice takes several"));
  if (!options.pairs.empty() && choices) second_ = options.pairs;
  else if (!options.pairs.empty()) second_ = options.pairs[0];
}

void Printer::answer(const Batch& batch) {
  std::vector<fnet::Request> good;
  std::vector<std::optional<fnet::Error>> faults;
  for (const Asked& asked : batch) {
    const auto one = request(asked);
    faults.push_back(one ? std::nullopt : std::make_optional(one.error()));
    if (one) good.push_back(*one);
  }
  const auto answered = answers(good);
  if (!answered) fail(answered.error());
  std::vector<Found> found;
  auto next = answered->begin();
  for (const auto& fault : faults) found.push_back(fault ? Found(*fault) : *next++);
  for (std::size_t i = 0; i < batch.size() && !options_.lines; ++i) {
    if (found[i]) continue;
    const fnet::Error& error = found[i].error();
    fail(batch.size() == 1 ? error : fnet::input_error(batch[i].place.text() + ": " + error.text));
  }
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    shown.push_back(options_.as_json ? json(batch[i].place, found[i]) : text(batch[i].place, found[i]));
    count(batch[i].place, found[i]);
  }
  if (!shown.empty()) write_line(fnet::joined(shown, "\n"));
}

fnet::Result<fnet::Request> Printer::request(const Asked& asked) const {
  if (asked.fault) return *asked.fault;
  if (options_.line_format == fnet::PLAIN || asked.place.is_argument()) return fnet::Request{asked.text, second_};
  return request_from_line(asked.text, options_.line_format, pipeline_.task() == fnet::MULTIPLE_CHOICE);
}

Printer::Answers Printer::answers(const std::vector<fnet::Request>& requests) const {
  auto all = pipeline_.answer_each(requests, options_.answers);
  if (all || options_.line_format == fnet::PLAIN || all.error().code != fnet::Code::input) return all;
  if (const auto options = pipeline_.answer_each({}, options_.answers); !options) return options;
  std::vector<fnet::Request> good;  // those whose second text fits
  std::vector<std::optional<fnet::Error>> faults;
  for (const fnet::Request& one : requests) {
    const auto alone = pipeline_.answer_each({one}, options_.answers);
    if (!alone && alone.error().code != fnet::Code::input) return alone;
    faults.push_back(alone ? std::nullopt : std::make_optional(alone.error()));
    if (alone) good.push_back(one);
  }
  const auto answered = pipeline_.answer_each(good, options_.answers);
  if (!answered) return answered;
  std::vector<Found> found;
  auto next = answered->begin();
  for (const auto& fault : faults) found.push_back(fault ? Found(*fault) : *next++);
  return found;
}

void Printer::say_notes() const {
  const std::string of_all = " of " + std::to_string(texts_) + " texts";
  if (cut_ && !options_.quiet) {
    const std::string which = texts_ == 1 ? "the text" : std::to_string(cut_) + of_all + " (the first is " + first_cut_ + ")";
    std::cerr << "note: the sequence length of " << pipeline_.sequence_length() << " tokens cut " << which
              << "; the answer does not depend on the rest\n";
  }
  if (errors_) std::cerr << "error: " << errors_ << of_all << " could not be answered; the first is " << first_error_ << "\n";
}

std::string Printer::json(const Place& place, const Found& answer) const {
  return answer ? fnet::json_from_answer(*answer) : fnet::json_from_error(answer.error().text, place.source, place.number);
}

std::string Printer::text(const Place& place, const Found& answer) const {
  const std::string rows = answer ? text_from_answer(*answer, pipeline_.multi_label(), options_.answers)
                                  : "(error)\t" + escaped(place.text() + ": " + answer.error().text);
  const bool many = std::count(std::begin(TASKS_OF_ROWS), std::end(TASKS_OF_ROWS), pipeline_.task()) > 0;
  return texts_ && many ? "\n" + rows : rows;
}

void Printer::count(const Place& place, const Found& answer) {
  ++texts_;
  if (!answer) {
    if (++errors_ == 1) first_error_ = place.text() + ": " + answer.error().text;
  } else if (std::visit(IsTruncated{}, *answer)) {
    if (++cut_ == 1) first_cut_ = place.text();
  }
}
