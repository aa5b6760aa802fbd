"""Writes ../src/generated/facts.inc: what the Python runtime says of tasks, limits, defaults, files and manifest keys, for C++.

Usage: python runtimes/cpp/scripts/generate.py. `src/base/facts.h` has the types of the tables.
A test fails while the file is out of date.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fnet_runtime.bundle import config, manifest
from fnet_runtime.command import exit_codes, questions
from fnet_runtime.engine import cache, cuda, products
from fnet_runtime.engine import options as build_options
from fnet_runtime.pipeline import answer_spans, encodings, entities, options, pipeline, tasks
from fnet_runtime.sessions import ort_session, providers, runtimes, trt_lane, trt_session
from fnet_runtime.tokenizer import encoding, tokenizer

OUTPUT = Path(__file__).parent.parent / "src" / "generated" / "facts.inc"
AGGREGATION = ("NO_AGGREGATION", "SIMPLE", "FIRST", "AVERAGE", "MAX")
OF_PYTHON_ALONE = ("openvino",)
"""Runtimes that C++ does not have."""


def main() -> None:
    """Write the file."""
    OUTPUT.write_text(facts())


def facts() -> str:
    """Return the whole file."""
    m, t = manifest, tokenizer
    integers = {
        **{
            name: int(getattr(exit_codes, name))
            for name in ("BAD_INPUT", "USAGE", "CHECK_FAILED", "ENGINE_FAILED", "INTERRUPTED", "READER_LEFT")
        },
        "FORMAT_VERSION": m.FORMAT_VERSION,
        "MAX_THREADS": runtimes.MAX_THREADS,
        "MAX_CONTEXTS": trt_session.MAX_CONTEXTS,
        "TOKEN_TYPES": config.TOKEN_TYPES,
        "DEFAULT_TOP_K": options.DEFAULT_TOP_K,
        "DEFAULT_ANSWER_TOKENS": options.DEFAULT_ANSWER_TOKENS,
        "NAMES_SHOWN": providers.NAMES_SHOWN,
        "DEFAULT_CACHE_MIB": cache.DEFAULT_CACHE_MIB,
        "RECENT_S": cache.RECENT_S,
        "MAX_OPTIMIZATION_LEVEL": build_options.MAX_OPTIMIZATION_LEVEL,
        "MAX_WORKSPACE_MIB": build_options.MAX_WORKSPACE_MIB,
    }
    sizes = {
        "MAX_TEXT_BYTES": t.MAX_TEXT_BYTES,
        "MAX_GRAPHS": trt_lane.MAX_GRAPHS,
        "WINDOW_OVERLAP": encodings.WINDOW_OVERLAP,
        "MORE_CANDIDATES": answer_spans.MORE_CANDIDATES,
        "SORTED_BATCHES": pipeline.SORTED_BATCHES,
        **{name: getattr(t, name) for name in ("FIRST_CHARACTERS", "CHARACTERS_PER_TOKEN", "GROWTH", "WHOLE", "LONGER")},
    }
    numbers = {"DEFAULT_THRESHOLD": options.DEFAULT_THRESHOLD}
    names = ("MANIFEST", "MODEL", "MODEL_DATA", "CONFIG", "GOLDEN", "TOKENIZER_CONFIG", "ENGINE", "BF16")
    tensors = ("BATCH", "SEQUENCE", "ATTENTION_MASK", "POSITIONS", "OPENVINO")
    compatibilities = ("NO_COMPATIBILITY", "AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY")
    texts = {
        **{name: getattr(m, name) for name in (*names, *tensors, *compatibilities)},
        **{name: getattr(t, name) for name in ("F_NET", "RAW", "SLOW", "FAST", "V5", "SPIECE", "TOKENIZER_JSON")},
        **{name: getattr(encoding, name) for name in ("UNK", "PAD", "CLS", "SEP", "MASK", "MAX_LENGTH", "NONE")},
        **{name: getattr(cache, name) for name in ("DESCRIPTION", "CACHE_VARIABLE", "LIMIT_VARIABLE")},
        "ONNXRUNTIME": runtimes.ONNXRUNTIME,
        "CPU": providers.CPU,
        **{name: getattr(ort_session, name) for name in ("NO_FALLBACK", "RECORD", "FELL_BACK")},
        "OUTSIDE": entities.OUTSIDE,
        **{name: getattr(questions, name) for name in ("PLAIN", "TSV", "JSONL", "WORDS_KEY", "CHOICES_KEY")},
        **{name: getattr(config, name) for name in ("POOLER", "FIRST_TOKEN", "MEAN", "GREATEST", "POOLING_KEY", "NORMALIZE_KEY")},
        **{name: getattr(options, name) for name in ("SOFTMAX", "SIGMOID", "NO_FUNCTION", "CUT", "REFUSE", *AGGREGATION)},
        **{name.replace("-", "_").upper(): name for name in tasks.TASKS},
    }
    lists = {
        "SPECIAL_TOKENS": encoding.SPECIAL_TOKENS,
        "PADDINGS": encoding.PADDINGS,
        "INPUTS": tasks.INPUTS,
        "PRECISIONS": m.PRECISIONS,
        "CALIBRATED": m.CALIBRATED,
        "FUNCTIONS_TO_APPLY": options.FUNCTIONS_TO_APPLY,
        "POOLINGS": config.POOLINGS,
        "TRUNCATIONS": options.TRUNCATIONS,
        "LINE_FORMATS": questions.LINE_FORMATS,
        "TEXT_KEYS": questions.TEXT_KEYS,
        "SECOND_KEYS": questions.SECOND_KEYS,
        "AGGREGATION_STRATEGIES": options.AGGREGATION_STRATEGIES,
        "ALWAYS": m.ALWAYS,
        "HARDWARE_COMPATIBILITIES": m.HARDWARE_COMPATIBILITIES,
        "RUNTIMES": [name for name in runtimes.RUNTIME_CHOICES if name not in OF_PYTHON_ALONE],
        **{f"{name}_KEYS": [field.name for field in dataclasses.fields(kind)] for name, kind in KINDS.items()},
    }
    tables = {
        "TargetFacts TARGETS": [[target, list(libraries)] for target, libraries in m.LIBRARIES.items()],
        "EngineFacts ENGINES": [[library, list(files)] for library, files in m.ENGINE_FILES.items()],
        "FlavourFacts FLAVOURS": [[name, *dataclasses.astuple(flavour)] for name, flavour in t.FLAVOURS.items()],
        "TaskFacts TASK_FACTS": [
            [name, [list(axes) for axes in task.outputs.items()], list(task.options), task.labelled, task.choices]
            for name, task in tasks.TASKS.items()
        ],
    }
    tables["PrecisionFacts LEAST_COMPUTE_CAPABILITIES"] = [list(row) for row in products.LEAST_COMPUTE_CAPABILITIES.items()]
    tables["ProviderFacts PROVIDERS"] = [[provider.name, provider.ort_name] for provider in providers.PROVIDERS.values()]
    tables["ProviderOption PROVIDER_OPTIONS"] = [
        [provider.name, precision, *option]
        for provider in providers.PROVIDERS.values()
        for precision, given in {"": provider.options, **provider.by_precision}.items()
        for option in given.items()
    ]
    lines = ["// Written by scripts/generate.py from the Python runtime: do not edit."]
    lines += [f"inline constexpr int {name} = {value};" for name, value in integers.items()]
    lines += [f"inline constexpr std::size_t {name} = {value};" for name, value in sizes.items()]
    lines += [f"inline constexpr double {name} = {value};" for name, value in numbers.items()]
    lines += [f"inline constexpr const char* {name} = {json.dumps(value)};" for name, value in texts.items()]
    lines += [f"inline constexpr const char* {name}[] = {_braced(values)};" for name, values in lists.items()]
    lines += [f"inline constexpr {name}[] = {_braced(rows)};" for name, rows in tables.items()]
    return "\n".join(lines) + "\n"


KINDS: Mapping[str, type[Any]] = {
    "MANIFEST": manifest.Manifest,
    "TENSOR": manifest.TensorInfo,
    "TOKENIZER": tokenizer.TokenizerOptions,
    "QUANTIZATION": manifest.Quantization,
    "SOURCE": manifest.Source,
    "ENGINE": manifest.EngineInfo,
    "BUILD": manifest.EngineBuild,
    "PROFILE": manifest.AxisProfile,
    "FILE": manifest.FileInfo,
    "ENTRY": cache.Entry,
    "GPU": cuda.Gpu,
}
"""The objects of manifest.json, and of engine.json in the cache of rebuilt engines."""


def _braced(values: Iterable[Any]) -> str:
    return "{" + ", ".join(_braced(v) if isinstance(v, list) else json.dumps(v) for v in values) + "}"


if __name__ == "__main__":
    main()
