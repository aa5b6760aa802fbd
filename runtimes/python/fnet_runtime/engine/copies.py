"""TensorRT-RTX in this process: its own package, or the copy in a plugin of ONNX Runtime. Their libraries have the same names.

So a process can use one of them. The one that is opened second is refused.
"""

import sys

from fnet_runtime.engine.products import RTX
from fnet_runtime.errors import SessionError

_PLUGINS: list[str] = []


def add_plugin(name: str) -> None:
    """Note that a plugin with a TensorRT-RTX of its own is in this process, by its name in ONNX Runtime."""
    if name not in _PLUGINS:
        _PLUGINS.append(name)


def has_plugin() -> bool:
    """Return whether a plugin with a TensorRT-RTX of its own is in this process."""
    return bool(_PLUGINS)


def check_no_plugin(library: str) -> None:
    """Raise SessionError if a library is TensorRT-RTX, and a plugin has brought a copy of it."""
    if library == RTX and _PLUGINS:
        raise SessionError(
            f"{library} cannot be imported, because this process has registered {_PLUGINS[0]}, which has a TensorRT-RTX of its "
            "own. Open or build the engine in another process"
        )


def check_no_package(name: str) -> None:
    """Raise SessionError if the package of TensorRT-RTX was imported. `name` is the name of a plugin in ONNX Runtime."""
    if RTX in sys.modules:
        raise SessionError(
            f"{name} has a TensorRT-RTX of its own, and this process has imported {RTX}. Open the bundle in another process"
        )
