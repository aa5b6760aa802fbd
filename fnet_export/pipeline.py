"""The stages joined: a plan in, a verified bundle out."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import onnxruntime
import torch
from fnet_runtime.manifest import (
    CONFIG,
    ENGINE,
    FP32,
    GOLDEN,
    IR,
    MANIFEST,
    MODEL,
    OPENVINO,
    PARITY,
    EngineInfo,
    Manifest,
    TensorInfo,
)
from fnet_runtime.openvino_session import OpenVinoSession
from fnet_runtime.ort_session import OrtSession
from fnet_runtime.trt_session import TrtSession

from fnet_core.fnet import FNet
from fnet_export.bundle import bundle_folder, files_from_folder, tensors_from_task, write_golden
from fnet_export.errors import ParityError
from fnet_export.graphs import Graphs, graphs_from_plan, lowered_from_plan, trained_from_plan
from fnet_export.headroom import Headroom, headroom_from_model
from fnet_export.inputs import GOLDEN_ROWS, Samples, samples_from_emails
from fnet_export.lower import AtPositions
from fnet_export.manifest import manifest_from_plan
from fnet_export.openvino import ir_from_graph
from fnet_export.parity import Candidate, Opener, ParityReport, parity_from_candidates
from fnet_export.plan import BUILD, CHOICES_PROFILE, PROVE, WRITE, Plan
from fnet_export.precision import HALVES
from fnet_export.progress import Progress
from fnet_export.proof import (
    PrecisionProof,
    precisions_from_inspector,
    precisions_from_onnxruntime,
    precisions_from_openvino,
    products_from_file,
    proof_from_precisions,
)
from fnet_export.rivals import latency_from_plan
from fnet_export.status import FAILED
from fnet_export.tensorrt import Engine, engine_from_graph
from fnet_export.torch_session import TorchSession


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

        graphs = graphs_from_plan(plan, folder, Path(scratch), progress)
        engine, built = _written_engine(plan, folder, progress)
        proof = _proof(plan, folder, built)

        progress.stage(PROVE)
        reference, samples = _reference(plan), _samples(plan)
        candidates = _candidates(plan, graphs, folder, engine)
        report = parity_from_candidates(reference, candidates, samples, precision=options.precision, on_progress=progress.step)
        if proof is not None:
            report = replace(
                report,
                proof=proof,
                headroom=_headroom(plan, samples),
                latency=latency_from_plan(
                    plan,
                    graphs,
                    folder=folder,
                    scratch=Path(scratch),
                    engine=engine,
                    inputs=_inputs(plan),
                    samples=samples,
                ),
                sensitivity=graphs.sensitivity,
            )
        (folder / PARITY).write_text(report.to_json(), "utf-8")
        if not report.passed:
            raise ParityError(f"parity failed: {', '.join(row.name for row in report.rows if row.status == FAILED)}", report)

        progress.stage(WRITE)
        golden = samples.named(GOLDEN_ROWS)
        write_golden(folder / GOLDEN, golden, TorchSession(reference).run(golden), report.relative_limit, plan.task)
        kept = graphs.sensitivity.kept if graphs.sensitivity is not None else ()
        manifest = manifest_from_plan(plan, engine=engine, files=files_from_folder(folder), kept=kept)
        (folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
    return Export(folder=options.output, manifest=manifest, report=report)


def _reference(plan: Plan) -> FNet | AtPositions:
    """The model as trained, in float64 with torch.fft: nothing of it is lowered."""
    model = trained_from_plan(plan, torch.float64)
    return model if plan.task.predict_positions is None else AtPositions(model, plan.task)


def _samples(plan: Plan) -> Samples:
    return samples_from_emails(
        plan.task,
        plan.tokenizer.tokenizer,
        plan.checkpoint.config,
        sequence_length=plan.sequence_length,
        choices=CHOICES_PROFILE.opt,
    )


def _written_engine(plan: Plan, folder: Path, progress: Progress) -> tuple[EngineInfo | None, Engine | None]:
    """Build the engine of the graph that is in the folder, and write it there; TensorRT's is returned as well."""
    if plan.library is None:
        return None, None
    progress.stage(BUILD)
    if plan.library.name == OPENVINO:
        return ir_from_graph(folder / MODEL, folder, library=plan.library), None
    engine = engine_from_graph(
        folder / MODEL,
        library=plan.library,
        ranges=plan.ranges,
        on_progress=lambda phase, done, total: progress.step(done, total, phase),
    )
    (folder / ENGINE).write_bytes(engine.data)
    return engine.info, engine


def _proof(plan: Plan, folder: Path, engine: Engine | None) -> PrecisionProof | None:
    """What of a bundle in another precision than float32 really runs in it. Raises PrecisionError when it is too little."""
    precision, library = plan.options.precision, plan.library
    if precision == FP32:
        return None
    products = products_from_file(folder / MODEL)
    precisions: Mapping[str, str]
    if library is None:
        read_from = f"ONNX Runtime {onnxruntime.__version__}, its optimized graph"
        precisions = precisions_from_onnxruntime(folder / MODEL, products)
    elif library.name == OPENVINO:
        read_from = f"OpenVINO {library.version}, its execution graph on this host"
        session = OpenVinoSession(folder / IR, _inputs(plan), precision=precision)
        precisions = precisions_from_openvino(session.operations(), products)
    else:
        assert engine is not None
        read_from = f"{library.name} {library.version}, the strongly typed network that it built from"
        precisions = engine.precisions
        if engine.inspected is not None:
            precisions, named = precisions_from_inspector(engine.inspected, precisions)
            read_from += f" and its engine's inspector, which names {named} of {len(products)} products"
    proof = proof_from_precisions(products, precisions, precision=precision, read_from=read_from)
    proof.check()
    return proof


def _headroom(plan: Plan, samples: Samples) -> Headroom | None:
    return headroom_from_model(lowered_from_plan(plan), samples) if plan.options.precision in HALVES else None


def _inputs(plan: Plan) -> tuple[TensorInfo, ...]:
    return tensors_from_task(plan.task, plan.checkpoint.config, plan.sequence_length)[0]


def _candidates(plan: Plan, graphs: Graphs, folder: Path, engine: EngineInfo | None) -> list[Candidate]:
    """Every way of running the model: torch, then the shipped runtime on the traced graph and on the shipped files.

    None of them holds a model before it is opened.
    """
    inputs, options = _inputs(plan), plan.options
    changed = graphs.float32 != graphs.shipped
    candidates = [
        Candidate(name=f"torch float32, {plan.mixing.name}", open=lambda: TorchSession(lowered_from_plan(plan))),
        Candidate(name="ONNX Runtime, traced", open=partial(OrtSession, graphs.traced, inputs)),
        Candidate(
            name="ONNX Runtime, simplified",
            open=partial(OrtSession, graphs.float32, inputs)
            if options.simplify
            else "--no-simplify: model.onnx is the traced graph",
        ),
    ]
    if changed:
        shipped: Opener | str = partial(OrtSession, graphs.shipped, inputs)
        if options.precision in HALVES:
            shipped = f"ONNX Runtime has no {options.precision} products on this CPU"
        candidates.append(Candidate(name=f"ONNX Runtime, {options.precision}", open=shipped, precision=options.precision))
    if engine is None:
        return candidates
    file = folder / engine.file
    if engine.library != OPENVINO:
        run = partial(TrtSession, file, engine, inputs)
        return [*candidates, Candidate(name=f"{engine.library} engine", open=run, precision=options.precision)]
    run_ir = partial(OpenVinoSession, file, inputs, precision=options.precision)
    if not changed:
        return [*candidates, Candidate(name="OpenVINO", open=run_ir)]
    return [
        *candidates,
        Candidate(name="OpenVINO, float32", open=partial(OpenVinoSession, graphs.float32, inputs)),
        Candidate(name=f"OpenVINO, {options.precision}", open=run_ir, precision=options.precision),
    ]
