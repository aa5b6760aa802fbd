#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/error.h"
#include "fnet/fnet.h"
#include "fnet/fnet.hpp"
#include "pipeline/tasks.h"

struct fnet_pipeline {
  fnet::Pipeline pipeline;
};

namespace {

constexpr const char* OUT_OF_MEMORY = "out of memory";

// The text of this thread's last error, and what stands in for it when there is no memory for one.
thread_local std::string last_error;
thread_local const char* last_error_text = "";

fnet_code kept(const fnet::Error& error) {
  last_error = error.text;
  last_error_text = last_error.c_str();
  return static_cast<fnet_code>(error.code);
}

// Runs what may throw for want of memory.
template <class Work>
fnet_code guarded(Work work) {
  try {
    return work();
  } catch (...) {
    last_error_text = OUT_OF_MEMORY;
    return FNET_SESSION;
  }
}

// Whether one of so many texts is missing.
bool has_null(const char* const* texts, std::size_t count) {
  return count && (!texts || std::find(texts, texts + count, nullptr) != texts + count);
}

fnet::AnswerOptions options_from_request(const fnet_request& request) {
  fnet::AnswerOptions options;
  if (request.top_k) options.top_k = request.top_k;
  if (!request.options) return options;
  const fnet_options& given = *request.options;
  if (given.truncation) options.truncation = given.truncation;
  if (given.function_to_apply) options.function_to_apply = given.function_to_apply;
  if (given.aggregation_strategy) options.aggregation_strategy = given.aggregation_strategy;
  if (given.stride) options.stride = *given.stride;
  if (given.targets) options.targets.assign(given.targets, given.targets + given.target_count);
  if (given.max_answer_len) options.max_answer_len = given.max_answer_len;
  if (given.null_threshold) options.null_threshold = *given.null_threshold;
  options.handle_impossible_answer = given.handle_impossible_answer != 0;
  options.align_to_words = given.keep_parts_of_words == 0;
  if (given.pooling) options.pooling = given.pooling;
  if (given.normalize) options.normalize = *given.normalize != 0;
  if (given.threshold) options.threshold = *given.threshold;
  return options;
}

}  // namespace

fnet_code fnet_open(const char* folder, const fnet_config* config, fnet_pipeline** pipeline) {
  return guarded([&] {
    if (!pipeline) return kept(fnet::input_error("fnet_open: expected a folder and a place for the pipeline, found null"));
    *pipeline = nullptr;
    if (!folder) return kept(fnet::input_error("fnet_open: expected a folder and a place for the pipeline, found null"));
    fnet::Config chosen;
    if (config && config->runtime) chosen.runtime = config->runtime;
    if (config && config->library) chosen.library = config->library;
    if (config && config->provider) chosen.provider = config->provider;
    if (config) {
      chosen.threads = config->threads;
      chosen.device = config->device;
      if (config->contexts) chosen.contexts = config->contexts;
      if (config->max_text_bytes) chosen.max_text_bytes = config->max_text_bytes;
      chosen.cuda_graph = config->cuda_graph != 0;
      chosen.allow_partial = config->allow_partial != 0;
      chosen.rebuild = config->rebuild != 0;
    }
    auto opened = fnet::Pipeline::open(folder, chosen);
    if (!opened) return kept(opened.error());
    *pipeline = new fnet_pipeline{*std::move(opened)};
    return FNET_OK;
  });
}

fnet_code fnet_run(const fnet_pipeline* pipeline, const fnet_request* request, char** json) {
  return guarded([&] {
    if (json) *json = nullptr;
    const fnet_options* options = request ? request->options : nullptr;
    const bool texts_missing =
        request && (has_null(request->seconds, request->second_count) || (options && has_null(options->targets, options->target_count)));
    if (!pipeline || !request || !request->text || !json || texts_missing)
      return kept(fnet::input_error("fnet_run: expected a pipeline, a request with a text and a place for the answer, found null"));
    fnet::Request asked{std::string(request->text, request->text_bytes)};
    if (request->second_count) {
      std::vector<std::string> seconds(request->seconds, request->seconds + request->second_count);
      if (pipeline->pipeline.task() == fnet::MULTIPLE_CHOICE) asked.second = std::move(seconds);
      else if (seconds.size() == 1) asked.second = std::move(seconds[0]);
      else return kept(fnet::input_error("fnet_run: expected one second text; several are choices, of multiple-choice only"));
    }
    const auto answers = pipeline->pipeline.answer_all({asked}, options_from_request(*request));
    if (!answers) return kept(answers.error());
    const std::string text = fnet::json_from_answer(answers->front());
    *json = static_cast<char*>(std::malloc(text.size() + 1));
    if (!*json) throw std::bad_alloc();
    std::memcpy(*json, text.c_str(), text.size() + 1);
    return FNET_OK;
  });
}

const char* fnet_task(const fnet_pipeline* pipeline) { return pipeline ? pipeline->pipeline.task().c_str() : ""; }
const char* fnet_last_error(void) { return last_error_text; }
void fnet_free(char* json) { std::free(json); }
void fnet_close(fnet_pipeline* pipeline) { delete pipeline; }
