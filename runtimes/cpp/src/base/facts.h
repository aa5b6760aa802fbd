// Facts that both runtimes share: tasks, limits, defaults, files and the keys of manifest.json. The Python runtime has them first;
// scripts/generate.py writes them down for C++.
#pragma once

#include <cstddef>

namespace fnet {

// An export target and the libraries that its engine may come from; null where it has fewer.
struct TargetFacts {
  const char *name, *libraries[2];
};

// A library, the file that it opens, and a file that it reads next to that one, or null.
struct EngineFacts {
  const char *library, *files[2];
};

// What sets one kind of tokenizer apart: the file that it reads, whether it adds [CLS] and [SEP], how it truncates (see Frame).
struct FlavourFacts {
  const char *name, *file;
  bool adds_special, odd_to_longer, cut_at_end;
};

// An output, and a letter for each of its axes: b rows, s tokens, p tokens or the positions to predict, c choices, l labels, n any.
struct OutputAxes {
  const char *name, *axes;
};

// A task, its outputs, and the options of answers that not every task takes; a name that it lacks is null. `labelled`: the manifest names
// the last axis of the logits. `choices`: the inputs have an axis of choices, of length 1, because each choice is a row of its own.
struct TaskFacts {
  const char* name;
  OutputAxes outputs[2];
  const char* options[5];
  bool labelled, choices;
};

// A precision, and the oldest GPUs that multiply in it, where not all do that a library builds for.
struct PrecisionFacts {
  const char *precision, *compute_capability;
};

// A provider of ONNX Runtime, and ONNX Runtime's own name of it.
struct ProviderFacts {
  const char *name, *ort_name;
};

// An option that goes to a provider where the bundle has a precision; with none, always.
struct ProviderOption {
  const char *provider, *precision, *key, *value;
};

#include "generated/facts.inc"

}  // namespace fnet
