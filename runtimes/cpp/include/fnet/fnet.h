/* The C interface of fnet_runtime: open, run, close. Text is UTF-8. Nothing throws, aborts or exits. */
#ifndef FNET_FNET_H
#define FNET_FNET_H

#include <stddef.h>

#if defined(__GNUC__)
#define FNET_C_API __attribute__((visibility("default")))
#else
#define FNET_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a function returns: ok, or the kind of the error that fnet_last_error tells of. */
typedef enum fnet_code {
  FNET_OK = 0,
  FNET_BUNDLE = 1,    /* the folder is not a whole, unaltered bundle of a known version */
  FNET_INPUT = 2,     /* what the caller passed cannot be an input of this bundle */
  FNET_SESSION = 3,   /* the engine cannot be opened or run on this host, or a library is missing */
  FNET_NO_DEVICE = 4, /* this host has no device that the engine can run on */
} fnet_code;

/* How to open a bundle. All zero is the default. The strings are read during fnet_open only. */
typedef struct fnet_config {
  const char* runtime;   /* null: the bundle's own engine where it has one, else ONNX Runtime; or its name, such as "onnxruntime" */
  int threads;           /* cores that ONNX Runtime may use, 1 to 1024; 0 is all */
  const char* library;   /* file of the runtime's library; null: $FNET_ONNXRUNTIME, $FNET_TENSORRT or $FNET_TENSORRT_RTX, else what the
                            loader finds by its name */
  int device;            /* number of the GPU that TensorRT or a provider uses; the calling thread's CUDA device becomes this one */
  int contexts;          /* TensorRT: callers that it runs at once, 1 to 64, each with GPU memory of its own; others wait; 0 is 2 */
  int cuda_graph;        /* TensorRT: not 0: capture the run of each batch size and length as a CUDA graph, and launch that from then on */
  size_t max_text_bytes; /* longest text that is taken, in bytes of UTF-8; a longer one is an input error; 0 is 33554432 */
  const char* provider;  /* of ONNX Runtime; null: "cpu"; or "cuda", "tensorrt" or "nv-tensorrt-rtx", which run model.onnx on a GPU */
  int allow_partial;     /* not 0: let the CPU run the nodes that the provider does not take; else such a bundle does not open */
  int rebuild;           /* TensorRT: not 0: build the engine for this GPU from model.onnx, in minutes, and keep it in the user's cache for
                            the next time */
} fnet_config;

/* An opened bundle. Any number of threads may run it at once; close it once, after the last run has returned. */
typedef struct fnet_pipeline fnet_pipeline;

/* Opens the bundle in a folder, every file of it checked first; `config` may be null. On success *pipeline is the caller's, to close
   with fnet_close; else it is null. */
FNET_C_API fnet_code fnet_open(const char* folder, const fnet_config* config, fnet_pipeline** pipeline);

/* What is asked of an answer. All zero is the default. An option of another task than the bundle's is an input error. */
typedef struct fnet_options {
  const char* truncation;           /* error: a text that does not fit is an input error; null or cut: it is cut, and the answer says so */
  const char* function_to_apply;    /* sequence-classification: softmax, sigmoid or none; null: as the checkpoint was trained */
  const double* threshold;          /* sequence-classification: `scores` lists only labels whose score is above this; null: no bound */
  const char* aggregation_strategy; /* token-classification: simple, first, average or max; null or none: labels of tokens */
  const int* stride; /* token-classification, question-answering: windows of a long text share so many tokens; null: a text to label is
                        cut, and windows of a context share at most 128 */
  const char* const* targets; /* masked-lm, pretraining: the only words that may fill a [MASK], each of one token; null: all */
  size_t target_count;
  int max_answer_len;           /* question-answering: the most tokens of an answer; 0: 15 */
  int handle_impossible_answer; /* question-answering: not 0: the answers include an empty one, with the score of [CLS] */
  const double* null_threshold; /* question-answering: the same, and the empty answer is first only if its logits exceed those of the best
                                   span by more than this; null: scores alone decide */
  int keep_parts_of_words;      /* question-answering: not 0: answers need not be whole words */
  const char* pooling;          /* feature-extraction: pooler, cls, mean or max; null: as the checkpoint states, else pooler */
  const int* normalize;         /* feature-extraction: not 0: the pooled vector gets length 1; null: as the checkpoint states */
} fnet_options;

/* One request. The strings are read during fnet_run only. */
typedef struct fnet_request {
  const char* text;
  size_t text_bytes;          /* length of the text, which may hold zeros */
  const char* const* seconds; /* zero-terminated: the second text, the context of a question, or the choices; null for none */
  size_t second_count;
  int top_k;                   /* how many fillers, answers or labels, from 1; 0 is 5 fillers or answers, and every label */
  const fnet_options* options; /* null: the defaults */
} fnet_request;

/* Answers one request. On success *json is the line that `fnet-run --json` prints (docs/run.md), zero-terminated and without line
   feed; the caller's, to free with fnet_free. Else it is null. */
FNET_C_API fnet_code fnet_run(const fnet_pipeline* pipeline, const fnet_request* request, char** json);

/* The Hugging Face name of the bundle's task; lives as long as the pipeline. */
FNET_C_API const char* fnet_task(const fnet_pipeline* pipeline);

/* What the last failed call of this thread found wrong, never null; lives until this thread's next call. */
FNET_C_API const char* fnet_last_error(void);

/* Either may be null. */
FNET_C_API void fnet_free(char* json);
FNET_C_API void fnet_close(fnet_pipeline* pipeline);

#ifdef __cplusplus
}
#endif

#endif
