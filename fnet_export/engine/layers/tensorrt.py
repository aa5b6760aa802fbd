"""The layers of an engine of TensorRT or TensorRT-RTX, from its inspector and from a profiler of an execution context."""

import importlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fnet_runtime.bundle.manifest import BATCH, MODEL, POSITIONS, EngineInfo, TensorInfo
from fnet_runtime.engine.cuda import BINDINGS, Cuda, Importer, imported
from fnet_runtime.engine.fit import check_fits
from fnet_runtime.engine.logger import error_logger
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.session import ANY_BATCH, Ids

from fnet_export.engine.layers.layer import EngineLayer, Run, medians_from_runs, modules_of_names
from fnet_export.engine.words import nodes_of_inspected, precisions_of_inspected

FLOAT32_BYTES = 4
"""Every output of an engine is float32."""


@dataclass(frozen=True, kw_only=True)
class Profiled:
    """What an engine says of its layers: the JSON of its inspector, the times of each run, and what each whole run took."""

    inspected: str
    runs: tuple[Run, ...]
    runs_ms: tuple[float, ...]
    batch_size: int


def profiled_from_engine(
    engine: Path,
    info: EngineInfo,
    inputs: Sequence[TensorInfo],
    row: Mapping[str, Ids],
    *,
    rounds: int,
    importer: Importer = importlib.import_module,
) -> Profiled:
    """Open an engine file, and run a row under a profiler. One run more warms up.

    A CUDA graph would hide the layers, so this does not use the session of the runtime. Raises LibraryError when a library is
    missing, NoDeviceError when this host has no GPU that the engine was built for, and SessionError when the engine fails.
    """
    cuda = Cuda(imported(importer, BINDINGS, info.library))
    trt = imported(importer, info.library, info.library)
    check_fits(engine, info, gpu=cuda.gpu(cuda.device()), version=str(trt.__version__))
    logger = error_logger(trt)
    opened = _opened(trt, engine, info, logger)
    context = opened.create_execution_context()
    if context is None:
        raise SessionError(f"{engine}: could not create an execution context; usually the GPU is out of memory: {logger.said()}")
    batch_size = info.batch_profile.get(BATCH, ANY_BATCH).min
    fed = {tensor.name: np.repeat(row[tensor.name], batch_size, axis=0) for tensor in inputs}
    outputs = [
        name
        for name in (opened.get_tensor_name(index) for index in range(opened.num_io_tensors))
        if opened.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT
    ]
    profiler = _profiler(trt)
    context.profiler = profiler
    runs, runs_ms = [], []
    with _Bound(context, cuda, logger) as bound:
        bound.feed(fed, outputs, _number_of_profile(info, fed))
        for _ in range(rounds + 1):
            profiler.times = []
            start = time.perf_counter()
            bound.run()
            runs_ms.append(1e3 * (time.perf_counter() - start))
            runs.append(tuple(profiler.times))
    inspected = str(opened.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON))
    return Profiled(inspected=inspected, runs=tuple(runs[1:]), runs_ms=tuple(runs_ms[1:]), batch_size=batch_size)


def layers_from_tensorrt(inspected: str, runs: Sequence[Run], places: Mapping[str, str]) -> tuple[EngineLayer, ...]:
    """Join what an inspector says of layers with the times of a profiler, by name, in the order of the inspector.

    `places` has the checkpoint's name of what each node of the graph computes. An engine that was built without detailed verbosity
    gives names alone. Layers of one name are joined, because the profiler cannot distinguish them. If the text of the inspector is
    not JSON, only the profiler says something of the layers.
    """
    medians_ms = medians_from_runs(runs)
    said: dict[str, list[Mapping[str, Any]]] = {}
    for layer in _layers_of_inspector(inspected):
        details = layer if isinstance(layer, dict) else {"Name": str(layer)}
        said.setdefault(str(details.get("Name", "")), []).append(details)
    return tuple(
        EngineLayer(
            name=name,
            modules=modules_of_names(_nodes(name, said.get(name, ())), places),
            kind=_joined([str(layer["LayerType"]) for layer in said.get(name, ()) if "LayerType" in layer]),
            precision=_joined([kind for layer in said.get(name, ()) for kind in sorted(precisions_of_inspected(layer))]),
            median_ms=medians_ms.get(name),
        )
        for name in dict.fromkeys([*said, *medians_ms])
        if name
    )


def _layers_of_inspector(text: str) -> Sequence[Any]:
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError):
        return ()
    return layers if isinstance(layers, list) else ()


def _nodes(name: str, layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the nodes of the graph that a layer computes, by the inspector, or by the layer's own name, as in `a + b`."""
    return [node for layer in layers for node in nodes_of_inspected(layer)] or name.split(" + ")


def _joined(words: Sequence[str]) -> str | None:
    return " and ".join(dict.fromkeys(words)) or None


def _opened(trt: Any, engine: Path, info: EngineInfo, logger: Any) -> Any:
    runtime = trt.Runtime(logger)
    if info.build is not None and info.build.version_compatible:
        runtime.engine_host_code_allowed = True
    opened = runtime.deserialize_cuda_engine(engine.read_bytes())
    if opened is None:
        raise SessionError(f"{engine}: {info.library} {trt.__version__} cannot open it: {logger.said()}")
    if info.build is not None and info.build.weight_stripped:
        refitter = trt.Refitter(opened, logger)
        filled = trt.OnnxParserRefitter(refitter, logger).refit_from_file(str(engine.with_name(MODEL)))
        if not filled or not refitter.refit_cuda_engine():
            raise SessionError(f"{engine}: the weights of {MODEL} cannot be filled in: {logger.said()}")
    return opened


def _number_of_profile(info: EngineInfo, fed: Mapping[str, Ids]) -> int:
    """Return the number of the first optimisation profile that holds the length of the texts; 0 for an engine of one length."""
    length = next(array.shape[-1] for name, array in fed.items() if name != POSITIONS)
    fits = (number for number, profile in enumerate(info.length_profiles) if profile.min <= length <= profile.max)
    return next(fits, 0)


def _profiler(trt: Any) -> Any:
    """Make a profiler of the library's own base class; it keeps the times of the layers that the library reports."""

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.times: list[tuple[str, float]] = []

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times.append((str(layer_name), float(ms)))

    return Profiler()


class _Bound:
    """An execution context with a stream and device buffers, which are freed at the end of the `with` block."""

    def __init__(self, context: Any, cuda: Cuda, logger: Any) -> None:
        self._context, self._cuda, self._logger = context, cuda, logger
        self._addresses: list[int] = []

    def __enter__(self) -> "_Bound":
        self._stream = self._cuda.stream()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(SessionError):  # after a failure, the first error is the one to report
            self._cuda.wait(self._stream)
        for address in self._addresses:
            self._cuda.free(address)
        self._cuda.destroy(self._stream)

    def feed(self, fed: Mapping[str, Ids], outputs: Sequence[str], profile: int) -> None:
        """Copy the inputs to the device, and make room for the outputs."""
        if profile and not self._context.set_optimization_profile_async(profile, self._stream):
            raise SessionError(f"the engine refuses its optimisation profile {profile}: {self._logger.said()}")
        for name, array in fed.items():
            if not self._context.set_input_shape(name, array.shape):
                raise SessionError(f"{name}: the engine refuses the shape {list(array.shape)}: {self._logger.said()}")
            self._cuda.to_device(self._room(name, array.nbytes), array.ctypes.data, array.nbytes, self._stream)
        for name in outputs:
            self._room(name, FLOAT32_BYTES * math.prod(self._context.get_tensor_shape(name)))
        self._cuda.wait(self._stream)

    def run(self) -> None:
        """Run the engine once, and wait for it. The context then has reported every layer to its profiler."""
        if not self._context.execute_async_v3(self._stream):
            raise SessionError(f"the engine failed: {self._logger.said()}")
        self._cuda.wait(self._stream)

    def _room(self, name: str, size_bytes: int) -> int:
        address = self._cuda.allocate(size_bytes)
        self._addresses.append(address)
        self._context.set_tensor_address(name, address)
        return address
