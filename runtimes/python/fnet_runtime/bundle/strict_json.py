"""JSON as both runtimes read and write it: strict UTF-8, no key twice, no NaN and no infinity."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np


def json_from_bytes(data: bytes) -> Any:
    """Parse JSON. Raises ValueError for anything that is not strict JSON, RecursionError for values that are nested too deeply."""
    values = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite)
    json.dumps(values, ensure_ascii=False).encode("utf-8")  # fails for half of a surrogate pair
    return values


def json_from_values(values: object, *, indent: int | None = None) -> str:
    """Write values of `plain` as JSON."""
    return json.dumps(plain(values), indent=indent, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Return dataclasses, mappings, sequences and arrays as JSON's own types, with null for NaN and infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("duplicate key")
    return values


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large")
    return value
