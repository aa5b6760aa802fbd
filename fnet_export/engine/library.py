"""A library that makes an engine, imported when a target asks for it."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from fnet_runtime.engine.copies import check_no_plugin
from fnet_runtime.install import install_line

from fnet_export.base.errors import EngineError

Importer = Callable[[str], ModuleType]


@dataclass(frozen=True, kw_only=True)
class Library:
    """An imported package; `substituted` says so when it is not the one that was asked for."""

    name: str
    version: str
    module: Any
    substituted: str | None = None


def library_from_name(name: str, *, importer: Importer = importlib.import_module) -> Library:
    """Import a library of `fnet_runtime.install.PACKAGES`.

    Raises EngineError with the line to install when it cannot be imported, and SessionError next to a plugin with a copy of it.
    """
    check_no_plugin(name)
    try:
        module = importer(name)
    except (ImportError, OSError, RuntimeError) as error:  # a stub package without its libraries raises any of these
        raise EngineError(f"{name} cannot be imported ({error}); install it: {install_line(name)}") from error
    return Library(name=name, version=str(module.__version__), module=module)
