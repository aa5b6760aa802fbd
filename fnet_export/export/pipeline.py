"""The stages joined: a plan in, a verified bundle out."""

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from fnet_runtime.bundle.manifest import (
    CONFIG,
    ENGINE,
    FP16,
    FP32,
    GOLDEN,
    IR,
    MANIFEST,
    MODEL,
    OPENVINO,
    EngineInfo,
    Manifest,
    TensorInfo,
)
from fnet_runtime.sessions.openvino_session import OpenVinoSession
from fnet_runtime.sessions.session import Outputs

from fnet_export.base.errors import AccuracyError, AgreementError, ParityError
from fnet_export.base.progress import Progress
from fnet_export.bundle.folder import bundle_folder, files_from_folder
from fnet_export.bundle.golden import write_golden
from fnet_export.engine.openvino import ir_from_graph
from fnet_export.engine.tensorrt import Engine, engine_from_graph
from fnet_export.evaluate.accuracy import Accuracy, accuracy_from_plan, check_records
from fnet_export.export.candidates import candidates_from_plan, trained_model
from fnet_export.export.graphs import Graphs, graphs_from_plan, lowered_from_plan
from fnet_export.export.manifest import manifest_from_plan
from fnet_export.export.plan import BUILD, CHOICES_PROFILE, EVALUATE, PROVE, WRITE, Plan
from fnet_export.export.rivals import latency_from_plan
from fnet_export.graph.tensors import tensors_from_task
from fnet_export.parity.check import Judgement, parity_from_candidates, runs_of
from fnet_export.parity.layers import layers_from_models
from fnet_export.parity.reference import reference_cache, reference_from_model
from fnet_export.parity.report.evidence import values_from_report
from fnet_export.parity.report.files import write_evidence
from fnet_export.parity.result import ParityReport, row_from_headroom
from fnet_export.parity.tolerance import limit_from_expected
from fnet_export.precision.emulation import expected_model
from fnet_export.precision.half import HALVES
from fnet_export.precision.headroom import headroom_from_model
from fnet_export.precision.proof import (
    PrecisionProof,
    precisions_from_inspector,
    precisions_from_onnxruntime,
    precisions_from_openvino,
    products_from_file,
    proof_from_precisions,
)
from fnet_export.texts.samples import GOLDEN_ROWS, Samples, parity_samples
from fnet_export.texts.tokenizer.config import write_tokenizer

PART, QUICK = 10, 16
"""Inputs that rows run on which are not shipped; inputs of a quick check, in all."""
REFERENCE_RUNS = 3
"""A run of the float64 reference takes as long as so many of the others, for a bar."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """A written bundle: its folder, its manifest, the proof, and that as parity.json has it."""

    folder: Path
    manifest: Manifest
    report: ParityReport
    values: Mapping[str, Any]


def bundle_from_plan(plan: Plan, progress: Progress) -> Export:
    """Export: checkpoint, model, graph, engine, parity, bundle.

    Raises ParityError when a runtime disagrees with the reference, AgreementError below --min-agreement, and AccuracyError
    when the bundle is less accurate on labelled data than was asked for; the files are then in `OUTPUT.failed`. Raises
    EvaluationError, OutputError, GraphError, EngineError, CheckpointError and SessionError as the stages do.
    """
    options = plan.options
    for note in plan.notes:
        progress.note(note)
    check_records(plan)
    with (
        bundle_folder(options.output, force=options.force) as folder,
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.trace-") as scratch,
    ):
        write_tokenizer(folder, plan.tokenizer, sequence_length=plan.sequence_length)
        (folder / CONFIG).write_text(plan.checkpoint.config.to_json(), "utf-8")

        graphs = graphs_from_plan(plan, folder, Path(scratch), progress)
        engine, built = _written_engine(plan, folder, progress)
        proof = _proof(plan, folder, built, graphs.int8_layers)

        progress.stage(PROVE)
        samples = _samples(plan)
        report, references = _proved(plan, graphs, folder, engine, samples, progress)
        if proof is not None:
            latency = latency_from_plan(
                plan, graphs, folder=folder, scratch=Path(scratch), engine=engine, inputs=_inputs(plan), samples=samples
            )
            report = replace(report, proof=proof, latency=latency, sensitivity=graphs.sensitivity)
            report = _with_headroom(plan, report, samples)

        if plan.evaluation is not None:
            progress.stage(EVALUATE)
        accuracy = accuracy_from_plan(plan, folder, engine, on_progress=progress.step)

        progress.stage(WRITE)
        golden, errors = samples.named(GOLDEN_ROWS), report.expected[options.precision]
        limits = {name: limit_from_expected(found, options.precision, plan.tolerance).max_abs for name, found in errors.items()}
        write_golden(folder / GOLDEN, golden, references, limits, plan.task)
        files = files_from_folder(folder)
        values = values_from_report(plan, report, samples, files, accuracy)
        write_evidence(folder, values)
        kept = graphs.sensitivity.kept if graphs.sensitivity is not None else ()
        manifest = manifest_from_plan(plan, engine=engine, files=files, kept=kept)
        (folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
        _check(report, accuracy, values)
    return Export(folder=options.output, manifest=manifest, report=report, values=values)


def _proved(
    plan: Plan, graphs: Graphs, folder: Path, engine: EngineInfo | None, samples: Samples, progress: Progress
) -> tuple[ParityReport, Outputs]:
    """Run the reference, which is let go, then everything else; return the golden inputs' reference outputs as well."""
    options, count = plan.options, len(samples.names)
    candidates = candidates_from_plan(plan, graphs, folder, engine, _inputs(plan))
    part = samples.part(PART)
    total = REFERENCE_RUNS * count + runs_of(candidates, part=len(part), whole=count)
    done = 0

    def step(runs: int, what: str) -> None:
        nonlocal done
        done += runs
        progress.step(done, total, what)

    cache = reference_cache()
    model = trained_model(plan, torch.float64)
    reference = reference_from_model(
        model, samples, cache=cache, on_progress=lambda n: step(REFERENCE_RUNS * n, "float64 reference")
    )
    if cache.problem is not None:
        progress.note(
            f"{cache.problem}: the reference is not remembered, and the next export computes it again. FNET_EXPORT_CACHE names "
            "another folder"
        )
    expected = expected_model(trained_model(plan, torch.float32), options.precision, graphs.steps)
    layers = layers_from_models(model, expected, samples)
    del model, expected
    least = None if options.min_agreement is None else options.min_agreement / 100
    judgement = Judgement(tolerance=plan.tolerance, min_agreement=least)
    report = parity_from_candidates(reference, candidates, samples, part=part, judgement=judgement, on_step=step)
    golden = reference.outputs([samples.names.index(name) for name in GOLDEN_ROWS])
    return replace(report, layers=layers, quick=options.quick), golden


def _check(report: ParityReport, accuracy: Accuracy | None, values: Mapping[str, Any]) -> None:
    """Raise ParityError for a row that failed, AgreementError for too few equal decisions, AccuracyError for a limit missed."""
    too_few = [f"{row.name}: {text}" for row in report.rows for text in row.too_few]
    missed = [*too_few, *(accuracy.missed if accuracy is not None else ())]
    failed = ", ".join(row.name for row in report.rows if row.disagrees)
    if failed or not (report.passed or too_few):
        raise ParityError("; ".join([f"parity failed: {failed or 'nothing ran'}", *missed]), report, values)
    if too_few:
        raise AgreementError("; ".join(missed), report, values)
    if missed:
        raise AccuracyError("; ".join(missed), report, values)


def _samples(plan: Plan) -> Samples:
    samples = parity_samples(
        plan.task,
        plan.tokenizer.tokenizer,
        plan.checkpoint.config,
        plan.samples.texts,
        sequence_length=plan.sequence_length,
        choices=CHOICES_PROFILE.opt,
    )
    return samples.of(samples.part(QUICK)) if plan.options.quick else samples


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


def _proof(plan: Plan, folder: Path, engine: Engine | None, int8_layers: Collection[str] | None) -> PrecisionProof | None:
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
    proof = proof_from_precisions(products, precisions, precision=precision, read_from=read_from, meant=int8_layers)
    proof.check()
    return proof


def _with_headroom(plan: Plan, report: ParityReport, samples: Samples) -> ParityReport:
    """Add the headroom of half precision, and whether fp16 holds it."""
    options = plan.options
    if options.precision not in HALVES:
        return report
    headroom = headroom_from_model(lowered_from_plan(plan), samples)
    of_range = (row_from_headroom(headroom, kept=bool(options.keep_float32)),) if options.precision == FP16 else ()
    return replace(report, headroom=headroom, rows=(*report.rows, *of_range))


def _inputs(plan: Plan) -> tuple[TensorInfo, ...]:
    return tensors_from_task(plan.task, plan.checkpoint.config, plan.sequence_length)[0]
