"""The fields of config.pbtxt, which are the same for several kinds of models."""

from collections.abc import Mapping, Sequence

from fnet_runtime.triton.server import RUNTIME, TEXT_BYTES, THREADS
from fnet_runtime.triton.tensors import SCORES, TritonTensor

from fnet_export.bundle.triton.options import ServingOptions
from fnet_export.bundle.triton.pbtxt import Symbol, Value, map_from_values, text_from_fields

CONFIG_FILE, LABELS_FILE = "config.pbtxt", "labels.txt"
HEAD = "# fnet-export triton wrote this file.\n"
CPU, GPU = "KIND_CPU", "KIND_GPU"
GPU_RUNTIMES = ("tensorrt", "tensorrt-rtx")


def config_from_fields(fields: Mapping[str, Value]) -> str:
    """Return the text of config.pbtxt."""
    return HEAD + text_from_fields(fields)


def input_fields(tensors: Sequence[TritonTensor]) -> list[Value]:
    """Return the field `input`."""
    return [_tensor(tensor) | _rules(tensor) for tensor in tensors]


def output_fields(tensors: Sequence[TritonTensor]) -> list[Value]:
    """Return the field `output`. The scores of a classifier have a file of labels."""
    return [_tensor(tensor) | ({"label_filename": LABELS_FILE} if tensor.name == SCORES else {}) for tensor in tensors]


def _tensor(tensor: TritonTensor) -> dict[str, Value]:
    return {"name": tensor.name, "data_type": Symbol(tensor.data_type), "dims": list(tensor.dims)}


def _rules(tensor: TritonTensor) -> dict[str, Value]:
    rules = {"optional": tensor.optional, "allow_ragged_batch": tensor.ragged}
    return {name: True for name, given in rules.items() if given}


def batching_fields(serving: ServingOptions) -> dict[str, Value]:
    """Return how the server joins requests to batches, and how many requests may wait."""
    return {
        "max_queue_delay_microseconds": serving.queue_delay_us,
        "default_queue_policy": {"max_queue_size": serving.max_queue_size},
    }


def instance_fields(serving: ServingOptions, *, runtime: str) -> dict[str, Value]:
    """Return how many instances run side by side, and on which kind of processor."""
    return {"count": serving.instances, "kind": Symbol(GPU if runtime in GPU_RUNTIMES else CPU)}


def parameter_fields(serving: ServingOptions, more: Mapping[str, str] | None = None) -> list[Value]:
    """Return the field `parameters`, which fnet_runtime reads in the server."""
    values = {RUNTIME: serving.runtime, TEXT_BYTES: str(serving.max_text_bytes), **(more or {})}
    values |= {} if serving.threads is None else {THREADS: str(serving.threads)}
    return map_from_values({key: {"string_value": value} for key, value in values.items()})


LATEST: Mapping[str, Value] = {"latest": {"num_versions": 1}}
"""The version policy: the server loads the highest version."""
