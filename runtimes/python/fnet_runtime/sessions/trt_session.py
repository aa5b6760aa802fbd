"""TensorRT or TensorRT-RTX on an NVIDIA GPU."""

import importlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from fnet_runtime.bundle.manifest import BATCH, MODEL, EngineInfo, TensorInfo
from fnet_runtime.engine.cuda import BINDINGS, Cuda, Importer, imported
from fnet_runtime.engine.fit import check_fits
from fnet_runtime.engine.logger import error_logger
from fnet_runtime.errors import InputError, SessionError
from fnet_runtime.sessions.pool import Pool
from fnet_runtime.sessions.session import ANY_BATCH, Ids, Outputs, checked_inputs

CONTEXTS = 2
"""The number of callers that TensorRT runs at once, as in C++."""


class TrtSession:
    """An engine on the GPU that is current when the engine is opened. Any number of threads may run it at once.

    An execution context serves one caller at a time, so the session lends up to CONTEXTS of them. Each has a stream and buffers of
    its own. Further callers wait.
    """

    def __init__(
        self, engine: Path, info: EngineInfo, inputs: Sequence[TensorInfo], *, importer: Importer = importlib.import_module
    ) -> None:
        """Open an engine file.

        Raises LibraryError when a library is missing, and NoDeviceError when this host has no GPU that the engine was built for.
        Raises SessionError when the library has another version, or refuses the engine.
        """
        self._info, self._inputs, self._file = info, tuple(inputs), engine
        self.batch = info.whole_range(BATCH) or ANY_BATCH
        self._cuda = Cuda(imported(importer, BINDINGS, info.library))
        trt = imported(importer, info.library, info.library)
        self._device = self._cuda.device()
        check_fits(engine, info, gpu=self._cuda.gpu(self._device), version=str(trt.__version__))
        self._logger = error_logger(trt)
        self._runtime = trt.Runtime(self._logger)
        if info.build is not None and info.build.version_compatible:
            self._runtime.engine_host_code_allowed = True  # the engine holds code, which the bundle's hash vouches for
        self._engine = self._runtime.deserialize_cuda_engine(engine.read_bytes())
        if self._engine is None:
            raise SessionError(
                f"{engine}: {info.library} {trt.__version__} cannot open it (built with {info.version}): {self._logger.said()}"
            )
        if info.build is not None and info.build.weight_stripped:
            self._fill_in_weights(trt, engine.with_name(MODEL))
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self._outputs = [n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.OUTPUT]
        self._lanes = Pool(self._lane, size=CONTEXTS)

    def _fill_in_weights(self, trt: Any, graph: Path) -> None:
        """Give an engine without weights those of the graph that it was built from."""
        refitter = trt.Refitter(self._engine, self._logger)
        if not trt.OnnxParserRefitter(refitter, self._logger).refit_from_file(str(graph)) or not refitter.refit_cuda_engine():
            raise SessionError(f"{self._file}: the weights of {graph.name} cannot be filled in: {self._logger.said()}")

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run the engine; see `Session.run`. The length of an open axis must be within the profile of the engine."""
        fed = checked_inputs(inputs, self._inputs)
        number = self._profile(fed)
        self._cuda.use(self._device)  # every thread has its own current GPU
        with self._lanes.borrowed() as lane:
            return lane.run(fed, self._outputs, number)

    def _profile(self, fed: Mapping[str, Ids]) -> int:
        """Return the number of the first optimisation profile that holds the shapes. Raises InputError if no profile does."""
        found = {axis: n for t in self._inputs for axis, n in zip(t.axes, fed[t.name].shape, strict=True) if isinstance(axis, str)}
        for number, profile in enumerate(self._info.profiles):
            if all(of_axis.min <= found[axis] <= of_axis.max for axis, of_axis in profile.items()):
                return number
        ranges = " or ".join(
            ", ".join(f"{axis} {of_axis.min} to {of_axis.max}" for axis, of_axis in profile.items())
            for profile in self._info.profiles
        )
        shown = ", ".join(f"{axis} {length}" for axis, length in found.items())
        raise InputError(
            f"expected what the engine was built for: {ranges}; found {shown}. Open the bundle with the runtime onnxruntime, or "
            "export it with another --batch-profile or --length-profile"
        )

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

    def __init__(self, context: Any, cuda: Cuda, logger: Any) -> None:
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
