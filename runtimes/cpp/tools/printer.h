// Prints what was found for texts, in their order, and counts those that were cut or could not be answered.
#pragma once

#include <string>
#include <vector>

#include "texts.h"

class Printer {
 public:
  // `options` are those of the command line; `pipeline` and `options` outlive the printer.
  Printer(const fnet::Pipeline& pipeline, const Options& options);

  // Answers texts and prints what was found. With --lines an error stands in place of an answer, else it ends the program.
  void answer(const Batch& batch);
  // Says on standard error how many texts were cut, unless --quiet is given, and how many could not be answered. Names the first of each.
  void say_notes() const;
  bool has_errors() const { return errors_ > 0; }

 private:
  using Answers = fnet::Result<std::vector<fnet::Result<fnet::AnyAnswer>>>;

  // What a text asks: a line may have its own second text, and every other text has the pair of the command line.
  fnet::Result<fnet::Request> request(const Asked& asked) const;
  // Answers requests, with an error in place of an answer that cannot be given. A pair of the command line that no text could be answered
  // with is an error of all.
  Answers answers(const std::vector<fnet::Request>& requests) const;
  std::string json(const Place& place, const fnet::Result<fnet::AnyAnswer>& answer) const;
  // The rows of one text; where an answer may have several, an empty line comes before those of every other text.
  std::string text(const Place& place, const fnet::Result<fnet::AnyAnswer>& answer) const;
  void count(const Place& place, const fnet::Result<fnet::AnyAnswer>& answer);

  const fnet::Pipeline& pipeline_;
  const Options& options_;
  decltype(fnet::Request::second) second_;
  std::size_t texts_ = 0, cut_ = 0, errors_ = 0;
  std::string first_cut_, first_error_;
};
