"""Arguments of the package's functions: names of files, one value or several values, and providers."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from fnet_runtime.sessions.providers import CPU, PROVIDERS

from fnet_export.base.errors import OptionError

Value = TypeVar("Value", str, int)
StrPath = str | os.PathLike[str]
"""The name of a file or a folder."""


def path_or_none(name: StrPath | None) -> Path | None:
    """Return a name as a Path, and None for None."""
    return None if name is None else Path(name)


def several(values: Value | Sequence[Value]) -> tuple[Value, ...]:
    """Return one value or a sequence of values as a tuple. A str is one value."""
    return (values,) if isinstance(values, str | int) else tuple(values)


def check_providers(names: Sequence[str], *, allow_partial: bool) -> None:
    """Check the providers of ONNX Runtime that a caller names. Raises OptionError."""
    for name in names:
        if name not in PROVIDERS:
            raise OptionError(f"--provider: expected one of {', '.join(PROVIDERS)}; found {name!r}")
    if allow_partial and set(names) <= {CPU}:
        raise OptionError("--allow-partial: is for a provider of a GPU; add --provider, or leave it out")
