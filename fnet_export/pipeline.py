"""The stages joined: a plan in, a verified bundle out."""

import importlib.metadata
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from fnet_runtime.manifest import (
    CONFIG,
    ENGINE,
    FORMAT_VERSION,
    GOLDEN,
    MANIFEST,
    MODEL,
    OPENVINO,
    PARITY,
    EngineInfo,
    Manifest,
    Source,
)
from fnet_runtime.openvino_session import OpenVinoSession
from fnet_runtime.ort_session import OrtSession
from fnet_runtime.trt_session import TrtSession

from fnet_core.checkpoint import model_from_checkpoint
from fnet_core.fnet import FNet
from fnet_export.bundle import bundle_folder, files_from_folder, tensors_from_task, write_golden, write_graph
from fnet_export.errors import ParityError
from fnet_export.inputs import GOLDEN_ROWS, Samples, samples_from_emails
from fnet_export.library import Library
from fnet_export.lower import AtPositions, LoweredFNet, lowered_from_model
from fnet_export.openvino import ir_from_graph
from fnet_export.optimize import optimized_from_graph
from fnet_export.parity import FAILED, Candidate, ParityReport, TorchSession, parity_from_candidates
from fnet_export.plan import BUILD, CHOICES_PROFILE, PROVE, READ, SIMPLIFY, TRACE, WRITE, Plan
from fnet_export.progress import Progress
from fnet_export.tensorrt import engine_from_graph
from fnet_export.trace import graph_from_model

TOOLS = ("fnet-export", "torch", "onnx", "onnxruntime", "onnxscript", "onnxsim", "sentencepiece", "tokenizers", "numpy")


@dataclass(frozen=True, kw_only=True)
class Export:
    """A written bundle: its folder, its manifest, and the proof."""

    folder: Path
    manifest: Manifest
    report: ParityReport


def bundle_from_plan(plan: Plan, progress: Progress) -> Export:
    """Export: checkpoint, model, graph, engine, parity, bundle.

    Raises ParityError when a runtime disagrees with the reference; the files are then in `OUTPUT.failed`. Raises OutputError,
    GraphError, EngineError, CheckpointError and SessionError as the stages do.
    """
    options = plan.options
    for note in plan.notes:
        progress.note(note)
    with (
        bundle_folder(options.output, force=options.force) as folder,
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=".trace-") as scratch,
    ):
        (folder / plan.tokenizer.file).write_bytes(plan.tokenizer.data)
        (folder / CONFIG).write_text(plan.checkpoint.config.to_json(), "utf-8")

        traced = Path(scratch) / MODEL
        _write_graphs(plan, traced, folder / MODEL, progress)
        engine = None if plan.library is None else _written_engine(plan, plan.library, folder, progress)

        progress.stage(PROVE)
        reference, samples = _reference(plan), _samples(plan)
        candidates = _candidates(plan, traced, folder, engine)
        report = parity_from_candidates(reference, candidates, samples, on_progress=progress.step)
        (folder / PARITY).write_text(report.to_json(), "utf-8")
        if not report.passed:
            raise ParityError(f"parity failed: {', '.join(row.name for row in report.rows if row.status == FAILED)}", report)

        progress.stage(WRITE)
        golden = samples.named(GOLDEN_ROWS)
        write_golden(folder / GOLDEN, golden, TorchSession(reference).run(golden), report.relative_limit, plan.task)
        manifest = _manifest(plan, engine, folder)
        (folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return Export(folder=options.output, manifest=manifest, report=report)


def _reference(plan: Plan) -> FNet | AtPositions:
    """The model as trained, in float64 with torch.fft: nothing of it is lowered."""
    model = _trained(plan, torch.float64)
    return model if plan.task.predict_positions is None else AtPositions(model, plan.task)


def _trained(plan: Plan, dtype: torch.dtype) -> FNet:
    return model_from_checkpoint(
        plan.checkpoint,
        plan.task,
        mixing="fft",
        sequence_length=plan.sequence_length,
        dtype=dtype,
        random_head=plan.random_head,
    )


def _lowered(plan: Plan) -> LoweredFNet:
    """The model to export; the one that was read is let go."""
    trained = _trained(plan, torch.float32)
    return lowered_from_model(trained, plan.mixing.name, plan.task, widen=plan.options.target == "onnx")


def _write_graphs(plan: Plan, traced: Path, shipped: Path, progress: Progress) -> None:
    """Write the graph as traced and as shipped; neither stays in memory, nor the model."""
    progress.stage(READ)
    model = _lowered(plan)
    progress.stage(TRACE)
    graphs = [graph_from_model(model, plan.options.trace)]
    write_graph(graphs[0], traced)
    if plan.options.simplify:
        progress.stage(SIMPLIFY)
        graphs.append(optimized_from_graph(graphs[0]))
    write_graph(graphs[-1], shipped)
    for graph in graphs:  # onnxscript's rules hold on to the last graph that they saw (0.7), and so to all weights
        for value in graph.graph.initializers.values():
            value.const_value = None
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = torch.empty(0)


def _samples(plan: Plan) -> Samples:
    return samples_from_emails(
        plan.task,
        plan.tokenizer.tokenizer,
        plan.checkpoint.config,
        sequence_length=plan.sequence_length,
        choices=CHOICES_PROFILE.opt,
    )


def _written_engine(plan: Plan, library: Library, folder: Path, progress: Progress) -> EngineInfo:
    """Build the engine of the graph that is in the folder, and write it there."""
    progress.stage(BUILD)
    if library.name == OPENVINO:
        return ir_from_graph(folder / MODEL, folder, library=library)
    engine = engine_from_graph(
        folder / MODEL,
        library=library,
        ranges=plan.ranges,
        on_progress=lambda phase, done, total: progress.step(done, total, phase),
    )
    (folder / ENGINE).write_bytes(engine.data)
    return engine.info


def _candidates(plan: Plan, traced: Path, folder: Path, engine: EngineInfo | None) -> list[Candidate]:
    """Every way of running the model: torch, then the shipped runtime on the traced graph and on the shipped files.

    None of them holds a model before it is opened.
    """
    inputs, _ = tensors_from_task(plan.task, plan.checkpoint.config, plan.sequence_length)
    shipped = partial(OrtSession, folder / MODEL, inputs)
    candidates = [
        Candidate(name=f"torch float32, {plan.mixing.name}", open=lambda: TorchSession(_lowered(plan))),
        Candidate(name="ONNX Runtime, traced", open=partial(OrtSession, traced, inputs)),
        Candidate(
            name="ONNX Runtime, simplified",
            open=shipped if plan.options.simplify else "--no-simplify: model.onnx is the traced graph",
        ),
    ]
    if engine is None:
        return candidates
    file = folder / engine.file
    if engine.library == OPENVINO:
        return [*candidates, Candidate(name="OpenVINO", open=partial(OpenVinoSession, file, inputs))]
    return [*candidates, Candidate(name=f"{engine.library} engine", open=partial(TrtSession, file, engine, inputs))]


def _manifest(plan: Plan, engine: EngineInfo | None, folder: Path) -> Manifest:
    """Index a folder that holds every other file of the bundle."""
    config, source = plan.checkpoint.config, plan.checkpoint.source
    inputs, outputs = tensors_from_task(plan.task, config, plan.sequence_length)
    return Manifest(
        format_version=FORMAT_VERSION,
        task=plan.task.name,
        target=plan.options.target,
        labels=config.labels if plan.task.labelled else (),
        inputs=inputs,
        outputs=outputs,
        sequence_length=plan.sequence_length,
        pad_token_id=config.pad_token_id,
        tokenizer=plan.tokenizer.tokenizer.options,
        mixing=plan.mixing.name,
        mixing_reason=plan.mixing.reason,
        precision="fp32",
        source=Source(id=source.id, revision=source.revision, sha256=dict(source.sha256), random_head=plan.random_head),
        tools={name: importlib.metadata.version(name) for name in TOOLS},
        engine=engine,
        files=files_from_folder(folder),
    )
