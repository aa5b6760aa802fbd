"""The stages joined: a plan in, a verified bundle out."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fnet_runtime.bundle.golden import Case
from fnet_runtime.bundle.manifest import CARD, CONFIG, ENGINE, FP16, FP32, GOLDEN, MANIFEST, MODEL, OPENVINO, EngineInfo, Manifest
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE

from fnet_export.base.errors import OptionError
from fnet_export.base.progress import Progress
from fnet_export.bundle.card import card_from_manifest
from fnet_export.bundle.description import pooling_from_bundle
from fnet_export.bundle.folder import bundle_folder, files_from_folder
from fnet_export.bundle.golden import write_golden
from fnet_export.engine.openvino import ir_from_graph
from fnet_export.engine.tensorrt import Engine, engine_from_graph
from fnet_export.evaluation.accuracy import Accuracy, Measurement, Subject, accuracy_from_folder, check_records, gap_of_paddings
from fnet_export.evaluation.evaluation import Limits
from fnet_export.evaluation.padding import line_from_trained
from fnet_export.graph.trained import model_from_trained
from fnet_export.parity.check import Judgement, fit_together, parity_from_candidates, runs_of
from fnet_export.parity.layers import LayerError, layers_from_models
from fnet_export.parity.reference import reference_cache, reference_from_model
from fnet_export.parity.report.evidence import Evidence, values_from_evidence
from fnet_export.parity.report.files import write_evidence
from fnet_export.parity.result import ParityReport, row_from_headroom
from fnet_export.parity.tolerance import limit_from_expected
from fnet_export.plan.candidates import candidates_from_plan
from fnet_export.plan.command_line import words_from_options
from fnet_export.plan.engine_layers import profile_from_plan
from fnet_export.plan.graphs import Graphs, graphs_from_plan, lowered_from_plan
from fnet_export.plan.manifest import manifest_from_plan
from fnet_export.plan.options import ExportOptions
from fnet_export.plan.plan import BUILD, EVALUATE, MEASURES, PROVE, READ, WRITE, Plan, plan_from_options
from fnet_export.plan.proof import proof_from_plan
from fnet_export.plan.rivals import latency_from_plan
from fnet_export.plan.transform_choice import MEASURE, choice_from_times, transform_times_ms
from fnet_export.precision.emulation import expected_model
from fnet_export.precision.half import HALVES
from fnet_export.precision.headroom import Headroom, headroom_from_model
from fnet_export.texts.samples import CHOICES_COUNT, GOLDEN_ROWS, Samples, parity_samples
from fnet_export.texts.tokenizer.config import write_tokenizer

PART, QUICK = 10, 16
"""Inputs that rows run on which are not shipped; inputs of a quick check, in all."""
REFERENCE_RUNS = 3
"""A run of the float64 reference takes as long as so many of the others, for a bar."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """A written bundle: its folder, its manifest, the evidence, and the evidence as parity.json has it."""

    folder: Path
    manifest: Manifest
    evidence: Evidence
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Proved:
    """What the parity stage returns: the report, the errors by layer, and the golden inputs with their references."""

    report: ParityReport
    layers: tuple[LayerError, ...]
    golden: tuple[Case, ...]


def bundle_from_plan(plan: Plan, progress: Progress, *, checkpoints: Sequence[Measurement] = ()) -> Export:
    """Export: checkpoint, model, graph, engine, parity, bundle.

    `checkpoints` are measurements of the checkpoint on the labelled data of the plan, which are not repeated.
    Raises ParityError if a runtime disagrees with the reference, AgreementError below --min-agreement, and AccuracyError below a
    limit of accuracy. The files are then in `OUTPUT.failed`. Raises
    EvaluationError, OutputError, GraphError, EngineError, CheckpointError and SessionError as the stages do.
    """
    check_labelled_data(plan)
    if plan.padding_is_measured:
        plan = _with_measured_padding(plan, progress)
    options, trained = plan.options, plan.trained
    for note in plan.notes:
        progress.note(note)
    with (
        bundle_folder(options.output.folder, force=options.output.force) as folder,
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.trace-") as place,
    ):
        scratch = Path(place)
        progress.stage(READ)
        write_tokenizer(folder, plan.tokenizer, sequence_length=trained.sequence_length)
        (folder / CONFIG).write_text(trained.config.to_json(), "utf-8")
        plan = _measured(plan, progress)

        graphs = graphs_from_plan(plan, folder, scratch, progress)
        engine, built = _written_engine(plan, folder, progress)
        proof = proof_from_plan(plan, folder, built, graphs.quantised)

        progress.stage(PROVE)
        samples = _samples(plan)
        proved = _proved(plan, graphs, folder, engine, samples, progress)
        latency = None
        if options.graph.precision != FP32:
            latency = latency_from_plan(plan, graphs, folder=folder, scratch=scratch, engine=engine, samples=samples)
        passed = proved.report.passed
        profile = profile_from_plan(plan, folder=folder, scratch=scratch, engine=engine, samples=samples, passed=passed)
        headroom = _headroom(plan, samples)
        accuracy = _accuracy(plan, folder, engine, checkpoints, progress)

        progress.stage(WRITE)
        _write_golden(plan, folder, proved)
        kept = graphs.sensitivity.kept if graphs.sensitivity is not None else ()
        evidence = Evidence(
            manifest=manifest_from_plan(plan, engine=engine, files=files_from_folder(folder), kept=kept),
            trained_length=plan.trained_length,
            texts=plan.texts,
            samples=samples,
            parity=_with_range(plan, proved.report, headroom),
            layers=proved.layers,
            profile=profile,
            tolerance=options.proof.tolerance,
            quick=options.proof.quick,
            proof=proof,
            latency=latency,
            headroom=headroom,
            sensitivity=graphs.sensitivity,
            accuracy=accuracy,
        )
        values = values_from_evidence(evidence)
        write_evidence(folder, values)
        pooling = pooling_from_bundle(folder, evidence.manifest.task)
        card = card_from_manifest(evidence.manifest, values, words_from_options(_pinned(plan)), pooling=pooling)
        (folder / CARD).write_text(card, "utf-8")
        (folder / MANIFEST).write_text(evidence.manifest.to_json(), "utf-8")
        evidence.check()
    return Export(folder=options.output.folder, manifest=evidence.manifest, evidence=evidence, values=values)


def _pinned(plan: Plan) -> ExportOptions:
    """Return the options of a plan with what it took: the task, and the commit of a hub id."""
    model = replace(plan.options.model, task=plan.trained.task.name, revision=plan.trained.checkpoint.source.revision)
    return replace(plan.options, model=model)


def check_labelled_data(plan: Plan) -> None:
    """Encode the labelled data of a plan, if there are any. Raises EvaluationError for a record that cannot be answered."""
    if plan.evaluation is not None:
        check_records(subject_from_plan(plan, None), plan.evaluation)


def _with_measured_padding(plan: Plan, progress: Progress) -> Plan:
    """Plan again with the padding that the checkpoint answers labelled data better with.

    Raises OptionError where chance explains the difference.
    """
    assert plan.evaluation is not None
    progress.stage(MEASURES)
    gap = gap_of_paddings(subject_from_plan(plan, None), plan.evaluation, on_progress=progress.step)
    if isinstance(gap, Measurement):
        progress.note(f"{gap.name}: {gap.reason}; so {MAX_LENGTH} is assumed")
        return plan
    name, data, tokens = gap.metric.name, plan.evaluation.name, plan.trained_length.length
    figures = (
        f"the {name} of the checkpoint on {data} is {gap.bundle.value:.2f} padded to {tokens} tokens and "
        f"{gap.checkpoint.value:.2f} at each text's own length"
    )
    if not gap.significant:
        raise OptionError(
            f"--padding: no file states how training padded texts. Expected labelled data that decide it; found that {figures}, "
            f"which chance explains. Choose --padding {MAX_LENGTH} or --padding {NONE}, or give more records"
        )
    padding = MAX_LENGTH if gap.better else NONE
    progress.note(f"{figures}, so the padding is {padding}")
    decided = plan_from_options(replace(plan.options, model=replace(plan.options.model, padding=padding)))
    caution = decided.trained_length.caution(decided.trained.padding)
    return replace(
        decided,
        trained_length=replace(decided.trained_length, decided=figures),
        notes=tuple(note for note in decided.notes if note != caution),
    )


def _measured(plan: Plan, progress: Progress) -> Plan:
    """Make the measurements that the plan names: say what another length changes, choose the fastest transform."""
    if plan.measurements:
        progress.stage(MEASURES)
    if plan.drifts:
        progress.note(line_from_trained(plan.trained, plan.tokenizer.tokenizer, plan.trained_length))
    if plan.transform.name != MEASURE:
        return plan
    return replace(plan, transform=choice_from_times(transform_times_ms(plan.trained.config, plan.trained.sequence_length)))


def _proved(plan: Plan, graphs: Graphs, folder: Path, engine: EngineInfo | None, samples: Samples, progress: Progress) -> _Proved:
    """Run the reference, which is let go, then everything else."""
    options, count = plan.options, len(samples.names)
    candidates = candidates_from_plan(plan, graphs, folder, engine)
    part = samples.part(PART)
    total = REFERENCE_RUNS * count + runs_of(candidates, part=len(part), whole=count)
    done = 0

    def step(runs: int, what: str) -> None:
        nonlocal done
        done += runs
        progress.step(done, total, what)

    cache = reference_cache()
    model = model_from_trained(plan.trained, torch.float64)
    reference = reference_from_model(
        model, samples, cache=cache, on_progress=lambda n: step(REFERENCE_RUNS * n, "float64 reference")
    )
    if cache.problem is not None:
        progress.note(
            f"{cache.problem}: the reference is not remembered, and the next export computes it again. FNET_EXPORT_CACHE names "
            "another folder"
        )
    weights = sum(weight.numel() for weight in model.parameters()) * torch.float32.itemsize
    expected = expected_model(model_from_trained(plan.trained), options.graph.precision, graphs.steps)
    layers = layers_from_models(model, expected, samples)
    del model, expected
    least = None if options.proof.min_agreement is None else options.proof.min_agreement / 100
    judgement = Judgement(tolerance=options.proof.tolerance, min_agreement=least)
    report = parity_from_candidates(
        reference,
        candidates,
        samples,
        part=part,
        judgement=judgement,
        timed_in_turns=fit_together(candidates, weights),
        on_step=step,
    )
    golden = [samples.names.index(name) for name in GOLDEN_ROWS if name in samples.names]
    cases = []
    for batch in samples.batches(golden, len(golden)):
        references = {name: array.astype(np.float64) for name, array in reference.outputs(batch).items()}
        cases.append(Case(samples.batch(batch), references))
    return _Proved(report=report, layers=layers, golden=tuple(cases))


def _samples(plan: Plan) -> Samples:
    samples = parity_samples(
        plan.trained.task,
        plan.tokenizer.tokenizer,
        plan.trained.config,
        plan.texts.texts,
        padding=plan.trained.padding,
        choices=CHOICES_COUNT,
    )
    return samples.of(samples.part(QUICK)) if plan.options.proof.quick else samples


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
        profiles=plan.profiles,
        build=plan.build,
        on_progress=lambda phase, done, total: progress.step(done, total, phase),
    )
    (folder / ENGINE).write_bytes(engine.data)
    return engine.info, engine


def _headroom(plan: Plan, samples: Samples) -> Headroom | None:
    """Measure the headroom of half precision."""
    if plan.options.graph.precision not in HALVES:
        return None
    return headroom_from_model(lowered_from_plan(plan), samples)


def _with_range(plan: Plan, report: ParityReport, headroom: Headroom | None) -> ParityReport:
    """Add a row that says whether fp16 holds the largest numbers."""
    graph = plan.options.graph
    if headroom is None or graph.precision != FP16:
        return report
    return replace(report, rows=(*report.rows, row_from_headroom(headroom, kept=bool(graph.keep_float32))))


def subject_from_plan(plan: Plan, engine: EngineInfo | None) -> Subject:
    """Return what labelled data score: the bundle of a plan, with its engine if it has one, and its model."""
    return Subject(
        manifest=manifest_from_plan(plan, engine=engine),
        tokenizer=plan.tokenizer.tokenizer,
        trained=plan.trained,
        trained_length=plan.trained_length,
    )


def _accuracy(
    plan: Plan, folder: Path, engine: EngineInfo | None, checkpoints: Sequence[Measurement], progress: Progress
) -> Accuracy | None:
    """Answer the labelled data of the plan, if there are any."""
    if plan.evaluation is None:
        return None
    progress.stage(EVALUATE)
    limits = Limits(min_accuracy=plan.options.proof.min_accuracy)
    subject = subject_from_plan(plan, engine)
    return accuracy_from_folder(folder, subject, plan.evaluation, limits, checkpoints=checkpoints, on_progress=progress.step)


def _write_golden(plan: Plan, folder: Path, proved: _Proved) -> None:
    precision = plan.options.graph.precision
    limits = {
        name: limit_from_expected(errors, precision, plan.options.proof.tolerance).max_abs
        for name, errors in proved.report.expected[precision].items()
    }
    write_golden(folder / GOLDEN, proved.golden, limits, plan.trained.task)
