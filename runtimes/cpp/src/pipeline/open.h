// An opened bundle: everything that a pipeline answers with.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "pipeline/tasks.h"

namespace fnet {

struct Bundle {
  Model model;
  const TaskPipeline* task;
  std::unique_ptr<Session> session;
  std::string golden;  // path of golden.safetensors

  // How many rows are answered together: a batch; or some batches, to find texts of one length among them.
  std::size_t rows_at_once() const {
    return static_cast<std::size_t>(session->batch().max) * (model.manifest.padding == MAX_LENGTH ? 1 : SORTED_BATCHES);
  }
};

// Opens a folder, every file of it checked first.
Result<Bundle> bundle_from_folder(const std::string& folder, const Config& config);

// Answers any number of requests, batched as the Python runtime batches them: the same rows at once give the same last digits.
Result<std::vector<AnyAnswer>> answers_from_requests(const Bundle& bundle, const std::vector<Request>& requests,
                                                     const AnswerOptions& options);
// The same, but an input error stands in place of an answer that cannot be given; one of all where no text could be answered with what
// stands beside it.
Result<std::vector<Result<AnyAnswer>>> each_answer_from_requests(const Bundle& bundle, const std::vector<Request>& requests,
                                                                 const AnswerOptions& options);

}  // namespace fnet
