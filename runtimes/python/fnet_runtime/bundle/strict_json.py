"""JSON as both runtimes take it: what the C++ one refuses, this one refuses too."""

import json
import math
from typing import Any, NoReturn


def json_from_bytes(data: bytes) -> Any:
    """Parse UTF-8 strictly: no key twice, no NaN or infinity, no half of a surrogate pair.

    Raises ValueError, or RecursionError for what is nested too deeply.
    """
    values = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refused, parse_float=_finite)
    json.dumps(values, ensure_ascii=False).encode("utf-8")  # which half of a pair has no form in
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key stands twice")
    return values


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large")
    return value
