"""Read a JSON value as a dataclass: every key present, no other key, every value of its type."""

import dataclasses
import json
import types
import typing
from typing import Any

from fnet_runtime.errors import BundleError, InputError

INT64 = range(-(2**63), 2**63)
"""The integers that both runtimes hold."""


def value_from_json(kind: Any, value: Any, where: str) -> Any:
    """Read a JSON value as a dataclass, Mapping[str, T], tuple[T, ...], a union, str, int or bool; `where` names the value.

    Raises BundleError.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        if not isinstance(value, dict) or set(value) != set(hints):
            actual = sorted(value) if isinstance(value, dict) else type(value).__name__
            raise BundleError(f"{where}: expected an object with the keys {', '.join(hints)}; found {actual}")
        fields = {key: value_from_json(hint, value[key], f"{where}: {key}") for key, hint in hints.items()}
        try:
            return kind(**fields)
        except InputError as error:
            raise BundleError(f"{where}: {error}") from error
    if origin is types.UnionType:
        fits = [t for t in arguments if _is(t, value) or (dataclasses.is_dataclass(t) and isinstance(value, dict))]
        if fits:
            return value_from_json(fits[0], value, where)
    elif origin is tuple and isinstance(value, list):
        return tuple(value_from_json(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    elif origin is not None and origin is not tuple and isinstance(value, dict):
        return {key: value_from_json(arguments[1], item, f"{where}: {key}") for key, item in value.items()}
    elif _is(kind, value):
        return value
    raise BundleError(f"{where}: expected {_words(kind)}, found {_shown(value)}")


def _is(kind: Any, value: Any) -> bool:
    return type(value) is kind and (kind is not int or value in INT64)


def _words(kind: Any) -> str:
    """Name a type as JSON does."""
    if typing.get_origin(kind) is types.UnionType:
        return " or ".join(map(_words, typing.get_args(kind)))
    names = {int: "a 64-bit integer", str: "a string", bool: "true or false", types.NoneType: "null"}
    return names.get(kind, "a list" if typing.get_origin(kind) is tuple else "an object")


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
