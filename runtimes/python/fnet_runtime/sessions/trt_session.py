"""TensorRT or TensorRT-RTX on an NVIDIA GPU."""

import importlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np

from fnet_runtime.bundle.manifest import BATCH, POSITIONS, EngineInfo, TensorInfo
from fnet_runtime.errors import InputError, LibraryError, NoDeviceError, SessionError
from fnet_runtime.install import install_line
from fnet_runtime.sessions.pool import Pool
from fnet_runtime.sessions.session import ANY_BATCH, Ids, Outputs, checked_inputs

DRIVER_NOISE = "cudaError 35"
"""The line that TensorRT-RTX logs after every other error on a host without a driver."""
NO_GPU = "no NVIDIA GPU on this host"
CONTEXTS = 2
"""The number of callers that TensorRT runs at once, as in C++."""
KEPT_ERRORS = 3
Importer = Callable[[str], ModuleType]


class TrtSession:
    """An engine on the GPU that is current when the engine is opened. Any number of threads may run it at once.

    An execution context serves one caller at a time, so the session lends up to CONTEXTS of them. Each has a stream and buffers of
    its own. Further callers wait.
    """

    def __init__(
        self, engine: Path, info: EngineInfo, inputs: Sequence[TensorInfo], *, importer: Importer = importlib.import_module
    ) -> None:
        """Open an engine file.

        Raises LibraryError when a library is missing, NoDeviceError when this host has no GPU that the engine was built for, and
        SessionError when the library refuses the engine.
        """
        self._info, self._inputs, self._file = info, tuple(inputs), engine
        self.batch = info.batch_profile.get(BATCH, ANY_BATCH)
        self._cuda = _Cuda(_imported(importer, "cuda.bindings.runtime", info.library))
        trt = _imported(importer, info.library, info.library)
        self._device = self._cuda.device()
        capability = self._cuda.compute_capability(self._device)
        if info.compute_capabilities and capability not in info.compute_capabilities:
            raise NoDeviceError(
                f"{engine}: expected a GPU of compute capability {' or '.join(info.compute_capabilities)}, found {capability}. "
                "Export the bundle again on this GPU, or open model.onnx with the runtime onnxruntime"
            )
        self._logger = error_logger(trt)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(engine.read_bytes())
        if self._engine is None:
            raise SessionError(
                f"{engine}: {info.library} {trt.__version__} cannot open it (built with {info.version}): {self._logger.said()}"
            )
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self._outputs = [n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.OUTPUT]
        self._lanes = Pool(self._lane, size=CONTEXTS)

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run the engine; see `Session.run`. The length of an open axis must be within the profile of the engine."""
        fed = checked_inputs(inputs, self._inputs)
        for tensor in self._inputs:
            for axis, length in zip(tensor.axes, fed[tensor.name].shape, strict=True):
                profile = self._info.batch_profile.get(str(axis))
                if profile and not profile.min <= length <= profile.max:
                    raise InputError(f"{tensor.name}: expected a {axis} of {profile.min} to {profile.max}, found {length}")
        number = self._profile(fed)
        self._cuda.use(self._device)  # every thread has its own current GPU
        with self._lanes.borrowed() as lane:
            return lane.run(fed, self._outputs, number)

    def _profile(self, fed: Mapping[str, Ids]) -> int:
        """Return the number of the first profile that holds the length of the texts; 0 for an engine of one length."""
        profiles = self._info.length_profiles
        length = next(fed[tensor.name].shape[-1] for tensor in self._inputs if tensor.name != POSITIONS)
        fitting = (number for number, profile in enumerate(profiles) if profile.min <= length <= profile.max)
        number = next(fitting, None if profiles else 0)
        if number is None:
            ranges = ", ".join(f"{profile.min} to {profile.max}" for profile in profiles)
            raise InputError(
                f"expected a text of {ranges} tokens, which the engine was built for; found {length}. Open the bundle with the "
                "runtime onnxruntime, or export it with another --length-profile"
            )
        return number

    def close(self) -> None:
        """Free the streams and device buffers when the last run has ended. A closed session cannot run."""
        self._cuda.use(self._device)
        for lane in self._lanes.close():
            lane.close()

    def _lane(self) -> "_Lane":
        context = self._engine.create_execution_context()
        if context is None:
            raise SessionError(
                f"{self._file}: could not create an execution context; usually the GPU is out of memory: {self._logger.said()}"
            )
        return _Lane(context, self._cuda, self._logger)


class _Lane:
    """An execution context with its stream and device buffers, for one caller at a time."""

    def __init__(self, context: Any, cuda: "_Cuda", logger: Any) -> None:
        self._context, self._cuda, self._logger = context, cuda, logger
        self._stream = cuda.stream()
        self._buffers: dict[str, tuple[int, int]] = {}
        self._profile = 0

    def run(self, fed: Mapping[str, Ids], outputs: Sequence[str], profile: int) -> Outputs:
        try:
            self._choose(profile)
            results = self._enqueued(fed, outputs)
        except BaseException:
            with suppress(SessionError):  # the first failure is the one to report
                self._cuda.wait(self._stream)  # copies in the queue still use the host memory and the buffers
            raise
        self._cuda.wait(self._stream)
        return results

    def _choose(self, profile: int) -> None:
        """Change the optimisation profile, if this is another one than the last run's."""
        if profile != self._profile:
            if not self._context.set_optimization_profile_async(profile, self._stream):
                raise SessionError(f"the engine refuses its optimisation profile {profile}: {self._logger.said()}")
            self._profile = profile

    def _enqueued(self, fed: Mapping[str, Ids], outputs: Sequence[str]) -> Outputs:
        for name, array in fed.items():
            if not self._context.set_input_shape(name, array.shape):
                raise SessionError(f"{name}: the engine refuses the shape {list(array.shape)}: {self._logger.said()}")
            self._cuda.to_device(self._bound(name, array.nbytes), array, self._stream)
        results = {name: np.empty(tuple(self._context.get_tensor_shape(name)), np.float32) for name in outputs}
        for name, array in results.items():
            self._bound(name, array.nbytes)
        if not self._context.execute_async_v3(self._stream):
            raise SessionError(f"the engine failed: {self._logger.said()}")
        for name, array in results.items():
            self._cuda.to_host(array, self._buffers[name][0], self._stream)
        return results

    def close(self) -> None:
        for address, _ in self._buffers.values():
            self._cuda.free(address)
        self._buffers.clear()
        self._cuda.destroy(self._stream)

    def _bound(self, name: str, size_bytes: int) -> int:
        """Return the address of the device buffer of a tensor, grown if needed."""
        address, capacity = self._buffers.get(name, (0, 0))
        if capacity < size_bytes:
            if capacity:
                self._cuda.free(address)
                del self._buffers[name]
            address = self._cuda.allocate(size_bytes)
            self._buffers[name] = (address, size_bytes)
        self._context.set_tensor_address(name, address)
        return address


def _imported(importer: Importer, name: str, library: str) -> Any:
    try:
        return importer(name)
    except (ImportError, OSError, RuntimeError) as error:  # a package without its libraries raises any of these
        raise LibraryError(f"{name} cannot be imported ({error}); {install_line(library)}") from error


class _Cuda:
    """The few calls of the CUDA runtime that a session needs. Each raises its errors."""

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
        attributes = self._rt.cudaDeviceAttr
        major = self._call("cudaDeviceGetAttribute", attributes.cudaDevAttrComputeCapabilityMajor, device)
        return f"{major}.{self._call('cudaDeviceGetAttribute', attributes.cudaDevAttrComputeCapabilityMinor, device)}"

    def stream(self) -> int:
        return int(self._call("cudaStreamCreate"))

    def destroy(self, stream: int) -> None:
        self._call("cudaStreamDestroy", stream)

    def wait(self, stream: int) -> None:
        self._call("cudaStreamSynchronize", stream)

    def allocate(self, size_bytes: int) -> int:
        return int(self._call("cudaMalloc", size_bytes))

    def free(self, address: int) -> None:
        self._call("cudaFree", address)

    def to_device(self, address: int, array: Ids, stream: int) -> None:
        kind = self._rt.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, stream)

    def to_host(self, array: Any, address: int, stream: int) -> None:
        kind = self._rt.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, stream)


def error_logger(trt: Any) -> Any:
    """Make a logger, of the library's own base class, that keeps the last errors: failures have no other text."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: deque[str] = deque(maxlen=KEPT_ERRORS)
            self._lock = Lock()  # the library logs from the running thread and from its own threads

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR) and DRIVER_NOISE not in message:
                with self._lock:
                    self._errors.append(message.strip())

        def said(self) -> str:
            with self._lock:
                return "; ".join(self._errors) or "it gave no reason"

    return Logger()
