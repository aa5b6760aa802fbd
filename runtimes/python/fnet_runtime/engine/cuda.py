"""The few calls of the CUDA runtime that engines need, and the GPU of this host."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.engine.copies import check_no_plugin
from fnet_runtime.errors import LibraryError, NoDeviceError, SessionError
from fnet_runtime.install import install_line

NO_GPU = "no NVIDIA GPU on this host"
BINDINGS = "cuda.bindings.runtime"
Importer = Callable[[str], ModuleType]


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU of this host: its name, its compute capability such as 8.9, and the version of CUDA that its driver is for."""

    name: str
    compute_capability: str
    driver: str


def imported(importer: Importer, name: str, library: str) -> Any:
    """Import a module of a library of `install.PACKAGES`.

    Raises LibraryError with the line to install, and SessionError if a plugin of ONNX Runtime has brought a copy of the library.
    """
    check_no_plugin(name)
    try:
        return importer(name)
    except (ImportError, OSError, RuntimeError) as error:  # a package without its libraries raises any of these
        raise LibraryError(f"{name} cannot be imported ({error}); {install_line(library)}") from error


class Cuda:
    """The CUDA runtime. Each call raises SessionError, or NoDeviceError if this host has no GPU."""

    def __init__(self, runtime: Any) -> None:
        self._rt = runtime
        if self._call("cudaGetDeviceCount") < 1:
            raise NoDeviceError(NO_GPU)

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            code, *values = getattr(self._rt, name)(*arguments)
        except RuntimeError as error:  # the bindings cannot load a library
            raise self._failed(name, str(error)) from error
        if int(code) != 0:
            raise self._failed(name, getattr(code, "name", code))
        return values[0] if values else None

    def _failed(self, name: str, reason: object) -> SessionError:
        """Return the error of a call. Only a failed count of devices means that there is no device."""
        if name == "cudaGetDeviceCount":
            return NoDeviceError(f"{NO_GPU} ({name}: {reason})")
        return SessionError(f"CUDA failed ({name}: {reason})")

    def device(self) -> int:
        """Return the current device of the calling thread."""
        return int(self._call("cudaGetDevice"))

    def use(self, device: int) -> None:
        """Make a device the current one of the calling thread."""
        self._call("cudaSetDevice", device)

    def compute_capability(self, device: int) -> str:
        """Return the compute capability of a device, such as 8.9."""
        attributes = self._rt.cudaDeviceAttr
        major = self._call("cudaDeviceGetAttribute", attributes.cudaDevAttrComputeCapabilityMajor, device)
        return f"{major}.{self._call('cudaDeviceGetAttribute', attributes.cudaDevAttrComputeCapabilityMinor, device)}"

    def gpu(self, device: int) -> Gpu:
        """Describe a device."""
        name = self._call("cudaGetDeviceProperties", device).name
        driver = int(self._call("cudaDriverGetVersion"))
        return Gpu(
            name=(name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)).rstrip("\0"),
            compute_capability=self.compute_capability(device),
            driver=f"{driver // 1000}.{driver % 1000 // 10}",
        )

    def stream(self) -> int:
        """Make a stream."""
        return int(self._call("cudaStreamCreate"))

    def destroy(self, stream: int) -> None:
        """Free a stream."""
        self._call("cudaStreamDestroy", stream)

    def wait(self, stream: int) -> None:
        """Wait for the work of a stream."""
        self._call("cudaStreamSynchronize", stream)

    def allocate(self, size_bytes: int) -> int:
        """Allocate memory of the device, and return its address."""
        return int(self._call("cudaMalloc", size_bytes))

    def free(self, address: int) -> None:
        """Free memory of the device."""
        self._call("cudaFree", address)

    def to_device(self, address: int, array: npt.NDArray[np.int64], stream: int) -> None:
        """Copy an array to the device, in a stream."""
        kind = self._rt.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, stream)

    def to_host(self, array: Any, address: int, stream: int) -> None:
        """Fill an array from the device, in a stream."""
        kind = self._rt.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, stream)


def gpu_of_host(library: str, *, importer: Importer = importlib.import_module) -> Gpu:
    """Describe the current GPU of the calling thread. `library` says which package brings the bindings.

    Raises NoDeviceError if this host has no GPU, and LibraryError if the bindings are missing.
    """
    cuda = Cuda(imported(importer, BINDINGS, library))
    return cuda.gpu(cuda.device())
