"""The plan of an export: everything that can be checked and read before work begins. A plan runs no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fnet_runtime.bundle.manifest import CALIBRATED, INT8, OPENVINO, SEQUENCE, AxisProfile, TensorInfo, file_info
from fnet_runtime.engine.options import BuildOptions
from fnet_runtime.sessions.openvino_session import NO_VNNI, precision_on_cpu
from fnet_runtime.sessions.processor import saturates_int8
from fnet_runtime.sessions.providers import check_provider, provider_from_name
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE, PADDINGS, Padding

from fnet_core.checkpoint.open import Checkpoint, checkpoint_from_name, head_is_drawn
from fnet_core.config import FOURIER, SIZED_MIXINGS, FNetConfig
from fnet_core.errors import CheckpointError, TaskError
from fnet_core.tasks import BATCH, CHOICES, Task, task_at_positions, task_of_config
from fnet_export.base.errors import OptionError, PrecisionError
from fnet_export.bundle.folder import check_output
from fnet_export.engine.library import Library
from fnet_export.engine.openvino import openvino_library
from fnet_export.engine.tensorrt import build_of_precision, check_build_options, library_for_target
from fnet_export.evaluation.decisions import decision_of_task
from fnet_export.evaluation.labelled import LabelledData, records_from_file
from fnet_export.evaluation.padding import DRIFT_TEXTS, check_length
from fnet_export.evaluation.scoring import SCORINGS, kind_from_task
from fnet_export.graph.lower import check_any_length
from fnet_export.graph.tensors import tensors_from_task
from fnet_export.graph.trained import TrainedModel
from fnet_export.parity.report.wording import note_of_random_head
from fnet_export.plan.options import DEFAULT_BATCH, EngineOptions, ExportOptions, GraphOptions, ModelOptions, ProofOptions
from fnet_export.plan.sizes import bytes_from_trained
from fnet_export.plan.task_choice import task_from_name
from fnet_export.plan.transform_choice import AUTO, CANDIDATES, FOLDED, MEASURE, TransformChoice, choice_from_name
from fnet_export.precision.steps import check_names
from fnet_export.texts.emails import EMAILS
from fnet_export.texts.text_files import Texts, texts_from_file
from fnet_export.texts.tokenizer.choice import TokenizerChoice, tokenizer_of_checkpoint
from fnet_export.texts.tokenizer.trained_length import TrainedLength, trained_length_from_checkpoint

CHOICES_PROFILE = AxisProfile(min=1, opt=1, max=8)
"""Choices that an engine takes in one row. The runtimes run each choice as a row of its own."""
TYPICAL_LENGTH = 128
"""Tokens that an engine is tuned for, unless --length-profile says otherwise."""
READ, MEASURES, TRACE, SIMPLIFY, CALIBRATE, BUILD, PROVE, EVALUATE, WRITE = (
    "read the checkpoint",
    "measure what is asked for",
    "trace to ONNX",
    "simplify",
    "calibrate",
    "build the engine",
    "prove parity",
    "evaluate labelled data",
    "write the bundle",
)
"""Titles of the stages."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An export whose inputs were checked: what will be done, with what, and what a user should know of it.

    The name of `transform` is MEASURE until the export has measured which transform is the fastest. `padding_is_measured` says that
    labelled data decide how texts are padded, because neither a file nor the user does. `measurements` says what the
    export measures before it traces the model. `build` has the options of the builder, for GPUs that multiply in the precision.
    """

    options: ExportOptions
    trained: TrainedModel
    trained_length: TrainedLength
    tokenizer: TokenizerChoice
    transform: TransformChoice
    profiles: tuple[Mapping[str, AxisProfile], ...]
    library: Library | None
    build: BuildOptions
    texts: Texts
    calibration: Texts | None
    evaluation: LabelledData | None
    notes: tuple[str, ...]
    padding_is_measured: bool
    measurements: tuple[str, ...]
    expected_bytes: Mapping[str, int]

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """Return the inputs of the graph."""
        return tensors_from_task(self.trained.task, self.trained.config, self.trained.padding)[0]

    @property
    def drifts(self) -> bool:
        """Return whether the bundle does not pad as training did, as far as files state it."""
        return _drifts(self.trained.padding, self.trained_length)

    def stages(self) -> tuple[str, ...]:
        """Return the titles of the stages that this export has, in order."""
        left_out = {
            MEASURES: not self.measurements,
            SIMPLIFY: not self.options.graph.simplify,
            BUILD: self.library is None,
            CALIBRATE: self.calibration is None,
            EVALUATE: self.evaluation is None,
        }
        every = (READ, MEASURES, TRACE, SIMPLIFY, CALIBRATE, BUILD, PROVE, EVALUATE, WRITE)
        return tuple(title for title in every if not left_out.get(title, False))


def plan_from_options(options: ExportOptions) -> Plan:
    """Check everything that can be checked without running a model: task, head, vocabulary, length, output folder, library.

    Raises FNetError, FNetExportError or FNetRuntimeError, which say what to do.
    """
    asked, precision, target = options.model, options.graph.precision, options.engine.target
    check_output(options.output.folder, force=options.output.force)
    library, build = _library(options.engine, precision)
    check_provider(provider_from_name(options.proof.provider))
    checkpoint = checkpoint_from_name(asked.checkpoint, revision=asked.revision)
    config = checkpoint.config
    choice = task_from_name(asked.task, checkpoint)
    task = task_of_config(choice.task, config)
    if asked.predict_positions is not None:
        task = task_at_positions(task, asked.predict_positions)
    _check_token_types(task, checkpoint)
    _check_decides(options.proof, task, config)
    random_head = head_is_drawn(checkpoint, task, random_head=asked.random_head)
    trained_length = trained_length_from_checkpoint(checkpoint, asked.sequence_length)
    evaluation = _evaluation(options, task, config)
    trained_length = replace(trained_length, checkable=task.name in SCORINGS and evaluation is None)
    padding_is_measured = evaluation is not None and _padding_is_open(asked, config, trained_length)
    if padding_is_measured:
        _check_open(asked, options.graph, options.engine)
    padding = _padding(asked, checkpoint, trained_length)
    tokenizer = tokenizer_of_checkpoint(checkpoint, asked.tokenizer)
    _check_vocabulary(tokenizer, checkpoint)
    check_names(options.graph.keep_float32, config, task)
    transform = choice_from_name(options.graph.transform, target=target, padding=padding, config=config)
    trained = TrainedModel(checkpoint=checkpoint, task=task, padding=padding, random_head=random_head)
    notes = [library.substituted] if library is not None and library.substituted else []
    notes += [choice.note] if choice.note is not None else []
    notes += [*tokenizer.notes, *checkpoint.notes, *([note_of_random_head(task.name)] if random_head else [])]
    notes += [note for note in (trained_length.contradiction, trained_length.caution(padding)) if note is not None]
    return Plan(
        options=options,
        trained=trained,
        trained_length=trained_length,
        tokenizer=tokenizer,
        transform=transform,
        profiles=_profiles(options.engine, task, padding),
        library=library,
        build=build,
        texts=texts_from_file(options.proof.texts),
        calibration=texts_from_file(options.calibration.texts) if precision in CALIBRATED else None,
        evaluation=evaluation,
        notes=tuple(notes),
        padding_is_measured=padding_is_measured,
        measurements=tuple(_measurements(trained, trained_length, transform, evaluation if padding_is_measured else None)),
        expected_bytes=bytes_from_trained(
            trained, tokenizer, "dft" if transform.name == MEASURE else transform.name, target=target, precision=precision
        ),
    )


def _padding(asked: ModelOptions, checkpoint: Checkpoint, trained: TrainedLength) -> Padding:
    """Decide how texts are padded, and refuse another contract or length than the checkpoint's that was not accepted."""
    config = checkpoint.config
    if asked.sequence_length is None or not asked.accept_drift:
        trained.check(checkpoint.source.id)
    length = asked.sequence_length or trained.length
    check_length(config, length)
    if (asked.predict_positions or 0) > length:
        raise OptionError(f"--predict-positions: expected at most the {length} tokens of a text, found {asked.predict_positions}")
    contract = asked.padding or trained.contract or MAX_LENGTH
    if contract == NONE:
        check_any_length(config, length)
    if trained.contract is not None and contract != trained.contract and not asked.accept_drift:
        did = "ran each text at its own length" if trained.contract == NONE else f"padded every text to {trained.length} tokens"
        raise OptionError(
            f"--padding: expected {trained.contract}, because training {did} ({trained.contract_source}); found {contract}. FNet "
            "reads the padding, so another padding changes the outputs. Leave the option out, or add --accept-drift: the export "
            "then measures the change"
        )
    if contract == MAX_LENGTH and length != trained.length and not asked.accept_drift:
        raise OptionError(
            f"--sequence-length: expected {trained.length}, the length that the checkpoint was trained at ({trained.source}); "
            f"found {length}. FNet reads the padding, so another length changes the outputs. Leave the option out, or add "
            "--accept-drift: the export then measures the change"
        )
    multiple = asked.pad_to_multiple_of
    if contract == MAX_LENGTH and multiple != 1:
        raise OptionError(f"--pad-to-multiple-of: is for --padding none; every text is padded to {length} tokens. Leave it out")
    if length % multiple:
        shorter = f", or add --sequence-length {length // multiple * multiple}" if length >= multiple else ""
        raise OptionError(
            f"--pad-to-multiple-of: expected a number that divides the longest length, {length} tokens; found {multiple}. Choose "
            f"another{shorter}"
        )
    return Padding(length, contract, multiple)


def _check_open(asked: ModelOptions, graph: GraphOptions, engine: EngineOptions) -> None:
    """Refuse options of one padding where labelled data have to decide which padding it is."""
    given = {
        "--pad-to-multiple-of": asked.pad_to_multiple_of != 1,
        "--length-profile": bool(engine.length_profiles),
        "--transform": graph.transform not in (AUTO, FOLDED),
    }
    for option, is_given in given.items():
        if is_given:
            raise OptionError(
                f"{option}: depends on the padding, which --evaluation would decide. Choose --padding {MAX_LENGTH} or --padding "
                f"{NONE}, or leave {option} out"
            )


def _profiles(engine: EngineOptions, task: Task, padding: Padding) -> tuple[Mapping[str, AxisProfile], ...]:
    """Return the optimisation profiles of an engine: every range of batches with every range of lengths. Raises OptionError."""
    choices = {CHOICES: CHOICES_PROFILE} if CHOICES in task.input_axes else {}
    lengths = [{SEQUENCE: profile} for profile in _length_profiles(engine, padding)] or [{}]
    batches = sorted(engine.batch_profiles or (DEFAULT_BATCH,), key=_narrowest_first)
    _check_hold("--batch-profile", batches, min(profile.min for profile in batches), batches[-1].max, "batches")
    return tuple({BATCH: batch, **choices, **length} for length in lengths for batch in batches)


def _narrowest_first(profile: AxisProfile) -> tuple[int, int]:
    """Sort ranges so that of several which hold a length, the narrowest comes first: a runtime takes the first."""
    return profile.max, -profile.min


def _check_hold(option: str, profiles: Sequence[AxisProfile], shortest: int, longest: int, unit: str, *, step: int = 1) -> None:
    """Raise OptionError for ranges that leave a length of an axis out, which nothing could answer, or for a range given twice.

    The lengths are `shortest`, every `step` after it, and `longest`.
    """
    if len(set(profiles)) != len(profiles):
        found = ", ".join(f"{profile.min} {profile.opt} {profile.max}" for profile in profiles)
        raise OptionError(f"{option}: expected each range once, found {found}")
    length = shortest
    while length <= longest:
        reach = max((profile.max for profile in profiles if profile.min <= length <= profile.max), default=None)
        if reach is None:
            raise OptionError(
                f"{option}: expected ranges that hold all {unit} from {shortest} to {longest}; no range holds {length}. "
                "Widen a range, or add another"
            )
        length = shortest + step * ((reach - shortest) // step + 1)


def _length_profiles(engine: EngineOptions, padding: Padding) -> tuple[AxisProfile, ...]:
    """Return the ranges of lengths that a TensorRT engine is built for, shortest first; none where texts have one length."""
    if padding.contract == MAX_LENGTH or engine.target in ("onnx", OPENVINO):
        if engine.length_profiles:
            raise OptionError(
                f"--length-profile: is for --padding none; all texts are padded to {padding.length} tokens. Leave it out"
            )
        return ()
    shortest, step = padding.padded(1), padding.multiple_of
    if not engine.length_profiles:
        typical = padding.padded(min(TYPICAL_LENGTH, padding.length))
        return (AxisProfile(min=shortest, opt=typical, max=padding.length),)
    profiles = tuple(sorted(engine.length_profiles, key=_narrowest_first))
    for profile in profiles:
        if profile.max > padding.length:
            raise OptionError(
                f"--length-profile: expected at most the longest length, {padding.length} tokens; found {profile.max}"
            )
    _check_hold("--length-profile", profiles, shortest, padding.length, "lengths", step=step)
    return profiles


def _drifts(padding: Padding, trained: TrainedLength) -> bool:
    if padding.contract == NONE:
        return trained.contract == MAX_LENGTH
    return trained.contract == NONE or padding.length != trained.length


def _padding_is_open(asked: ModelOptions, config: FNetConfig, trained: TrainedLength) -> bool:
    """Return whether neither the user nor a file says how texts are padded, and a model takes both paddings."""
    both = FOURIER in config.mixings and not set(SIZED_MIXINGS) & set(config.mixings)
    return both and asked.padding is None and trained.contract is None


def _measurements(
    trained: TrainedModel, trained_length: TrainedLength, transform: TransformChoice, for_padding: LabelledData | None
) -> list[str]:
    """Say what an export measures before it traces the model. `for_padding` are the data that decide how texts are padded."""
    measurements = []
    if for_padding is not None:
        measurements.append(f"which padding the checkpoint answers {for_padding.name} better with: {' or '.join(PADDINGS)}")
    if _drifts(trained.padding, trained_length):
        one, other = (
            "texts at their own length" if each.contract == NONE else f"{each.length} tokens"
            for each in (trained.padding, trained_length.padding)
        )
        measurements.append(f"what {one} instead of {other} change, on {DRIFT_TEXTS} built-in e-mails")
    if transform.name == MEASURE:
        measurements.append(f"how fast the transforms {', '.join(CANDIDATES)} are in ONNX Runtime on this host")
    return measurements


def _check_vocabulary(tokenizer: TokenizerChoice, checkpoint: Checkpoint) -> None:
    """Refuse a tokenizer of another model."""
    config = checkpoint.config
    if tokenizer.tokenizer.vocab_size > config.vocab_size or tokenizer.tokenizer.pad_id != config.pad_token_id:
        raise CheckpointError(
            f"{tokenizer.path}: has {tokenizer.tokenizer.vocab_size} pieces with <pad> at {tokenizer.tokenizer.pad_id}; expected "
            f"at most {config.vocab_size} pieces with <pad> at {config.pad_token_id}, as {checkpoint.origin} says. The two files "
            "belong to different models; use files of one model"
        )


def _check_decides(proof: ProofOptions, task: Task, config: FNetConfig) -> None:
    """Refuse --min-agreement for a task without decisions."""
    if proof.min_agreement is not None and decision_of_task(task.name, config.problem_type, config.num_labels) is None:
        what = config.problem_type if task.name == "sequence-classification" else task.name
        raise OptionError(f"--min-agreement: {what} decides nothing that could agree; leave it out, parity.json has the errors")


def _check_token_types(task: Task, checkpoint: Checkpoint) -> None:
    """Refuse a task of two texts for a model that cannot distinguish them."""
    if task.paired and checkpoint.config.type_vocab_size < 2:
        raise TaskError(
            f"{checkpoint.source.id}: {task.name} takes two texts, and the tokens of the second have type 1; {checkpoint.origin} "
            f"says type_vocab_size {checkpoint.config.type_vocab_size}. Export a task of one text, or a model with two token types"
        )


def _evaluation(options: ExportOptions, task: Task, config: FNetConfig) -> LabelledData | None:
    """Read the labelled data of an export; if a limit needs data, the built-in e-mails serve the built-in classifier."""
    limit = "--min-accuracy" if options.proof.min_accuracy is not None else "--max-accuracy-drop"
    limited = options.proof.min_accuracy is not None or options.calibration.max_accuracy_drop is not None
    file = options.proof.evaluation
    if file is None and not limited:
        return None
    if file is None and options.model.checkpoint is None and task.name == "sequence-classification":
        file = EMAILS
    if file is None:
        raise OptionError(f"{limit}: is measured on labelled data of the task; add --evaluation FILE (docs/evaluate.md)")
    kind = kind_from_task(task.name, config.problem_type, config.num_labels)
    scoring = SCORINGS[kind]
    if limited and not scoring.limited:
        raise OptionError(f"{limit}: {kind} has no accuracy that could have a limit; leave it out, --evaluation reports the errors")
    records = records_from_file(file, scoring.read, config.labels if task.labelled else (), columns=options.proof.columns)
    return LabelledData(name=file.name, sha256=file_info(file).sha256, records=records)


def _library(engine: EngineOptions, precision: str) -> tuple[Library | None, BuildOptions]:
    """Import what makes the engine of a target, and choose the GPUs that it is for.

    Raises EngineError, OptionError for build options that the library or the precision lacks, and PrecisionError where this CPU or
    this GPU lacks the precision.
    """
    if engine.target == "onnx":
        return None, engine.build
    if engine.target != OPENVINO:
        tensorrt = library_for_target(engine.target)
        check_build_options(engine.build, tensorrt)
        return tensorrt, build_of_precision(engine.build, precision, tensorrt)
    library = openvino_library()
    if precision == INT8 and saturates_int8():
        raise PrecisionError(f"--precision int8: {NO_VNNI}. Export with another --precision, or on a CPU with VNNI")
    runs = precision_on_cpu(precision)
    if runs != precision:
        raise PrecisionError(
            f"{precision}: OpenVINO would compute in {runs} on this CPU, which lacks {precision}; export on a CPU that has it, or "
            "with another --precision"
        )
    return library, engine.build
