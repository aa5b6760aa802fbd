"""The few calls of the CUDA runtime that engines need, and the GPU of this host."""

import gc
import importlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from fnet_runtime.engine.copies import check_no_plugin
from fnet_runtime.errors import LibraryError, NoDeviceError, OptionError, SessionError
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
    """The CUDA runtime. Each call raises SessionError, or NoDeviceError if this host has no GPU. Calls that free raise nothing.

    Any number of threads may call it. Memory, streams and graphs are CUDA's addresses.
    """

    def __init__(self, runtime: Any) -> None:
        self._rt = runtime
        self.devices = int(self._call("cudaGetDeviceCount"))
        if self.devices < 1:
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
        """Make a stream that never waits for the default stream, so other libraries of the process do not hold it up."""
        return _address(self._call("cudaStreamCreateWithFlags", self._rt.cudaStreamNonBlocking))

    def destroy(self, stream: int) -> None:
        """Free a stream."""
        self._freed("cudaStreamDestroy", stream)

    def wait(self, stream: int) -> None:
        """Wait for the work of a stream."""
        self._call("cudaStreamSynchronize", stream)

    def allocate(self, size_bytes: int) -> int:
        """Allocate memory of the device, and return its address."""
        return int(self._call("cudaMalloc", size_bytes))

    def free(self, address: int) -> None:
        """Free memory of the device."""
        self._freed("cudaFree", address)

    def allocate_host(self, size_bytes: int) -> int:
        """Allocate page-locked memory of the host, and return its address."""
        return int(self._call("cudaHostAlloc", size_bytes, self._rt.cudaHostAllocDefault))

    def free_host(self, address: int) -> None:
        """Free page-locked memory of the host."""
        self._freed("cudaFreeHost", address)

    def to_device(self, device: int, host: int, size_bytes: int, stream: int) -> None:
        """Copy memory of the host to the device, in a stream."""
        self._call("cudaMemcpyAsync", device, host, size_bytes, self._rt.cudaMemcpyKind.cudaMemcpyHostToDevice, stream)

    def to_host(self, host: int, device: int, size_bytes: int, stream: int) -> None:
        """Copy memory of the device to the host, in a stream."""
        self._call("cudaMemcpyAsync", host, device, size_bytes, self._rt.cudaMemcpyKind.cudaMemcpyDeviceToHost, stream)

    def captured(self, enqueue: Callable[[], None], stream: int) -> int:
        """Return a graph of the work that `enqueue` puts into a stream. The work does not run, and the stream stays usable."""
        collects = gc.isenabled()
        gc.disable()  # a forgotten session that is freed in this thread meanwhile would spoil the capture
        try:
            graph = self._graph(enqueue, stream)
            try:
                return _address(self._call("cudaGraphInstantiate", graph, 0))
            finally:
                self._freed("cudaGraphDestroy", graph)
        except BaseException:
            self._rt.cudaGetLastError()  # a failed capture leaves its error behind, which later calls would report
            raise
        finally:
            if collects:
                gc.enable()

    def _graph(self, enqueue: Callable[[], None], stream: int) -> Any:
        self._call("cudaStreamBeginCapture", stream, self._rt.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal)
        try:
            enqueue()
        except BaseException:
            with suppress(SessionError):  # the first failure is the one to report
                self._freed("cudaGraphDestroy", self._call("cudaStreamEndCapture", stream))
            raise
        return self._call("cudaStreamEndCapture", stream)

    def launch(self, graph: int, stream: int) -> None:
        """Run a graph in a stream."""
        self._call("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        """Free a graph."""
        self._freed("cudaGraphExecDestroy", graph)

    def _freed(self, name: str, *arguments: Any) -> None:
        """Free something. After a failure of CUDA every call fails, also those that free."""
        with suppress(SessionError):
            self._call(name, *arguments)


def _address(handle: Any) -> int:
    """Return the address that a handle of the bindings holds. Their `int(handle)` is deprecated from 12.9 on."""
    if isinstance(handle, int):
        return handle
    return int(importlib.import_module("cuda.bindings.utils").get_cuda_native_handle(handle))


def cuda_of_device(device: int, library: str, *, importer: Importer = importlib.import_module) -> Cuda:
    """Open the CUDA runtime, and make a GPU the current one of the calling thread. `library` is as in `gpu_of_host`.

    Raises OptionError if this host has no GPU of that number, and what `gpu_of_host` raises.
    """
    cuda = Cuda(imported(importer, BINDINGS, library))
    if device >= cuda.devices:
        raise OptionError(f"device: expected 0 to {cuda.devices - 1}, found {device}")
    cuda.use(device)
    return cuda


def gpu_of_host(library: str, *, importer: Importer = importlib.import_module) -> Gpu:
    """Describe the current GPU of the calling thread. `library` says which package brings the bindings.

    Raises NoDeviceError if this host has no GPU, and LibraryError if the bindings are missing.
    """
    cuda = Cuda(imported(importer, BINDINGS, library))
    return cuda.gpu(cuda.device())
