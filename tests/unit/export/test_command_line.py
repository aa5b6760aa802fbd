"""The command line that a card prints gives the options of its export again."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import AxisProfile
from fnet_runtime.engine.options import BuildOptions
from support.exports import options_from

from fnet_export.commands import export as command
from fnet_export.commands.cli import main
from fnet_export.plan.command_line import FLAGS, words_from_options
from fnet_export.plan.options import ExportOptions, OutputOptions


class Planned(Exception):
    """Ends a command when its options are made."""


def options_of(words, monkeypatch):
    """The options that the command makes of words."""
    made = []

    def plan(options):
        made.append(options)
        raise Planned

    monkeypatch.setattr(command, "plan_from_options", plan)
    shown = CliRunner().invoke(main, words[1:])
    assert isinstance(shown.exception, Planned), shown.output
    return made[0]


@pytest.mark.parametrize(
    "flat",
    [
        {"target": "onnx"},
        {"target": "onnx", "task": "masked-lm", "predict_positions": 3, "random_head": True, "simplify": False},
        {"target": "onnx", "model": "a folder/of 'mine'", "padding": "none", "pad_to_multiple_of": 8, "quick": True},
        {"target": "onnx", "model": "google/fnet-base", "revision": "abc", "tokenizer": "fnet-fast", "transform": "fft"},
        {"target": "openvino", "precision": "fp16", "keep_float32": ("encoder.blocks.0", "head.dense"), "sequence_length": 64},
        {"target": "onnx", "precision": "int8", "calibration": Path("texts"), "calibration_method": "entropy"},
        {"target": "onnx", "precision": "int8", "max_accuracy_drop": 0.5, "evaluation": Path("d.jsonl"), "min_accuracy": 90.0},
        {"target": "onnx", "evaluation": Path("d.csv"), "columns": {"text": "a 'sentence'", "label": "b=c"}},
        {"target": "onnx", "samples": Path("s.txt"), "atol": 0.5, "rtol": 1e-3, "min_agreement": 99.5, "accept_drift": True},
        {
            "target": "tensorrt-rtx",
            "opset": 18,
            "batch_profiles": (AxisProfile(min=1, opt=1, max=1), AxisProfile(min=1, opt=4, max=16)),
            "length_profiles": (AxisProfile(min=1, opt=2, max=3), AxisProfile(min=3, opt=4, max=5)),
            "build": BuildOptions(workspace_mib=64, timing_cache=Path("times"), compute_capabilities=("8.6", "8.9")),
        },
        {"target": "tensorrt-rtx", "precision": "fp8", "calibration": Path("texts"), "calibration_method": "percentile"},
        {"target": "tensorrt", "build": BuildOptions(optimization_level=0, weight_stripped=True)},
        {"target": "tensorrt", "build": BuildOptions(version_compatible=True, hardware_compatibility="ampere-plus")},
    ],
)
def test_its_options_are_the_same(flat, monkeypatch):
    options = options_from(**flat)
    made = options_of(words_from_options(options), monkeypatch)
    assert replace(made, output=OutputOptions()) == replace(options, output=OutputOptions())


def test_every_field_of_every_part_has_a_flag():
    options = options_from(target="onnx")
    parts = {field.name: {inner.name for inner in fields(getattr(options, field.name))} for field in fields(ExportOptions)}
    del parts["output"]
    parts["engine"].remove("build")
    parts["build"] = {field.name for field in fields(BuildOptions)}
    assert {part: set(flags) for part, flags in FLAGS.items()} == parts
