"""What the Python backend of a Triton server passes in and takes back: arguments, requests and responses."""

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.errors import FNetRuntimeError, InputError, SessionError
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.sessions.runtimes import AUTO
from fnet_runtime.triton.questions import MAX_TEXT_BYTES

BUNDLE = "bundle"
"""The folder of the bundle, in the folder of a version of a model."""
RUNTIME, THREADS, TEXT_BYTES, MAX_ROWS = "runtime", "threads", "max_text_bytes", "max_rows"
"""The keys of `parameters` in config.pbtxt."""
GPU = "GPU"
UTILITIES = "triton_python_backend_utils"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an instance of a model is: the bundle of its version, how the bundle is opened, and how many rows its graph runs."""

    bundle: Path
    runtime: str = AUTO
    threads: int | None = None
    max_text_bytes: int = MAX_TEXT_BYTES
    max_rows: int = 1


def settings_from_arguments(arguments: Mapping[str, str]) -> Settings:
    """Read the arguments of `initialize`. An instance on a GPU sees no other GPU from now on.

    The server numbers the GPUs that are visible to it.
    """
    if arguments.get("model_instance_kind") == GPU:
        device, visible = arguments["model_instance_device_id"], os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[int(device)] if visible else device
    parameters = json.loads(arguments["model_config"]).get("parameters", {})
    values = {key: value["string_value"] for key, value in parameters.items()}
    return Settings(
        bundle=Path(arguments["model_repository"]) / arguments["model_version"] / BUNDLE,
        runtime=values.get(RUNTIME, AUTO),
        threads=int(values[THREADS]) if THREADS in values else None,
        max_text_bytes=int(values.get(TEXT_BYTES, MAX_TEXT_BYTES)),
        max_rows=int(values.get(MAX_ROWS, 1)),
    )


def check_and_warm(pipeline: Pipeline, bundle: Path) -> None:
    """Run the golden inputs, which also warms the engine up. Raises SessionError if an output is wrong."""
    failed = [check.output for check in pipeline.self_test() if not check.passed]
    if failed:
        raise SessionError(
            f"{bundle}: the self-test failed on this host ({', '.join(failed)}); run fnet-run --self-test on the bundle here"
        )


class Server:
    """The utilities of the Python backend, which exist only inside of a server's process."""

    def __init__(self) -> None:
        self._utilities: Any = importlib.import_module(UTILITIES)

    def tensors(self, request: Any, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Return the inputs of a request as arrays. An input that the request does not have is left out."""
        tensors = {name: self._utilities.get_input_tensor_by_name(request, name) for name in names}
        return {name: tensor.as_numpy() for name, tensor in tensors.items() if tensor is not None}

    def response(self, outputs: Mapping[str, npt.NDArray[Any]]) -> Any:
        """Return a response of arrays by name."""
        tensors = [self._utilities.Tensor(name, array) for name, array in outputs.items()]
        return self._utilities.InferenceResponse(output_tensors=tensors)

    def failure(self, error: FNetRuntimeError) -> Any:
        """Return a response that is an error: the caller's fault if it is an InputError, else the server's own."""
        kinds = self._utilities.TritonError
        kind = kinds.INVALID_ARG if isinstance(error, InputError) else kinds.INTERNAL
        return self._utilities.InferenceResponse(output_tensors=[], error=kinds(str(error), kind))


def strings(values: Sequence[str]) -> npt.NDArray[np.object_]:
    """Return texts as a column of bytes: a row for each."""
    return np.array([value.encode("utf-8") for value in values], np.object_).reshape(-1, 1)
