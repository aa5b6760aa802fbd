"""Arguments of the package's functions: names of files, and one value or several values."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value", str, int)
StrPath = str | os.PathLike[str]
"""The name of a file or a folder."""


def path_or_none(name: StrPath | None) -> Path | None:
    """Return a name as a Path, and None for None."""
    return None if name is None else Path(name)


def several(values: Value | Sequence[Value]) -> tuple[Value, ...]:
    """Return one value or a sequence of values as a tuple. A str is one value."""
    return (values,) if isinstance(values, str | int) else tuple(values)
