"""golden.safetensors: inputs and their float64 reference outputs, with which a device checks itself without torch."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.bundle.strict_json import json_from_bytes
from fnet_runtime.errors import BundleError
from fnet_runtime.tokenizer.encoding import Ids

INPUT, REFERENCE = "input", "reference"
"""A tensor is named after the number of its case, what it is, and the input or output: `0.input.input_ids`."""
LIMIT = "limit."
DTYPES = {"I64": np.dtype("<i8"), "F64": np.dtype("<f8")}


@dataclass(frozen=True, eq=False)
class Case:
    """A batch of int64 inputs of one length, and float64 references by output.

    A reference may hold a leading part of an axis only, such as the first tokens.
    """

    inputs: Mapping[str, Ids]
    references: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Golden:
    """The cases, one for each length, and the largest absolute error that each output may have."""

    cases: tuple[Case, ...]
    limits: Mapping[str, float]

    @property
    def rows(self) -> int:
        """Return how many inputs there are in all cases."""
        return sum(len(next(iter(case.inputs.values()))) for case in self.cases)


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
    cases = _cases(tensors)
    limits = {name: float(metadata[LIMIT + name]) for name in cases[0].references}
    if not all(0 <= limit < math.inf for limit in limits.values()):
        raise ValueError(f"expected limits from 0, found {limits}")
    return Golden(cases, limits)


def _cases(tensors: Mapping[str, npt.NDArray[Any]]) -> tuple[Case, ...]:
    """Sort tensors into cases by their names, and check that all cases have the same inputs and outputs."""
    parts: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for name, tensor in tensors.items():
        number, kind, tensor_name = [*name.split(".", 2), "", ""][:3]
        if kind not in (INPUT, REFERENCE) or not tensor_name:
            raise ValueError(f"expected tensors named N.{INPUT}.NAME and N.{REFERENCE}.NAME, found {name}")
        parts.setdefault(number, ({}, {}))[kind == REFERENCE][tensor_name] = tensor
    numbers = [str(number) for number in range(len(parts))]
    if set(parts) != set(numbers):
        raise ValueError(f"expected cases numbered from 0 without a gap, found {', '.join(sorted(parts))}")
    cases = tuple(Case(*parts[number]) for number in numbers)
    if not cases or any((set(c.inputs), set(c.references)) != (set(cases[0].inputs), set(cases[0].references)) for c in cases):
        raise ValueError(f"expected the same inputs and references in each case, found {', '.join(tensors)}")
    if not cases[0].inputs or not cases[0].references:
        raise ValueError(f"expected inputs and references, found {', '.join(tensors)}")
    if any(v.dtype != np.int64 for c in cases for v in c.inputs.values()):
        raise ValueError("expected int64 inputs")
    if any(v.dtype != np.float64 or not np.isfinite(v).all() for c in cases for v in c.references.values()):
        raise ValueError("expected finite float64 references")
    return cases
