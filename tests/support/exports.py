"""Export as the command line does. No other file of the tests makes the options of an export."""

import json
import tempfile
from importlib import resources
from pathlib import Path

import fnet_runtime.bundle
import jsonschema
from fnet_runtime.bundle.manifest import MANIFEST
from support.checkpoints import save_tiny
from support.once import once

from fnet_export.base.progress import Quiet
from fnet_export.parity.tolerance import tolerance_from_options
from fnet_export.plan.options import (
    CalibrationOptions,
    EngineOptions,
    ExportOptions,
    GraphOptions,
    ModelOptions,
    OutputOptions,
    ProofOptions,
)
from fnet_export.plan.pipeline import bundle_from_plan
from fnet_export.plan.plan import plan_from_options

NOWHERE = Path(tempfile.gettempdir()) / "bundle-that-no-test-writes"
CPP_ROW = "C++ runtime, final graph"
MANIFEST_SCHEMA = jsonschema.Draft202012Validator(
    json.loads(resources.files(fnet_runtime.bundle).joinpath("manifest.schema.json").read_text())
)
"""Every bundle that a test exports must be valid by it."""
PARTS = {
    "model": (
        ModelOptions,
        {"model": "checkpoint"}
        | {name: name for name in ("task", "revision", "tokenizer", "sequence_length", "padding", "pad_to_multiple_of")}
        | {name: name for name in ("accept_drift", "predict_positions", "random_head")},
    ),
    "graph": (GraphOptions, {name: name for name in ("transform", "opset", "simplify", "precision", "keep_float32")}),
    "calibration": (
        CalibrationOptions,
        {"calibration": "texts", "calibration_method": "method", "max_accuracy_drop": "max_accuracy_drop"},
    ),
    "proof": (
        ProofOptions,
        {"samples": "texts"}
        | {name: name for name in ("tolerance", "min_agreement", "quick", "evaluation", "columns", "min_accuracy")}
        | {name: name for name in ("provider", "allow_partial")},
    ),
    "engine": (EngineOptions, {name: name for name in ("target", "batch_profiles", "length_profiles", "build")}),
    "output": (OutputOptions, {"output": "folder", "force": "force"}),
}
"""The parts of an export's options: what makes each, and the fields of the flat options that it takes."""


def options_from(*, atol=None, rtol=None, **flat):
    """Return the options of an export, given flat as on the command line. Labelled data do not decide on the padding of a model.

    Without a folder to write to, the default is not `bundle` of the current folder, which may exist.
    """
    flat = {"output": NOWHERE} | flat
    if flat.get("evaluation") and flat.get("model"):
        flat = {"padding": "max_length"} | flat
    flat |= {"tolerance": tolerance_from_options(atol, rtol)}
    parts = {}
    for part, (make, fields) in PARTS.items():
        parts[part] = make(**{field: flat.pop(name) for name, field in fields.items() if name in flat})
    assert not flat, f"no part of the options takes {', '.join(flat)}"
    return ExportOptions(**parts)


def export(checkpoint, output, *, task="sequence-classification", target="onnx", quick=True, **options):
    """Export a checkpoint; without one, the built-in model. The check is a quick one, unless a test is about its rows."""
    model = str(checkpoint) if checkpoint else None
    chosen = options_from(task=task, target=target, model=model, output=output, quick=quick, **options)
    done = bundle_from_plan(plan_from_options(chosen), Quiet())
    MANIFEST_SCHEMA.validate(json.loads((done.folder / MANIFEST).read_text()))
    return done


def stored(folder, task="sequence-classification", *, labels=("A", "B", "C"), **options):
    """Return a bundle of the tiny model of a task, which is exported once for all tests of a run. Tests that change one copy it."""
    options = {"target": "onnx", "precision": "fp32"} | options
    name = "-".join([task, *labels, *(f"{key}={value}" for key, value in sorted(options.items()))])

    def make(folder):
        export(save_tiny(folder / "checkpoint", task, labels=labels), folder / "bundle", task=task, quick=False, **options)

    return once(folder / name, make) / "bundle"
