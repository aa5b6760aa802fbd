"""The form `whole`: one model that answers texts, by fnet_runtime in the server's Python backend."""

from pathlib import Path

from fnet_runtime.bundle.manifest import MANIFEST, Manifest, file_info
from fnet_runtime.sessions.runtimes import runtime_from_name
from fnet_runtime.triton.server import BUNDLE
from fnet_runtime.triton.tensors import INPUTS, SCORES, outputs_of_manifest

from fnet_export.base.errors import OutputError
from fnet_export.bundle.triton.config import (
    CONFIG_FILE,
    LABELS_FILE,
    LATEST,
    batching_fields,
    config_from_fields,
    input_fields,
    instance_fields,
    output_fields,
    parameter_fields,
)
from fnet_export.bundle.triton.folders import MODEL_FILE, ModelFolder, copies_from_bundle
from fnet_export.bundle.triton.options import WHOLE, ServingOptions
from fnet_export.bundle.triton.pbtxt import Value

MODEL_PY = '''"""Answers texts with the bundle next to this file. fnet-export triton wrote this file."""

import sys

sys.path[:0] = {packages}
try:
    from {module} import {name} as TritonPythonModel
except ImportError as error:
    raise ImportError(f"{{error}}; install fnet-runtime in the server's Python, or name its folder with --packages") from error

__all__ = ["TritonPythonModel"]
'''


def whole_folder(name: str, bundle: Path, manifest: Manifest, *, version: int, serving: ServingOptions) -> ModelFolder:
    """Return the folder of a model that holds a whole bundle.

    Raises OptionError for a runtime that the bundle has no file for, and OutputError for labels that a file cannot hold.
    """
    runtime = runtime_from_name(serving.runtime, manifest, bundle)
    fields: dict[str, Value] = {
        "name": name,
        "backend": "python",
        "max_batch_size": serving.max_batch_size,
        "version_policy": LATEST,
        "input": input_fields(INPUTS[manifest.task]),
        "output": output_fields(outputs_of_manifest(manifest)),
        "instance_group": [instance_fields(serving, runtime=runtime)],
        "dynamic_batching": batching_fields(serving),
        "parameters": parameter_fields(serving),
    }
    model = model_py("fnet_runtime.triton.whole", "WholeModel", serving)
    files = {CONFIG_FILE: config_from_fields(fields), f"{version}/{MODEL_FILE}": model, **label_files(bundle, manifest)}
    copies = copies_from_bundle(bundle, manifest, (MANIFEST, *manifest.files), within=f"{version}/{BUNDLE}")
    digest = file_info(bundle / MANIFEST).sha256
    return ModelFolder(name=name, form=WHOLE, version=version, bundle=digest, files=files, copies=copies)


def model_py(module: str, name: str, serving: ServingOptions) -> str:
    """Return the text of model.py, which finds a class of fnet_runtime."""
    return MODEL_PY.format(packages=[str(folder) for folder in serving.packages], module=module, name=name)


def label_files(bundle: Path, manifest: Manifest) -> dict[str, str]:
    """Return labels.txt, if an output needs it: a label a line. Raises OutputError for a label that is more than a line."""
    if SCORES not in {tensor.name for tensor in outputs_of_manifest(manifest)}:
        return {}
    broken = [label for label in manifest.labels if label.splitlines() != [label]]
    if broken:
        raise OutputError(f"{bundle}: expected labels of one line each for {LABELS_FILE}, found {broken[0]!r}; rename the label")
    return {LABELS_FILE: "".join(f"{label}\n" for label in manifest.labels)}
