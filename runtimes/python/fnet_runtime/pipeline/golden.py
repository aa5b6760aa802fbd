"""golden.safetensors: inputs with float64 reference outputs, so that a device can check itself without torch."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fnet_runtime.bundle.strict_json import json_from_bytes
from fnet_runtime.errors import BundleError
from fnet_runtime.sessions.session import Ids, Session, run_in_batches

INPUT, REFERENCE = "input.", "reference."
LIMIT = "limit."
DTYPES = {"I64": np.dtype("<i8"), "F64": np.dtype("<f8")}


@dataclass(frozen=True, eq=False)
class Golden:
    """int64 inputs, float64 references by name, and the largest absolute error that each output may have.

    A reference may hold only the leading part of an axis, such as the first tokens.
    """

    inputs: Mapping[str, Ids]
    references: Mapping[str, npt.NDArray[np.float64]]
    limits: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Check:
    """How one output compared with its reference, which may hold a part of it.

    max_abs: largest absolute error, which `limit` bounds; max_rel: that error over the reference's largest magnitude; cosine: the
    smallest over the last axis. An output of another shape, or with NaN or infinite values, has infinite errors and the cosine 0.
    """

    output: str
    max_abs: float
    max_rel: float
    cosine: float
    limit: float
    passed: bool


def golden_from_file(path: Path) -> Golden:
    """Read the golden file strictly. (Format: github.com/huggingface/safetensors, README.) Raises BundleError."""
    try:
        return _golden(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise BundleError(f"{path}: not the safetensors file of a bundle ({error})") from error


def checks_from_session(session: Session, golden: Golden) -> list[Check]:
    """Run the golden inputs and compare every output. Raises what the session raises."""
    outputs = run_in_batches(session, golden.inputs)
    return [_check(name, outputs.get(name), reference, golden.limits[name]) for name, reference in golden.references.items()]


def _check(name: str, output: npt.NDArray[np.floating] | None, reference: npt.NDArray[np.float64], limit: float) -> Check:
    worst, error, cosine = math.inf, math.inf, 0.0
    rows_match = output is not None and output.ndim == reference.ndim and len(output) == len(reference)
    kept = output[tuple(slice(n) for n in reference.shape)] if output is not None and rows_match else None
    if output is not None and kept is not None and kept.shape == reference.shape and np.isfinite(output).all():
        scale = float(np.abs(reference).max())
        wide = kept.astype(np.float64)
        worst = float(np.abs(wide - reference).max())
        error = worst / scale if scale else (math.inf if worst else 0.0)
        cosine = smallest_cosine(wide, reference)
    return Check(output=name, max_abs=worst, max_rel=error, cosine=cosine, limit=limit, passed=worst <= limit)


def smallest_cosine(got: npt.NDArray[np.float64], want: npt.NDArray[np.float64]) -> float:
    """Return the smallest cosine of the angles between `float64[..., n]` vectors; 1 for two of nothing but zeros."""
    norms = np.linalg.norm(got, axis=-1), np.linalg.norm(want, axis=-1)
    both_zero = (norms[0] == 0) & (norms[1] == 0)
    products = norms[0] * norms[1]
    cosines = np.divide((got * want).sum(axis=-1), products, out=np.zeros_like(products), where=products != 0)
    return float(np.where(both_zero, 1.0, cosines).min())


def _golden(data: bytes) -> Golden:
    (length,) = struct.unpack_from("<Q", data)
    if length > len(data) - 8:
        raise ValueError(f"its header says {length} bytes, {len(data) - 8} are there")
    header, body = json_from_bytes(data[8 : 8 + length]), data[8 + length :]
    metadata = header.pop("__metadata__")
    if not all(type(value) is str for value in metadata.values()):
        raise ValueError("metadata must be strings")
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
        raise ValueError(f"tensors take {end} bytes, {len(body)} are there")
    inputs, references = ({k.removeprefix(p): v for k, v in tensors.items() if k.startswith(p)} for p in (INPUT, REFERENCE))
    if len(inputs) + len(references) != len(tensors) or not inputs or not references:
        raise ValueError(f"expected only {INPUT}* and {REFERENCE}*, found {', '.join(tensors)}")
    if any(v.dtype != np.int64 for v in inputs.values()) or any(v.dtype != np.float64 for v in references.values()):
        raise ValueError("inputs must be int64 and references float64")
    if not all(np.isfinite(v).all() for v in references.values()):
        raise ValueError("references must be finite")
    limits = {name: float(metadata[LIMIT + name]) for name in references}
    if not all(0 <= limit < math.inf for limit in limits.values()):
        raise ValueError(f"expected limits from 0, found {limits}")
    return Golden(inputs, references, limits)
