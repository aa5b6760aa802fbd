"""golden.safetensors: inputs and their float64 reference outputs, with which a device checks itself without torch."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fnet_runtime.bundle.strict_json import json_from_bytes
from fnet_runtime.errors import BundleError
from fnet_runtime.tokenizer.encoding import Ids

INPUT, REFERENCE = "input.", "reference."
LIMIT = "limit."
DTYPES = {"I64": np.dtype("<i8"), "F64": np.dtype("<f8")}


@dataclass(frozen=True, eq=False)
class Golden:
    """int64 inputs, float64 references by name, and the largest absolute error that each output may have.

    A reference may hold a leading part of an axis only, such as the first tokens.
    """

    inputs: Mapping[str, Ids]
    references: Mapping[str, npt.NDArray[np.float64]]
    limits: Mapping[str, float]


def golden_from_file(path: Path) -> Golden:
    """Read the golden file strictly. The README of github.com/huggingface/safetensors has the format. Raises BundleError."""
    try:
        return _golden(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise BundleError(f"{path}: is not the safetensors file of a bundle ({error})") from error


def _golden(data: bytes) -> Golden:
    (length,) = struct.unpack_from("<Q", data)
    if length > len(data) - 8:
        raise ValueError(f"expected a header of {length} bytes, found {len(data) - 8}")
    header, body = json_from_bytes(data[8 : 8 + length]), data[8 + length :]
    metadata = header.pop("__metadata__")
    if not all(type(value) is str for value in metadata.values()):
        raise ValueError("expected metadata that are strings")
    tensors, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, stop = entry["data_offsets"]
        dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
        whole = all(type(n) is int and n > 0 for n in (stop, *shape)) and type(begin) is int
        if not whole or not shape or begin != end or stop - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"tensor {name} does not fill its bytes")
        tensors[name] = np.frombuffer(body[begin:stop], dtype).reshape(shape)
        end = stop
    if end != len(body):
        raise ValueError(f"expected {end} bytes of tensors, found {len(body)}")
    inputs, references = ({k.removeprefix(p): v for k, v in tensors.items() if k.startswith(p)} for p in (INPUT, REFERENCE))
    if len(inputs) + len(references) != len(tensors) or not inputs or not references:
        raise ValueError(f"expected tensors named {INPUT}* and {REFERENCE}*, found {', '.join(tensors)}")
    if any(v.dtype != np.int64 for v in inputs.values()) or any(v.dtype != np.float64 for v in references.values()):
        raise ValueError("expected int64 inputs and float64 references")
    if not all(np.isfinite(v).all() for v in references.values()):
        raise ValueError("expected finite references")
    limits = {name: float(metadata[LIMIT + name]) for name in references}
    if not all(0 <= limit < math.inf for limit in limits.values()):
        raise ValueError(f"expected limits from 0, found {limits}")
    return Golden(inputs, references, limits)
