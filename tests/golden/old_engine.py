"""Runs graphs in the release of an engine that its environment has; nothing of this project is installed there.

python old_engine.py FOLDER...: each has model.onnx and inputs.npz, and gets outputs.npz, or error.txt with the engine's words.
"""

import sys
from pathlib import Path

import numpy as np


def run_in_onnxruntime(model, inputs):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact products on every CPU
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def run_in_openvino(model, inputs):
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(inputs)
    return {output.any_name: found[output] for output in compiled.outputs}


try:
    import onnxruntime  # noqa: F401

    run = run_in_onnxruntime
except ImportError:
    run = run_in_openvino
for folder in map(Path, sys.argv[1:]):
    with np.load(folder / "inputs.npz") as arrays:
        inputs = dict(arrays)
    try:
        np.savez(folder / "outputs.npz", **run(folder / "model.onnx", inputs))
    except Exception as error:
        (folder / "error.txt").write_text(str(error))
