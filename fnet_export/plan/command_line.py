"""The command line that repeats an export."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

from fnet_runtime.bundle.manifest import AxisProfile
from fnet_runtime.engine.options import BuildOptions

from fnet_export.parity.tolerance import Tolerance
from fnet_export.plan.options import EngineOptions, ExportOptions, option_shown

FLAGS: Mapping[str, Mapping[str, str]] = {
    "model": {
        "task": "--task",
        "checkpoint": "--model",
        "revision": "--revision",
        "tokenizer": "--tokenizer",
        "sequence_length": "--sequence-length",
        "padding": "--padding",
        "pad_to_multiple_of": "--pad-to-multiple-of",
        "accept_drift": "--accept-drift",
        "predict_positions": "--predict-positions",
        "random_head": "--random-head",
    },
    "engine": {"target": "--target", "batch_profiles": "--batch-profile", "length_profiles": "--length-profile"},
    "build": {field.name: option_shown(field.name) for field in fields(BuildOptions)},
    "graph": {
        "transform": "--transform",
        "opset": "--opset",
        "simplify": "--no-simplify",
        "precision": "--precision",
        "keep_float32": "--keep-float32",
    },
    "calibration": {"texts": "--calibration", "method": "--calibration-method", "max_accuracy_drop": "--max-accuracy-drop"},
    "proof": {
        "texts": "--samples",
        "tolerance": "--atol",
        "min_agreement": "--min-agreement",
        "quick": "--quick",
        "evaluation": "--evaluation",
        "columns": "--column",
        "min_accuracy": "--min-accuracy",
        "provider": "--provider",
        "allow_partial": "--allow-partial",
    },
}
"""By part of the options, the flag of each field; `build` is a part of `engine`. The output is not here: it changes no file."""


def words_from_options(options: ExportOptions) -> list[str]:
    """Return the words of the command line that gives these options, except the output. A default is left out."""
    words = ["fnet-export", FLAGS["engine"]["target"], options.engine.target]
    for part, flags in FLAGS.items():
        given = options.engine.build if part == "build" else getattr(options, part)
        default = EngineOptions(target=options.engine.target) if part == "engine" else type(given)()
        for name, flag in flags.items():
            value = getattr(given, name)
            if value != getattr(default, name):
                words += _words(flag, value)
    return words


def _words(flag: str, value: object) -> Iterator[str]:
    """Return the words of one option."""
    if isinstance(value, bool):
        yield flag
    elif isinstance(value, AxisProfile):
        yield from (flag, str(value.min), str(value.opt), str(value.max))
    elif isinstance(value, Tolerance):
        yield from (flag, repr(value.atol), "--rtol", repr(value.rtol))
    elif isinstance(value, Mapping):
        for key, name in value.items():
            yield from (flag, f"{key}={name}")
    elif isinstance(value, tuple):
        for each in value:
            yield from _words(flag, each)
    else:
        yield from (flag, str(value))
