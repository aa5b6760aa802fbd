"""A graph in eight bits as planned: calibrated, and with so many layers in float32 as the accuracy asks for."""

import tempfile
from pathlib import Path

import onnx_ir as ir
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.sessions.ort_session import OrtSession

from fnet_export.base.progress import Progress
from fnet_export.plan.manifest import manifest_from_plan
from fnet_export.plan.plan import Plan
from fnet_export.precision.calibrate import bounds_from_graph
from fnet_export.precision.quantised import Layers, products_from_graph, quantised_from_graph, steps_from_bounds
from fnet_export.precision.sensitivity import Sensitivity, sensitivity_from_graph
from fnet_export.texts.samples import CHOICES_COUNT, samples_from_texts
from fnet_export.texts.text_files import Texts


def quantised_from_plan(
    plan: Plan, data: Texts, graph: ir.Model, layers: Layers, *, float32: Path, progress: Progress
) -> tuple[ir.Model, Sensitivity | None, dict[str, float]]:
    """Calibrate a float32 graph, which is in a file, and quantise its linear layers, except the layers that the accuracy needs in
    float32.

    Also return the scales of what is quantised, by module, for the emulation (see `steps_from_bounds`).

    Raises SessionError when the graph cannot be run, EvaluationError for data that the model cannot take.
    """
    manifest, precision = manifest_from_plan(plan), plan.options.graph.precision
    samples = samples_from_texts(
        plan.trained.task,
        plan.tokenizer.tokenizer,
        data.texts,
        padding=plan.trained.padding,
        choices=CHOICES_COUNT,
    )
    tensors = list(dict.fromkeys(str(product.activation.name) for product in products_from_graph(graph, layers)))
    method = plan.options.calibration.method
    bounds = bounds_from_graph(float32, tensors, manifest.inputs, samples, method, on_note=progress.note)
    sensitivity = None
    drop = plan.options.calibration.max_accuracy_drop
    if drop is not None and plan.evaluation is not None:
        pipeline = Pipeline(
            manifest=manifest,
            tokenizer=plan.tokenizer.tokenizer,
            session=OrtSession(float32, manifest.inputs),
            golden=float32,
            problem_type=plan.trained.config.problem_type,
        )
        with tempfile.TemporaryDirectory(dir=float32.parent) as scratch:
            sensitivity = sensitivity_from_graph(
                graph,
                precision,
                bounds,
                layers,
                pipeline,
                plan.evaluation.records,
                samples,
                max_accuracy_drop=drop,
                scratch=Path(scratch),
                on_progress=progress.step,
            )
    keep = sensitivity.kept if sensitivity is not None else ()
    steps = steps_from_bounds(graph, precision, bounds, layers, keep)
    target = plan.options.engine.target
    return quantised_from_graph(graph, precision, bounds, layers, target=target, keep=keep), sensitivity, steps
