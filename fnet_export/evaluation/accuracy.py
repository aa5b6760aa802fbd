"""The accuracy of an export on labelled data: the shipped bundle next to the checkpoint in torch at its own lengths.

A bundle that pads to another length than training did agrees with its reference in every digit and is wrong. Only labels show it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fnet_runtime.bundle.manifest import GOLDEN, Manifest
from fnet_runtime.errors import NoDeviceError, SessionError
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.sessions.runtimes import ONNXRUNTIME, OpenOptions, runtime_from_name, session_from_bundle
from fnet_runtime.sessions.session import ANY_BATCH, Ids, Outputs, Session
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE, Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.config import SIZED_MIXINGS
from fnet_core.fnet import FNet
from fnet_core.tasks import Task, task_named, task_of_config
from fnet_export.base.errors import EvaluationError
from fnet_export.engine.sessions.torch_session import TorchSession
from fnet_export.evaluation.evaluation import (
    Evaluation,
    Limits,
    check_record,
    differences_from_evaluations,
    evaluation_from_pipeline,
    missed_limits,
)
from fnet_export.evaluation.labelled import LabelledData
from fnet_export.evaluation.masking import masks_from_record
from fnet_export.evaluation.metrics import Figure, Metric
from fnet_export.evaluation.scoring import SCORINGS, guessed, kind_from_task
from fnet_export.graph.tensors import tensors_from_task
from fnet_export.graph.trained import TrainedModel
from fnet_export.texts.tokenizer.trained_length import TrainedLength

BUNDLE, OWN_LENGTHS = "bundle", "checkpoint, each text at its own length"
TORCH = "torch float32"
"""What runs the checkpoint."""
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One way of answering the data: its name and runtime, and what it scored, or the reason why it did not run."""

    name: str
    runtime: str
    evaluation: Evaluation | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The main metric of the bundle less that of one measurement of the checkpoint, on the same records."""

    metric: Metric
    difference: Figure
    bundle: Figure
    checkpoint: Figure
    better: bool

    @property
    def significant(self) -> bool:
        """Return whether chance does not explain it: the two intervals lie apart, or that of the paired difference has no zero."""
        apart = self.bundle.high < self.checkpoint.low or self.checkpoint.high < self.bundle.low
        return apart or self.difference.low > 0 or self.difference.high < 0


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """What the shipped bundle scored on labelled data, and the checkpoint in torch; `missed` has a sentence per missed limit."""

    data: LabelledData
    limits: Limits
    bundle: Measurement
    checkpoints: tuple[Measurement, ...]
    missed: tuple[str, ...]

    def gap(self, checkpoint: Measurement) -> Gap | None:
        """Compare the bundle with a measurement of the checkpoint; None where one of them did not run."""
        bundle, other = self.bundle.evaluation, checkpoint.evaluation
        return None if bundle is None or other is None else gap_from_evaluations(bundle, other)


def gap_from_evaluations(bundle: Evaluation, checkpoint: Evaluation) -> Gap:
    """Compare the main metrics of two evaluations of the same records; an error is better when it is lower."""
    metric = bundle.metrics[0]
    difference = differences_from_evaluations(bundle, checkpoint)[metric.name]
    return Gap(
        metric=metric,
        difference=difference,
        bundle=bundle.figures()[metric.name],
        checkpoint=checkpoint.figures()[metric.name],
        better=(difference.value > 0) == SCORINGS[bundle.kind].limited,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """What is scored: a bundle as its manifest describes it, with its tokenizer, and the model that it was made from."""

    manifest: Manifest
    tokenizer: Tokenizer
    trained: TrainedModel
    trained_length: TrainedLength


def check_records(subject: Subject, data: LabelledData) -> None:
    """Encode every record as the bundle will, before any work is done.

    Raises EvaluationError for the first record that cannot be answered.
    """
    config = subject.trained.config
    masked = SCORINGS[kind_from_task(subject.trained.task.name, config.problem_type, config.num_labels)].answer is guessed
    pipeline = _pipeline(subject, _bundle_way(subject), _Unopened())
    for record in data.records:
        check_record(pipeline, record)
        if masked:
            masks_from_record(pipeline, record)


def accuracy_from_folder(
    folder: Path,
    subject: Subject,
    data: LabelledData,
    limits: Limits,
    *,
    checkpoints: Sequence[Measurement] = (),
    on_progress: OnProgress = lambda done, total: None,
) -> Accuracy:
    """Answer labelled data with a bundle's files in a folder, and with the model that it was made from.

    `checkpoints` are measurements of that model on the same data, which are not repeated.
    """
    bundle, others = _bundle_way(subject), _checkpoint_ways(subject)
    measured_before = {measurement.name: measurement for measurement in checkpoints}
    measurements: list[Measurement] = []

    def step(done: int, of: int) -> None:
        on_progress(len(measurements) * of + done, (1 + len(others)) * of)

    def shipped() -> Measurement:  # its session ends with it: one model at a time
        runtime, opened = _shipped(folder, subject.manifest)
        way = replace(bundle, runtime=runtime, open=opened if isinstance(opened, str) else lambda: opened)
        return _measurement(subject, way, data, step)

    measurements.append(shipped())
    for way in others:
        measurements.append(measured_before.get(way.name) or _measurement(subject, way, data, step))
    return Accuracy(
        data=data,
        limits=limits,
        bundle=measurements[0],
        checkpoints=tuple(measurements[1:]),
        missed=_missed(limits, measurements[0]),
    )


def gap_of_paddings(
    subject: Subject, data: LabelledData, *, on_progress: OnProgress = lambda done, total: None
) -> Gap | Measurement:
    """Compare the checkpoint in torch padded to its length with the checkpoint at each text's own length.

    Where one of them cannot run, return its measurement, which has the reason.
    """
    own, padded = checkpoints_from_subject(subject, data, with_assumed=True, on_progress=on_progress)
    if own.evaluation is None or padded.evaluation is None:
        return padded if padded.evaluation is None else own
    return gap_from_evaluations(padded.evaluation, own.evaluation)


def checkpoints_from_subject(
    subject: Subject, data: LabelledData, *, with_assumed: bool, on_progress: OnProgress = lambda done, total: None
) -> tuple[Measurement, ...]:
    """Answer labelled data with the checkpoint in torch: at each text's own length, and padded to the length that files state.

    `with_assumed` pads it to a length that is only assumed as well.
    """
    ways = _checkpoint_ways(subject, with_assumed=with_assumed)
    measurements: list[Measurement] = []

    def step(done: int, of: int) -> None:
        on_progress(len(measurements) * of + done, len(ways) * of)

    for way in ways:
        measurements.append(_measurement(subject, way, data, step))
    return tuple(measurements)


def baseline_from_checkpoints(checkpoints: Sequence[Measurement], trained: TrainedLength) -> Measurement:
    """Return the measurement of the checkpoint with the padding of its training. If no file states the padding, return the best.

    Raises EvaluationError if it did not run.
    """
    possible = [each for each in checkpoints if trained.contract in (None, NONE if each.name == OWN_LENGTHS else MAX_LENGTH)]
    scored = [(each, each.evaluation) for each in possible if each.evaluation is not None]
    if not scored:
        reasons = "; ".join(f"{each.name}: {each.reason}" for each in possible)
        raise EvaluationError(f"the checkpoint cannot be scored, so no bundle can be compared with it: {reasons}")
    return max(scored, key=lambda pair: pair[1].value() * (1 if SCORINGS[pair[1].kind].limited else -1))[0]


@dataclass(frozen=True, kw_only=True)
class _Way:
    """One way of answering: its name and runtime, its task and padding, and what opens its session, or why nothing does."""

    name: str
    runtime: str
    task: Task
    padding: Padding
    open: Callable[[], Session] | str


class _Unopened:
    """A session of records that are only encoded."""

    batch = ANY_BATCH

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Refuse."""
        raise SessionError("nothing is open to run the records; expected them to be encoded only")


def _bundle_way(subject: Subject) -> _Way:
    """Return the way of a bundle that is not opened yet."""
    return _Way(name=BUNDLE, runtime="", task=subject.trained.task, padding=subject.trained.padding, open="not opened")


def _checkpoint_ways(subject: Subject, *, with_assumed: bool = False) -> list[_Way]:
    """List the checkpoint at each text's own length and, where a length is stated, or assumed and asked for, padded to that."""
    config, trained, length = subject.trained.config, subject.trained, subject.trained_length
    task = task_of_config(task_named(trained.task.name), config)  # a checkpoint predicts every token of a masked-lm

    def model() -> FNet:
        return model_from_checkpoint(trained.checkpoint, task, random_head=trained.random_head)

    sized = f"the {config.mixing} mixing has matrices of {config.max_position_embeddings} tokens; no other length runs"
    unpadded = sized if set(SIZED_MIXINGS) & set(config.mixings) else lambda: TorchSession(model())
    ways = [_Way(name=OWN_LENGTHS, runtime=TORCH, task=task, padding=Padding(length.length, NONE), open=unpadded)]
    if length.stated or with_assumed:
        padded = f"checkpoint, padded to {length.length} tokens"
        ways.append(_Way(name=padded, runtime=TORCH, task=task, padding=Padding(length.length), open=lambda: TorchSession(model())))
    return ways


def _shipped(folder: Path, manifest: Manifest) -> tuple[str, Session | str]:
    """Open what the bundle is opened with, or model.onnx where its engine needs another device; else say why nothing opens."""
    runtime = runtime_from_name("auto", manifest, folder)
    try:
        return runtime, session_from_bundle(folder, manifest)
    except NoDeviceError as error:
        instead = f"{ONNXRUNTIME} on model.onnx, because this host has no device for the engine"
        reason = str(error)
    except SessionError as error:
        return runtime, str(error)
    try:
        return instead, session_from_bundle(folder, manifest, OpenOptions(runtime=ONNXRUNTIME))
    except SessionError as error:
        return runtime, f"{reason}; {error}"


def _pipeline(subject: Subject, way: _Way, session: Session) -> Pipeline:
    inputs, outputs = tensors_from_task(way.task, subject.trained.config, way.padding)
    return Pipeline(
        manifest=replace(
            subject.manifest,
            inputs=inputs,
            outputs=outputs,
            sequence_length=way.padding.length,
            padding=way.padding.contract,
            pad_to_multiple_of=way.padding.multiple_of,
        ),
        tokenizer=subject.tokenizer,
        session=session,
        golden=Path(GOLDEN),
        problem_type=subject.trained.config.problem_type,
    )


def _measurement(subject: Subject, way: _Way, data: LabelledData, on_progress: OnProgress) -> Measurement:
    """Answer the data one way. A session that fails, or a record that this way cannot answer, is a reason and not the end."""
    if isinstance(way.open, str):
        on_progress(len(data.records), len(data.records))
        return Measurement(name=way.name, runtime=way.runtime, reason=way.open)
    try:
        evaluation = evaluation_from_pipeline(_pipeline(subject, way, way.open()), data.records, on_progress=on_progress)
    except (SessionError, EvaluationError) as error:
        return Measurement(name=way.name, runtime=way.runtime, reason=str(error))
    return Measurement(name=way.name, runtime=way.runtime, evaluation=evaluation)


def _missed(limits: Limits, bundle: Measurement) -> tuple[str, ...]:
    """Say which limits the bundle misses; one that was not measured misses all of them."""
    if bundle.evaluation is not None:
        return tuple(missed_limits(limits, bundle.evaluation, None))
    if limits == Limits():
        return ()
    return (f"the accuracy of the bundle was not measured, and at least {limits.min_accuracy:g} was asked for: {bundle.reason}",)
