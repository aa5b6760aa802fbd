"""The layers of an engine of TensorRT or TensorRT-RTX, from its inspector and from a profiler of an execution context."""

import importlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fnet_runtime.bundle.manifest import BATCH, EngineInfo, TensorInfo
from fnet_runtime.engine.cuda import Importer, cuda_of_device, imported
from fnet_runtime.engine.fit import check_fits
from fnet_runtime.sessions.session import ANY_BATCH, Ids
from fnet_runtime.sessions.trt_engine import TrtEngine
from fnet_runtime.sessions.trt_lane import Lane
from fnet_runtime.sessions.trt_session import DEFAULT_OPTIONS, profile_from_inputs

from fnet_export.engine.layers.layer import EngineLayer, Run, medians_from_runs, modules_of_names
from fnet_export.engine.words import nodes_of_inspected, precisions_of_inspected


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

    A CUDA graph would hide the layers, so the lane has no graphs. Raises LibraryError when a library is
    missing, NoDeviceError when this host has no GPU that the engine was built for, and SessionError when the engine fails.
    """
    device = DEFAULT_OPTIONS.device
    cuda = cuda_of_device(device, info.library, importer=importer)
    trt = imported(importer, info.library, info.library)
    check_fits(engine, info, gpu=cuda.gpu(device), version=str(trt.__version__))
    profiler = _profiler(trt)
    opened = TrtEngine(engine, info, trt, profiler=profiler)
    batch_size = (info.whole_range(BATCH) or ANY_BATCH).min
    fed = {tensor.name: np.repeat(row[tensor.name], batch_size, axis=0) for tensor in inputs}
    number = profile_from_inputs(info, inputs, fed)
    runs, runs_ms = [], []
    lane = Lane(opened, cuda)
    try:
        for _ in range(rounds + 1):
            profiler.times = []
            start = time.perf_counter()
            lane.run(fed, number)
            runs_ms.append(1e3 * (time.perf_counter() - start))
            runs.append(tuple(profiler.times))
    finally:
        lane.close()
    return Profiled(inspected=opened.inspected(), runs=tuple(runs[1:]), runs_ms=tuple(runs_ms[1:]), batch_size=batch_size)


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


def _profiler(trt: Any) -> Any:
    """Make a profiler of the library's own base class; it keeps the times of the layers that the library reports."""

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.times: list[tuple[str, float]] = []

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times.append((str(layer_name), float(ms)))

    return Profiler()
