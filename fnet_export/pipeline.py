"""The stages joined: a plan in, a verified bundle out."""

import importlib.metadata
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from fnet_runtime.manifest import (
    CONFIG,
    ENGINE,
    FORMAT_VERSION,
    GOLDEN,
    MANIFEST,
    MODEL,
    PARITY,
    VOCABULARY,
    Manifest,
    Source,
)
from fnet_runtime.ort_session import OrtSession
from fnet_runtime.trt_session import TrtSession

from fnet_core.checkpoint import model_from_checkpoint
from fnet_core.fnet import FNet
from fnet_export.bundle import bundle_folder, files_of_folder, tensors_of_task, write_golden, write_graph
from fnet_export.errors import ParityError
from fnet_export.inputs import GOLDEN_ROWS, samples_from_emails
from fnet_export.parity import FAILED, Candidate, ParityReport, TorchSession, parity_from_candidates, relative_limit
from fnet_export.plan import CHOICES_RANGE, Plan
from fnet_export.progress import Progress
from fnet_export.tensorrt import engine_from_graph
from fnet_export.trace import graph_from_model, simplified_from_graph

TOOLS = ("fnet-export", "torch", "onnx", "onnxruntime", "onnxscript", "onnxsim", "sentencepiece", "numpy")


@dataclass(frozen=True, kw_only=True)
class Export:
    """A written bundle: its folder, its manifest, and the proof."""

    folder: Path
    manifest: Manifest
    report: ParityReport


def bundle_from_plan(plan: Plan, progress: Progress) -> Export:
    """Export: checkpoint, model, graph, engine, parity, bundle.

    Raises ParityError, with the report as its second argument, when a runtime disagrees with the reference; the files are then in
    `OUTPUT.failed`. Raises OutputError, GraphError, EngineError, CheckpointError and SessionError as the stages do.
    """
    options, config = plan.options, plan.checkpoint.config
    for note in plan.notes:
        progress.note(note)
    titles: Iterator[str] = iter(plan.stages())
    with (
        bundle_folder(options.output, force=options.force) as folder,
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=".trace-") as scratch,
    ):
        progress.stage(next(titles))
        model = _model(plan, options.mixing, torch.float32)
        (folder / VOCABULARY).write_bytes(plan.vocabulary.read_bytes())
        (folder / CONFIG).write_text(config.to_json(), "utf-8")

        progress.stage(next(titles))
        traced = Path(scratch) / MODEL
        graph = graph_from_model(model, options.trace)
        write_graph(graph, traced)
        if options.simplify:
            progress.stage(next(titles))
            graph = simplified_from_graph(graph)
        write_graph(graph, folder / MODEL)

        engine = None
        if plan.library is not None:
            progress.stage(next(titles))
            built = engine_from_graph(
                folder / MODEL,
                library=plan.library,
                ranges=plan.ranges,
                on_progress=lambda phase, done, total: progress.step(done, total, phase),
            )
            (folder / ENGINE).write_bytes(built.data)
            engine = built.info

        progress.stage(next(titles))
        inputs, outputs = tensors_of_task(plan.task, config, plan.sequence_length)
        reference = _model(plan, "fft", torch.float64)
        samples = samples_from_emails(
            plan.task, plan.tokenizer, config, sequence_length=plan.sequence_length, choices=CHOICES_RANGE.opt
        )
        candidates = [
            Candidate(name=f"torch float32, {options.mixing}", open=lambda: TorchSession(model)),
            Candidate(name="ONNX Runtime, traced", open=lambda: OrtSession(traced, inputs)),
            Candidate(
                name="ONNX Runtime, simplified",
                open=(lambda: OrtSession(folder / MODEL, inputs)) if options.simplify else None,
                not_run=None if options.simplify else "--no-simplify: model.onnx is the traced graph",
            ),
        ]
        if engine is not None:
            info = engine
            candidates.append(
                Candidate(
                    name=f"{info.library} engine",
                    open=lambda: TrtSession(folder / ENGINE, info, inputs),
                )
            )
        report = parity_from_candidates(reference, candidates, samples, on_progress=progress.step)
        (folder / PARITY).write_text(report.to_json(), "utf-8")
        if not report.passed:
            failed = ", ".join(row.name for row in report.rows if row.status == FAILED)
            raise ParityError(f"parity failed: {failed}", report)

        progress.stage(next(titles))
        rows = [samples.names.index(name) for name in GOLDEN_ROWS]
        golden = {name: array[rows] for name, array in samples.inputs.items()}
        references = TorchSession(reference).run(golden)
        write_golden(folder / GOLDEN, golden, references, relative_limit(config.num_hidden_layers), plan.task)  # type: ignore[arg-type]
        source = plan.checkpoint.source
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            task=plan.task.name,
            target=options.target,
            labels=config.labels if plan.task.labelled else (),
            inputs=inputs,
            outputs=outputs,
            sequence_length=plan.sequence_length,
            pad_token_id=config.pad_token_id,
            tokenizer=plan.tokenizer.options,
            mixing=options.mixing,
            precision="fp32",
            source=Source(id=source.id, revision=source.revision, sha256=dict(source.sha256), random_head=plan.random_head),
            tools={name: importlib.metadata.version(name) for name in TOOLS},
            engine=engine,
            files=files_of_folder(folder),
        )
        (folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return Export(folder=options.output, manifest=manifest, report=report)


def _model(plan: Plan, mixing: str, dtype: torch.dtype) -> FNet:
    return model_from_checkpoint(
        plan.checkpoint,
        plan.task,
        mixing=mixing,
        sequence_length=plan.sequence_length,
        dtype=dtype,
        random_head=plan.random_head,
    )
