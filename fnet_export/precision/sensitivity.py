"""Sensitivity: which layers eight bits damage most, and how few of them must stay in float32 to keep the accuracy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from fnet_runtime.bundle.manifest import MODEL
from fnet_runtime.pipeline.measures import largest_magnitude, root_mean_square
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.session import Ids, Outputs, Session, run_in_batches

from fnet_export.evaluation.evaluation import evaluation_from_pipeline
from fnet_export.evaluation.labelled import Record
from fnet_export.graph.file import write_graph
from fnet_export.precision.eight_bit import EIGHT_BITS
from fnet_export.precision.quantised import TABLE, Layers, products_from_graph, quantised_from_graph
from fnet_export.texts.samples import Samples

RANKED_ROWS = 8
"""Texts on which a layer's damage is measured."""


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What int8 or fp8 does to each layer alone, and what was kept out of it.

    `damages` has the root mean square difference of the outputs, in parts of the largest output, by module, the worst first; `kept`
    the modules that stay in float32. Accuracy is in points of 100: float32's, the least that was asked for, and what was reached.
    """

    damages: Mapping[str, float]
    kept: tuple[str, ...]
    float32: float
    wanted: float
    reached: float


def sensitivity_from_graph(
    graph: ir.Model,
    precision: str,
    bounds: Mapping[str, float],
    layers: Layers,
    pipeline: Pipeline,
    records: Sequence[Record],
    samples: Samples,
    *,
    max_accuracy_drop: float,
    scratch: Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sensitivity:
    """Quantise each layer alone and rank them by what it does; then keep the worst, one by one, until the accuracy holds.

    `pipeline` runs the float32 graph. Raises EvaluationError for records that it cannot take.
    """
    modules = list(dict.fromkeys([*(product.module for product in products_from_graph(graph, layers)), TABLE]))
    inputs = pipeline.manifest.inputs
    rows = samples.inputs[:RANKED_ROWS]
    target = next(iter(EIGHT_BITS[precision].forms))
    exact = _flat_outputs(pipeline.session, rows)

    def session(keep: Sequence[str]) -> Session:
        write_graph(quantised_from_graph(graph, precision, bounds, layers, target=target, keep=keep), scratch / MODEL)
        return OrtSession(scratch / MODEL, inputs)

    damage_by_module = {}
    for index, module in enumerate(modules):
        alone = session([other for other in modules if other != module])
        damage_by_module[module] = _damage(_flat_outputs(alone, rows), exact)
        on_progress(index + 1, len(modules))
    damages = dict(sorted(damage_by_module.items(), key=lambda item: -item[1]))
    float32 = evaluation_from_pipeline(pipeline, records).value()
    least_accuracy = float32 - max_accuracy_drop
    ranked, kept = list(damages), 0
    while True:
        reached = evaluation_from_pipeline(replace(pipeline, session=session(ranked[:kept])), records).value()
        if reached >= least_accuracy or kept == len(ranked):
            break
        kept += 1
    return Sensitivity(damages=damages, kept=tuple(ranked[:kept]), float32=float32, wanted=least_accuracy, reached=reached)


def _flat_outputs(session: Session, inputs: Sequence[Mapping[str, Ids]]) -> Outputs:
    """Run inputs, and return the numbers of each output in a row."""
    outputs = [run_in_batches(session, of_one) for of_one in inputs]
    return {name: np.concatenate([of_one[name].ravel() for of_one in outputs]) for name in outputs[0]}


def _damage(outputs: Outputs, exact: Outputs) -> float:
    """Root mean square difference of the outputs, in parts of the largest value of each; the worst of them."""
    return max(
        root_mean_square(outputs[name] - expected) / (largest_magnitude(expected) or 1.0) for name, expected in exact.items()
    )
