"""The graphs of an export, written one after the other: as traced, optimized in float32, and at the bundle's precision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir
import torch
from fnet_runtime.bundle.manifest import FP32, MODEL

from fnet_export.base.progress import Progress
from fnet_export.graph.file import write_graph
from fnet_export.graph.lower import LoweredFNet
from fnet_export.graph.optimize import OPTIMIZER, QUANTISABLE, optimized_from_graph
from fnet_export.graph.trace import graph_from_model
from fnet_export.graph.trained import lowered_from_trained
from fnet_export.plan.plan import CALIBRATE, SIMPLIFY, TRACE, Plan
from fnet_export.plan.quantised import quantised_from_plan
from fnet_export.precision.half import half_from_graph
from fnet_export.precision.quantised import layers_from_model
from fnet_export.precision.sensitivity import Sensitivity
from fnet_export.precision.steps import module_of_name


@dataclass(frozen=True, kw_only=True)
class Graphs:
    """Files of the graphs: `shipped` is the bundle's; `float32` is that as well where it is float32.

    `quantised` are the model's linear layers that were to become int8 or fp8, by module; None in another precision. `steps` are the
    scales that activations are to have, from the calibrated bounds and not from a graph (quantised.py).
    """

    traced: Path
    float32: Path
    shipped: Path
    quantised: tuple[str, ...] | None = None
    sensitivity: Sensitivity | None = None
    steps: Mapping[str, float] = field(default_factory=dict)


def lowered_from_plan(plan: Plan) -> LoweredFNet:
    """Read the model and lower it for the plan's target and precision."""
    target, precision = plan.options.engine.target, plan.options.graph.precision
    return lowered_from_trained(plan.trained, plan.transform.name, target=target, precision=precision)


def _kept(plan: Plan) -> list[str]:
    """What --keep-float32 names, as the graph calls it."""
    return [module_of_name(name, plan.trained.config, plan.trained.task) for name in plan.options.graph.keep_float32]


def graphs_from_plan(plan: Plan, folder: Path, scratch: Path, progress: Progress) -> Graphs:
    """Trace, simplify and, where it is asked for, change the precision; write model.onnx to `folder`, the others to `scratch`."""
    options = plan.options.graph
    model = lowered_from_plan(plan)
    progress.stage(TRACE)
    written: list[ir.Model] = []

    def write(graph: ir.Model, place: Path) -> Path:
        place.mkdir(exist_ok=True)
        write_graph(graph, place / MODEL)
        written.append(graph)
        return place / MODEL

    graph = graph_from_model(model, opset=options.opset)
    traced = write(graph, scratch / "traced")
    if options.simplify:
        progress.stage(SIMPLIFY)
        graph = optimized_from_graph(graph, QUANTISABLE if plan.calibration is not None else OPTIMIZER)
    quantised = sensitivity = None
    steps: dict[str, float] = {}
    changes = options.precision != FP32
    float32 = shipped = write(graph, scratch / "float32" if changes else folder)
    if plan.calibration is not None:
        progress.stage(CALIBRATE)
        layers = layers_from_model(model.model)
        graph, sensitivity, steps = quantised_from_plan(plan, plan.calibration, graph, layers, float32=float32, progress=progress)
        kept = () if sensitivity is None else sensitivity.kept
        quantised = tuple(layer for layer in layers if layer not in kept)
        shipped = write(graph, folder)
    elif changes:
        shipped = write(half_from_graph(graph, options.precision, keep=_kept(plan)), folder)
    for graph in written:  # onnxscript's rules hold on to the last graph that they saw (0.7), and so to all weights
        for value in graph.graph.initializers.values():
            value.const_value = None
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = torch.empty(0)
    return Graphs(traced=traced, float32=float32, shipped=shipped, quantised=quantised, sensitivity=sensitivity, steps=steps)
