"""A stand-in for the utilities of Triton's Python backend, which exist only in a server's process."""

import json
import sys
from types import ModuleType

import numpy as np

UTILITIES = "triton_python_backend_utils"


class Tensor:
    def __init__(self, name, array):
        self._name, self._array = name, array

    def name(self):
        return self._name

    def as_numpy(self):
        return self._array


class TritonError:
    INVALID_ARG, INTERNAL = "invalid argument", "internal"

    def __init__(self, message, code):
        self.message, self.code = message, code


class InferenceResponse:
    def __init__(self, output_tensors=(), error=None):
        self.outputs = {tensor.name(): tensor.as_numpy() for tensor in output_tensors}
        self.error = error


class Request:
    """A request of arrays by name, which asks for `outputs`."""

    def __init__(self, outputs=("answer",), **arrays):
        self.outputs, self.arrays = list(outputs), arrays

    def requested_output_names(self):
        return self.outputs


def get_input_tensor_by_name(request, name):
    return Tensor(name, request.arrays[name]) if name in request.arrays else None


def install(monkeypatch):
    """Let the models of a repository find the stand-in."""
    module = ModuleType(UTILITIES)
    for part in (Tensor, TritonError, InferenceResponse, get_input_tensor_by_name):
        setattr(module, part.__name__, part)
    monkeypatch.setitem(sys.modules, UTILITIES, module)


def texts(*rows):
    """Return rows of texts as the server passes them: bytes in an array of objects."""
    return np.array([[text.encode() for text in row] for row in rows], np.object_)


def arguments(folder, version=1, parameters=None, **more):
    """Return what `initialize` gets for a version of the model in a folder."""
    values = {key: {"string_value": value} for key, value in (parameters or {}).items()}
    config = json.dumps({"parameters": values})
    return {"model_config": config, "model_repository": str(folder), "model_version": str(version)} | more
