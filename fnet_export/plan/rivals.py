"""Rivals: the same model for the same target at other precisions, timed in turns with what was exported."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import onnx_ir as ir
from fnet_runtime.bundle.manifest import BF16, ENGINE, FP8, FP16, FP32, INT8, MODEL, OPENVINO, EngineInfo, TensorInfo
from fnet_runtime.errors import NoDeviceError, SessionError
from fnet_runtime.sessions.openvino_session import precision_on_cpu
from fnet_runtime.sessions.runtimes import SessionOptions, session_from_options
from fnet_runtime.sessions.session import Session
from fnet_runtime.sessions.trt_session import TrtSession

from fnet_export.base.errors import FNetExportError, PrecisionError
from fnet_export.engine.sessions.timing import Latency, Timing, times_ms
from fnet_export.engine.tensorrt import engine_from_graph
from fnet_export.graph.file import write_graph
from fnet_export.plan.graphs import Graphs
from fnet_export.plan.options import TARGET_PRECISIONS
from fnet_export.plan.plan import Plan
from fnet_export.precision.half import HALVES, half_from_graph
from fnet_export.texts.samples import Samples

ROUNDS = 5
RIVALS: Mapping[str, tuple[str, ...]] = {FP16: (FP32,), BF16: (FP32,), INT8: (FP32, FP16, BF16), FP8: (FP32, FP16, BF16)}
"""What a precision is timed against. Of the halves one is enough: bf16 is for hosts without fp16."""


def latency_from_plan(
    plan: Plan,
    graphs: Graphs,
    *,
    folder: Path,
    scratch: Path,
    engine: EngineInfo | None,
    samples: Samples,
) -> Latency:
    """Time one row of what was exported to `folder` and of its rivals, where the target runs on this host.

    A rival that cannot be made is not timed, and no reason to lose what was exported. Raises SessionError when that fails.
    """
    exported_precision, target = plan.options.graph.precision, plan.options.engine.target
    name = {"onnx": "ONNX Runtime", OPENVINO: "OpenVINO"}.get(target, "the engine")
    inputs = plan.inputs
    sessions: dict[str, Session] = {}
    not_timed: dict[str, str] = {}
    with ExitStack() as stack:
        try:
            file = folder / (MODEL if engine is None else engine.file)
            exported = _opened(file, exported_precision, engine, inputs, stack)
        except NoDeviceError as error:
            return Latency(
                rows={},
                not_timed={f"{name}, {precision}": str(error) for precision in (*RIVALS[exported_precision], exported_precision)},
            )
        for precision in RIVALS[exported_precision]:
            if precision == BF16 and f"{name}, {FP16}" in sessions:
                continue
            try:
                file, made = _rival(plan, graphs.float32, precision, scratch, engine)
                sessions[f"{name}, {precision}"] = _opened(file, precision, made, inputs, stack)
            except (FNetExportError, SessionError) as error:
                not_timed[f"{name}, {precision}"] = str(error)
        sessions[f"{name}, {exported_precision}"] = exported
        medians_ms = times_ms(sessions, samples.inputs[0], rounds=ROUNDS)
    return Latency(rows={key: Timing(median_ms=ms, rounds=ROUNDS) for key, ms in medians_ms.items()}, not_timed=not_timed)


def _opened(file: Path, precision: str, engine: EngineInfo | None, inputs: tuple[TensorInfo, ...], stack: ExitStack) -> Session:
    """Open a graph or an engine, until the stack ends."""
    session = session_from_options(SessionOptions(file=file, inputs=inputs, precision=precision, engine=engine))
    if isinstance(session, TrtSession):
        stack.callback(session.close)
    return session


def _rival(plan: Plan, float32: Path, precision: str, scratch: Path, engine: EngineInfo | None) -> tuple[Path, EngineInfo | None]:
    """Make of the float32 graph what the target opens in a precision: a graph, or an engine of TensorRT's.

    Raises PrecisionError where the target does not run it here, GraphError for a weight beyond it, EngineError.
    """
    target = plan.options.engine.target
    if precision not in TARGET_PRECISIONS[target]:
        raise PrecisionError(f"the target {target} has no products in {precision}")
    if target == OPENVINO and precision_on_cpu(precision) != precision:
        raise PrecisionError(f"this CPU has no {precision}")
    graph = float32
    if precision in HALVES:
        graph = scratch / precision / MODEL
        graph.parent.mkdir(exist_ok=True)
        write_graph(half_from_graph(ir.load(float32), precision), graph)
    return (graph, engine) if engine is None or engine.library == OPENVINO else _engine(plan, graph)


def _engine(plan: Plan, graph: Path) -> tuple[Path, EngineInfo]:
    """Build an engine of a graph, next to it."""
    assert plan.library is not None
    built = engine_from_graph(
        graph,
        library=plan.library,
        profiles=plan.profiles,
        build=plan.build,
    )
    path = graph.with_name(ENGINE)
    path.write_bytes(built.data)
    return path, built.info
