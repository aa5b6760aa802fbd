"""The plan of an export: everything that can be checked before any work is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from fnet_runtime.bundle.manifest import (
    CONFIG,
    ENGINE,
    FP32,
    GOLDEN,
    INT8,
    IR,
    IR_DATA,
    MANIFEST,
    MODEL,
    MODEL_DATA,
    OPENVINO,
    PARITY,
    PARITY_JUNIT,
    PARITY_PAGE,
    PRECISIONS,
    TARGETS,
    TOKENIZER_CONFIG,
    AxisProfile,
    file_info,
)
from fnet_runtime.sessions.openvino_session import precision_on_cpu

from fnet_core.checkpoint.open import Checkpoint, checkpoint_from_name, head_is_drawn
from fnet_core.config import FNetConfig
from fnet_core.errors import CheckpointError, TaskError
from fnet_core.fnet import FNet
from fnet_core.tasks import BATCH, CHOICES, LABELS, SEQUENCE, VOCAB, Task, task_at_positions, task_named, task_of_config
from fnet_core.transform import TRANSFORMS
from fnet_export.base.errors import GraphError, OptionError, OutputError, PrecisionError
from fnet_export.bundle.folder import check_output
from fnet_export.bundle.golden import GOLDEN_POSITIONS
from fnet_export.engine.library import Library
from fnet_export.engine.openvino import openvino_library
from fnet_export.engine.tensorrt import library_for_target
from fnet_export.evaluate.decisions import decision_of_task
from fnet_export.evaluate.evaluation import Limits
from fnet_export.evaluate.labelled import LabelledData, records_from_file
from fnet_export.evaluate.padding import check_length, line_of_length
from fnet_export.evaluate.scoring import SCORINGS, kind_from_task
from fnet_export.export.transform_choice import AUTO, TRANSFORM_NAMES, TransformChoice, choice_from_name
from fnet_export.graph.file import EXTERNAL_DATA_ABOVE_BYTES
from fnet_export.graph.trace import TraceOptions
from fnet_export.parity.agreement import check_min_agreement
from fnet_export.parity.report.wording import note_of_random_head
from fnet_export.parity.tolerance import Tolerance, tolerance_from_options
from fnet_export.precision.calibrate import METHODS, MINMAX
from fnet_export.precision.half import HALVES
from fnet_export.precision.int8 import is_quantised, layers_from_model
from fnet_export.precision.steps import check_names
from fnet_export.texts.emails import EMAILS
from fnet_export.texts.samples import GOLDEN_ROWS
from fnet_export.texts.text_files import Texts, texts_from_file
from fnet_export.texts.tokenizer.choice import TokenizerChoice, check_flavour, tokenizer_of_checkpoint
from fnet_export.texts.tokenizer.trained_length import TrainedLength, trained_length_from_checkpoint

TARGET_PRECISIONS = {
    "onnx": (FP32, INT8),
    OPENVINO: PRECISIONS,
    "tensorrt": PRECISIONS,
    "tensorrt-rtx": PRECISIONS,
}
"""ONNX Runtime has no products in half precision on x86-64 CPUs: it would compute in float32."""
DEFAULT_BATCH = AxisProfile(min=1, opt=1, max=8)
DEFAULT_TRACE = TraceOptions()
CHOICES_PROFILE = AxisProfile(min=1, opt=4, max=8)
"""Choices of a multiple-choice question that an engine takes."""
READ, TRACE, SIMPLIFY, CALIBRATE, BUILD, PROVE, EVALUATE, WRITE = (
    "read the checkpoint",
    "trace to ONNX",
    "simplify",
    "calibrate int8",
    "build the engine",
    "prove parity",
    "evaluate labelled data",
    "write the bundle",
)
"""Titles of the stages."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to export and how; each field is an option of the command line. Raises on a bad one when made."""

    task: str
    target: str
    model: str | None = None
    revision: str | None = None
    output: Path = Path("bundle")
    tokenizer: str | None = None
    transform: str = AUTO
    precision: str = FP32
    calibration: Path | None = None
    calibration_method: str = MINMAX
    keep_float32: tuple[str, ...] = ()
    max_accuracy_drop: float | None = None
    min_accuracy: float | None = None
    evaluation: Path | None = None
    samples: Path | None = None
    atol: float | None = None
    rtol: float | None = None
    min_agreement: float | None = None
    quick: bool = False
    predict_positions: int | None = None
    sequence_length: int | None = None
    accept_drift: bool = False
    batch_size: AxisProfile = DEFAULT_BATCH
    trace: TraceOptions = DEFAULT_TRACE
    simplify: bool = True
    random_head: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise OutputError(f"unknown target {self.target!r}; expected one of {', '.join(TARGETS)}")
        check_flavour(self.tokenizer)
        if self.precision not in TARGET_PRECISIONS[self.target]:
            known = ", ".join(TARGET_PRECISIONS[self.target])
            having = ", ".join(target for target, found in TARGET_PRECISIONS.items() if self.precision in found) or "none"
            raise OptionError(
                f"--precision: expected {known} for the target {self.target}, found {self.precision!r}; targets for that: {having}"
            )
        if self.calibration_method not in METHODS:
            raise OptionError(f"--calibration-method: expected {', '.join(METHODS)}; found {self.calibration_method!r}")
        for option in ("calibration", "max_accuracy_drop"):
            if getattr(self, option) is not None and self.precision != INT8:
                name = f"--{option.replace('_', '-')}"
                raise OptionError(f"{name}: is for int8; found precision {self.precision}. Add --precision int8")
        if self.keep_float32 and self.precision not in HALVES:
            raise OptionError(f"--keep-float32: is for {' and '.join(HALVES)}; found precision {self.precision}; leave it out")
        Limits(min_accuracy=self.min_accuracy, max_accuracy_drop=self.max_accuracy_drop)
        tolerance_from_options(self.atol, self.rtol)
        check_min_agreement(self.min_agreement)
        if self.precision != FP32 and not self.simplify:
            raise OptionError(f"--no-simplify: {self.precision} is made from the simplified graph; leave it out")
        if self.transform not in TRANSFORM_NAMES:
            raise GraphError(f"unknown transform {self.transform!r}; expected one of {', '.join(TRANSFORM_NAMES)}")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An export whose inputs were checked: what will be done, with what, and what a user should know of it."""

    options: ExportOptions
    task: Task
    checkpoint: Checkpoint
    tokenizer: TokenizerChoice
    sequence_length: int
    trained_length: TrainedLength
    transform: TransformChoice
    ranges: Mapping[str, AxisProfile]
    library: Library | None
    samples: Texts
    tolerance: Tolerance | None
    calibration: Texts | None
    evaluation: LabelledData | None
    random_head: bool
    notes: tuple[str, ...]
    expected_bytes: Mapping[str, int]

    def stages(self) -> tuple[str, ...]:
        """Titles of the stages that this export has, in order."""
        left_out = {SIMPLIFY} if not self.options.simplify else set()
        left_out |= {BUILD} if self.library is None else set()
        left_out |= {CALIBRATE} if self.calibration is None else set()
        left_out |= {EVALUATE} if self.evaluation is None else set()
        return tuple(title for title in (READ, TRACE, SIMPLIFY, CALIBRATE, BUILD, PROVE, EVALUATE, WRITE) if title not in left_out)


def plan_from_options(options: ExportOptions) -> Plan:
    """Check everything that can be checked at once: task, head, vocabulary, length, output folder, the engine's library.

    Raises FNetError, FNetExportError or FNetRuntimeError, which say what to do.
    """
    task = task_named(options.task)
    if options.predict_positions is not None:
        task = task_at_positions(task, options.predict_positions)
    check_output(options.output, force=options.force)
    library = _library(options)
    checkpoint = checkpoint_from_name(options.model, revision=options.revision)
    config = checkpoint.config
    task = task_of_config(task, config)
    _check_token_types(task, checkpoint)
    _check_decides(options, task, config)
    random_head = head_is_drawn(checkpoint, task, random_head=options.random_head)
    trained = trained_length_from_checkpoint(checkpoint, options.sequence_length)
    if options.sequence_length is None or not options.accept_drift:
        trained.check(checkpoint.source.id)
    length = options.sequence_length or trained.length
    check_length(config, length)
    if (options.predict_positions or 0) > length:
        raise GraphError(f"predict positions: expected at most the {length} tokens there are, found {options.predict_positions}")
    choice = tokenizer_of_checkpoint(checkpoint, options.tokenizer)
    if choice.tokenizer.vocab_size > config.vocab_size or choice.tokenizer.pad_id != config.pad_token_id:
        raise CheckpointError(
            f"{choice.path}: {choice.tokenizer.vocab_size} pieces with <pad> at {choice.tokenizer.pad_id}; "
            f"{checkpoint.origin} says vocab_size {config.vocab_size}, pad_token_id {config.pad_token_id}: "
            "the two are of different models"
        )
    check_names(options.keep_float32, config, task)
    transform = choice_from_name(options.transform, target=options.target, sequence_length=length, config=config)
    notes = []
    if library is not None and library.substituted:
        notes.append(library.substituted)
    notes += [*choice.notes, *checkpoint.notes]
    if random_head:
        notes.append(note_of_random_head(task.name))
    notes += [note for note in (trained.contradiction, trained.caution(length)) if note is not None]
    if length != trained.length:
        notes.append(_accepted_drift(options, checkpoint, task, choice, trained, random_head=random_head))
    return Plan(
        options=options,
        task=task,
        checkpoint=checkpoint,
        tokenizer=choice,
        sequence_length=length,
        trained_length=trained,
        transform=transform,
        ranges={BATCH: options.batch_size} | ({CHOICES: CHOICES_PROFILE} if CHOICES in task.input_axes else {}),
        library=library,
        samples=texts_from_file(options.samples),
        tolerance=tolerance_from_options(options.atol, options.rtol),
        calibration=texts_from_file(options.calibration) if options.precision == INT8 else None,
        evaluation=_evaluation(options, task, config),
        random_head=random_head,
        notes=tuple(notes),
        expected_bytes=_expected_bytes(checkpoint, task, length, transform.name, options, choice),
    )


def _check_decides(options: ExportOptions, task: Task, config: FNetConfig) -> None:
    """Refuse --min-agreement where nothing is decided."""
    if options.min_agreement is not None and decision_of_task(task.name, config.problem_type, config.num_labels) is None:
        what = config.problem_type if task.name == "sequence-classification" else task.name
        raise OptionError(f"--min-agreement: {what} decides nothing that could agree; leave it out, parity.json has the errors")


def _check_token_types(task: Task, checkpoint: Checkpoint) -> None:
    """Refuse a task of two texts for a model that cannot tell them apart."""
    if task.paired and checkpoint.config.type_vocab_size < 2:
        raise TaskError(
            f"{checkpoint.source.id}: {task.name} takes two texts, and the tokens of the second have type 1; {checkpoint.origin} "
            f"says type_vocab_size {checkpoint.config.type_vocab_size}. Export a task of one text, or a model with two token types"
        )


def _accepted_drift(
    options: ExportOptions,
    checkpoint: Checkpoint,
    task: Task,
    choice: TokenizerChoice,
    trained: TrainedLength,
    *,
    random_head: bool,
) -> str:
    """Say what another length than the trained one does, measured on a few e-mails. Raises OptionError unless it is accepted."""
    assert options.sequence_length is not None
    line = line_of_length(
        checkpoint,
        task,
        choice.tokenizer,
        options.sequence_length,
        trained=trained,
        choices=CHOICES_PROFILE.opt,
        random_head=random_head,
    )
    if not options.accept_drift:
        raise OptionError(f"--sequence-length: {line}. Add --accept-drift to export at this length all the same")
    return line


def _evaluation(options: ExportOptions, task: Task, config: FNetConfig) -> LabelledData | None:
    """Read the labelled data of an export; where a limit needs some, the built-in e-mails fit the built-in classifier alone."""
    limit = "--min-accuracy" if options.min_accuracy is not None else "--max-accuracy-drop"
    limited = options.min_accuracy is not None or options.max_accuracy_drop is not None
    file = options.evaluation
    if file is None and not limited:
        return None
    if file is None and options.model is None and task.name == "sequence-classification":
        file = EMAILS
    if file is None:
        raise OptionError(f"{limit}: is held to labelled data of the task; add --evaluation FILE (docs/evaluate.md)")
    if not file.is_file():
        raise OptionError(f"--evaluation: {file} is no file; expected labelled data (docs/evaluate.md)")
    kind = kind_from_task(task.name, config.problem_type, config.num_labels)
    scoring = SCORINGS[kind]
    if limited and not scoring.limited:
        raise OptionError(
            f"{limit}: {kind} has no accuracy that a limit could speak of; leave it out, --evaluation reports the errors"
        )
    records = records_from_file(file, scoring.read, config.labels if task.labelled else ())
    return LabelledData(name=file.name, sha256=file_info(file).sha256, records=records)


def _library(options: ExportOptions) -> Library | None:
    """Import what makes the engine of a target. Raises EngineError, and PrecisionError where OpenVINO has no such floats here."""
    if options.target == "onnx":
        return None
    if options.target != OPENVINO:
        return library_for_target(options.target)
    library = openvino_library()
    runs = precision_on_cpu(options.precision)
    if runs != options.precision:
        raise PrecisionError(
            f"{options.precision}: OpenVINO would compute in {runs} on this CPU, which has no such floats; export on one that has, "
            "or with another --precision"
        )
    return library


def _expected_bytes(
    checkpoint: Checkpoint, task: Task, length: int, transform: str, options: ExportOptions, choice: TokenizerChoice
) -> dict[str, int]:
    """Sizes to expect, in bytes, by file: weights and DFT matrices count by their precision, the rest is small."""
    config, size = checkpoint.config, 2 if options.precision in HALVES else 4
    with torch.device("meta"):
        model = FNet(config, task, transform="fft", sequence_length=length)
    weights, layers = [*model.named_parameters()], layers_from_model(model)
    transforms = [TRANSFORMS[transform](length, config.hidden_size, torch.float32)] if transform in TRANSFORMS else []
    matrices = sum(matrix.numel() for made in transforms for matrix in made.buffers())
    axes = {SEQUENCE: GOLDEN_POSITIONS, VOCAB: config.vocab_size, LABELS: config.num_labels, CHOICES: CHOICES_PROFILE.opt}
    rows = len(GOLDEN_ROWS)
    golden = rows * 8 * len(task.inputs) * length * (CHOICES_PROFILE.opt if CHOICES in task.input_axes else 1)
    for output in task.outputs.values():
        count, kept = rows, axes | ({SEQUENCE: length} if output[-1] == SEQUENCE else {})
        for axis in output[1:]:
            count *= axis if isinstance(axis, int) else kept.get(axis, config.hidden_size)
        golden += 8 * count
    bytes_of = {name: 1 if options.precision == INT8 and is_quantised(name, layers) else size for name, _ in weights}
    graph = sum(weight.numel() * bytes_of[name] for name, weight in weights) + size * matrices
    beside = {MODEL: 100_000, MODEL_DATA: graph} if graph > EXTERNAL_DATA_ABOVE_BYTES else {MODEL: graph}
    sizes = beside | {choice.file: len(choice.data), CONFIG: len(config.to_json().encode()), GOLDEN: golden, TOKENIZER_CONFIG: 500}
    engine = {"onnx": {}, OPENVINO: {IR: 100_000, IR_DATA: graph}}.get(options.target, {ENGINE: graph})
    return sizes | engine | {PARITY: 15_000, PARITY_PAGE: 60_000, PARITY_JUNIT: 2_000, MANIFEST: 3_000}
