"""The layers of what an export ships: asked of the engine after parity passed, and never a part of the verdict."""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import onnx
import onnx_ir as ir
import onnxruntime
from fnet_runtime.bundle.manifest import MODEL, OPENVINO, EngineInfo
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.openvino_session import OpenVinoSession
from fnet_runtime.sessions.ort_session import OPTIMIZED, OrtSession
from fnet_runtime.sessions.providers import CPU
from fnet_runtime.sessions.session import Ids

from fnet_export.base.errors import GraphError
from fnet_export.engine.layers.layer import EngineLayer, EngineProfile, ProfiledRun
from fnet_export.engine.layers.onnxruntime import layers_from_onnxruntime
from fnet_export.engine.layers.openvino import layers_from_openvino, runs_from_averages
from fnet_export.engine.layers.tensorrt import layers_from_tensorrt, profiled_from_engine
from fnet_export.plan.plan import Plan
from fnet_export.precision.steps import places_from_graph
from fnet_export.texts.samples import Samples

ROUNDS = 5
NAMES = {OPENVINO: "OpenVINO", "tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
FAILED = "parity failed"
NO_LAYERS = "the engine reported no layers"
Answer = tuple[tuple[EngineLayer, ...], list[float], int]
"""The layers, the milliseconds of each whole run, and the rows of a run."""
T = TypeVar("T")


def profile_from_plan(
    plan: Plan, *, folder: Path, scratch: Path, engine: EngineInfo | None, samples: Samples, passed: bool
) -> EngineProfile:
    """Run the first input of parity under the profiler of the library that runs the bundle, in a session of its own.

    `scratch` is a folder for what the profiler writes. An engine that cannot be asked gets a reason instead of layers, and the
    export goes on.
    """
    library, version = ("ONNX Runtime", onnxruntime.__version__) if engine is None else (NAMES[engine.library], engine.version)
    name = f"{library} {version.partition('-')[0]}"
    provider = plan.options.proof.provider
    if not passed:
        return EngineProfile(engine=name, reason=FAILED)
    if engine is None and provider != CPU:
        reason = f"the profiler of ONNX Runtime does not wait for a GPU, so its times would be wrong with the provider {provider}"
        return EngineProfile(engine=name, reason=reason)
    row = samples.inputs[0]
    try:
        places = places_from_graph(ir.load(folder / MODEL), plan.trained.config, plan.trained.task)
        if engine is None:
            layers, runs_ms, batch_size = _of_onnxruntime(plan, folder, scratch, row, places)
        else:
            layers, runs_ms, batch_size = _of_engine(plan, folder, engine, row, places)
    except (SessionError, GraphError) as error:
        return EngineProfile(engine=name, reason=str(error))
    except Exception as error:  # of a library's profiler: no reason to lose what was exported
        return EngineProfile(engine=name, reason=f"{type(error).__name__}: {error}")
    if not layers:
        return EngineProfile(engine=name, reason=NO_LAYERS)
    run = ProfiledRun(
        input=samples.names[0],
        tokens=row["input_ids"].shape[-1],
        batch_size=batch_size,
        rounds=len(runs_ms),
        median_ms=statistics.median(runs_ms),
    )
    return EngineProfile(engine=name, run=run, layers=layers)


def _of_engine(plan: Plan, folder: Path, engine: EngineInfo, row: Mapping[str, Ids], places: Mapping[str, str]) -> Answer:
    if engine.library == OPENVINO:
        session = OpenVinoSession(folder / engine.file, plan.inputs, precision=plan.options.graph.precision, profiled=True)
        averages, runs_ms = _timed(lambda: session.node_averages(row))
        runs = runs_from_averages(averages)
        return layers_from_openvino(session.operations(), runs, places), runs_ms, session.batch.min
    profiled = profiled_from_engine(folder / engine.file, engine, plan.inputs, row, rounds=ROUNDS)
    layers = layers_from_tensorrt(profiled.inspected, profiled.runs, places)
    return layers, list(profiled.runs_ms), profiled.batch_size


def _of_onnxruntime(plan: Plan, folder: Path, scratch: Path, row: Mapping[str, Ids], places: Mapping[str, str]) -> Answer:
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        session = OrtSession(folder / MODEL, plan.inputs, profile=Path(place))
        _, runs_ms = _timed(lambda: session.run(row))
        graph = onnx.load(Path(place) / OPTIMIZED, load_external_data=False).graph
        outputs = {node.name: list(node.output) for node in graph.node}
        return layers_from_onnxruntime(session.end_profile(), outputs, places), runs_ms, session.batch.min


def _timed(run: Callable[[], T]) -> tuple[list[T], list[float]]:
    """Run ROUNDS times, and once before to warm up. Return the results of all runs, and the milliseconds of all but the first."""
    results, times_ms = [], []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        results.append(run())
        times_ms.append(1e3 * (time.perf_counter() - start))
    return results, times_ms[1:]
