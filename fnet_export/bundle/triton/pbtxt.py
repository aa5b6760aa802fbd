"""Write a message of protocol buffers in the text format, as Triton reads config.pbtxt."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

INDENT = "  "


@dataclass(frozen=True)
class Symbol:
    """A value of an enumeration, which has no quotes."""

    name: str


Value = str | int | bool | Symbol | Mapping[str, "Value"] | list["Value"]
"""A field: a string, a number, a message by its fields, or several values of a repeated field."""


def text_from_fields(fields: Mapping[str, Value]) -> str:
    """Return the text of a message: one field a line, repeated fields one after another."""
    return "".join(f"{line}\n" for line in _lines(fields, ""))


def map_from_values(values: Mapping[str, Value]) -> list[Value]:
    """Return a field of the type map: an entry for each key."""
    return [{"key": key, "value": value} for key, value in values.items()]


def _lines(fields: Mapping[str, Value], indent: str) -> Iterator[str]:
    for name, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Mapping):
                yield f"{indent}{name} {{"
                yield from _lines(each, indent + INDENT)
                yield f"{indent}}}"
            else:
                yield f"{indent}{name}: {_scalar(each)}"


def _scalar(value: object) -> str:
    if isinstance(value, Symbol):
        return value.name
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value)
