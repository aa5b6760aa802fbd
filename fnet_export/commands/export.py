"""fnet-export, from a trained FNet to a verified bundle, on the command line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from fnet_runtime.bundle.manifest import (
    FP8,
    FP32,
    HARDWARE_COMPATIBILITIES,
    MODEL,
    NO_COMPATIBILITY,
    PARITY_PAGE,
    PRECISIONS,
    TARGETS,
    AxisProfile,
)
from fnet_runtime.command.exit_codes import CHECK_FAILED, list_of_exit_codes
from fnet_runtime.engine.options import MAX_OPTIMIZATION_LEVEL, BuildOptions
from fnet_runtime.engine.products import LEAST_COMPUTE_CAPABILITIES, RTX_COMPUTE_CAPABILITIES
from fnet_runtime.errors import InputError
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE, PADDINGS
from rich.console import Console
from rich.filesize import decimal

from fnet_core.checkpoint.open import BUILT_IN_ID
from fnet_core.tasks import TASKS
from fnet_export.base.errors import OptionError
from fnet_export.commands.options import (
    FILE,
    POINTS,
    allow_partial_option,
    atol_option,
    column_option,
    group,
    min_accuracy_option,
    output_options,
    provider_option,
    revision_option,
    rtol_option,
    samples_option,
    tokenizer_option,
)
from fnet_export.commands.shared import console_of_result, fail, print_json, print_lines, progress_shown
from fnet_export.graph.trace import DEFAULT_OPSET, MAX_OPSET, MIN_OPSET
from fnet_export.parity.report.accuracy import table_from_evaluation
from fnet_export.parity.report.evidence import ParityError, values_from_evidence
from fnet_export.parity.report.terminal import lines_from_evidence, table_from_headroom, table_from_report
from fnet_export.parity.report.wording import notes_of_flat_intervals
from fnet_export.parity.tolerance import tolerance_from_options
from fnet_export.plan.options import (
    DEFAULT_BATCH,
    CalibrationOptions,
    EngineOptions,
    ExportOptions,
    GraphOptions,
    ModelOptions,
    OutputOptions,
    ProofOptions,
)
from fnet_export.plan.pipeline import Export, bundle_from_plan, check_labelled_data
from fnet_export.plan.plan import Plan, plan_from_options
from fnet_export.plan.task_choice import AUTO_TASK
from fnet_export.plan.transform_choice import AUTO, TRANSFORM_NAMES
from fnet_export.precision.calibrate import METHODS, MINMAX


def _profiles(_context: click.Context, _option: click.Parameter, each: tuple[tuple[int, int, int], ...]) -> tuple[AxisProfile, ...]:
    try:
        return tuple(AxisProfile(min=least, opt=tuned, max=most) for least, tuned, most in each)
    except InputError as error:
        raise click.BadParameter(str(error)) from error


def _tasks(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a task; TASKS and its aliases are more than a choice could hold."""
    return [name for name in (AUTO_TASK, *TASKS) if name.startswith(incomplete)]


def _graph_options(no_simplify: bool, **values: Any) -> GraphOptions:
    return GraphOptions(simplify=not no_simplify, **values)


def _calibration_options(calibration: Path | None, calibration_method: str, max_accuracy_drop: float | None) -> CalibrationOptions:
    return CalibrationOptions(texts=calibration, method=calibration_method, max_accuracy_drop=max_accuracy_drop)


def _proof_options(samples: Path | None, atol: float | None, rtol: float | None, **values: Any) -> ProofOptions:
    return ProofOptions(texts=samples, tolerance=tolerance_from_options(atol, rtol), **values)


def _engine_options(
    target: str, batch_profiles: tuple[AxisProfile, ...], length_profiles: tuple[AxisProfile, ...], **build: Any
) -> EngineOptions:
    try:
        options = BuildOptions(**build)
    except InputError as error:
        raise OptionError(str(error)) from error
    return EngineOptions(target=target, batch_profiles=batch_profiles, length_profiles=length_profiles, build=options)


task_option = click.option(
    "--task",
    default=AUTO_TASK,
    metavar="TASK",
    shell_complete=_tasks,
    help=f"One of {', '.join(TASKS)}, or {AUTO_TASK}: the task that architectures in the checkpoint's config.json names.",
)
model_option = click.option(
    "--model",
    "checkpoint",
    metavar="FOLDER|ID",
    help=f"A folder, a flax file or a hub id.  [default: {BUILT_IN_ID}, the built-in spam filter]",
)
sequence_length_option = click.option(
    "--sequence-length",
    type=click.IntRange(min=1),
    help="The padded length in tokens, or the longest with --padding none.  [default: as the checkpoint's files state]",
)
accept_drift_option = click.option(
    "--accept-drift",
    is_flag=True,
    help="Export with another length or padding than the checkpoint's, which changes outputs.",
)
calibration_option = click.option(
    "--calibration",
    type=FILE,
    metavar="FILE",
    help="int8, fp8: texts, one per line or JSON Lines.  [default: the built-in e-mails]",
)
calibration_method_option = click.option(
    "--calibration-method", type=click.Choice(METHODS), default=MINMAX, help="int8, fp8: how ranges are chosen."
)
quick_option = click.option(
    "--quick", is_flag=True, help="Prove parity on 16 inputs, and run only the reference, torch and the bundle."
)

model_options = group(
    "model",
    ModelOptions,
    task_option,
    model_option,
    revision_option,
    tokenizer_option,
    sequence_length_option,
    click.option(
        "--padding",
        type=click.Choice(PADDINGS),
        help=f"{MAX_LENGTH} pads every text to one length, {NONE} runs each text at its own.  "
        f"[default: as the checkpoint's files state, else {MAX_LENGTH}]",
    ),
    click.option(
        "--pad-to-multiple-of",
        type=click.IntRange(min=1),
        default=1,
        metavar="N",
        help="--padding none: pad each text to a multiple of N tokens.",
    ),
    accept_drift_option,
    click.option(
        "--predict-positions",
        type=click.IntRange(min=1),
        metavar="N",
        help="masked-lm: predict N tokens, whose positions are an input.  [default: all tokens]",
    ),
    click.option("--random-head", is_flag=True, help="Draw a head that the checkpoint lacks, instead of refusing."),
)
graph_options = group(
    "graph",
    _graph_options,
    click.option("--transform", type=click.Choice(TRANSFORM_NAMES), default=AUTO, help="How to compute the Fourier mixing."),
    click.option("--precision", type=click.Choice(PRECISIONS), default=FP32, help="The precision of the matrix products."),
    click.option(
        "--keep-float32",
        multiple=True,
        metavar="NODE",
        help="fp16, bf16: keep this node, module or layer in float32, as fnet-export bisect names it; may be given several times.",
    ),
    click.option("--opset", type=click.IntRange(MIN_OPSET, MAX_OPSET), default=DEFAULT_OPSET, help="ONNX operator set."),
    click.option("--no-simplify", is_flag=True, help="Keep the graph as traced."),
)
calibration_options = group(
    "calibration",
    _calibration_options,
    calibration_option,
    calibration_method_option,
    click.option(
        "--max-accuracy-drop",
        type=POINTS,
        metavar="POINTS",
        help="int8, fp8: keep layers in float32 until at most POINTS of accuracy, of 100, are lost.",
    ),
)
proof_options = group(
    "proof",
    _proof_options,
    samples_option("64 at most"),
    atol_option,
    rtol_option,
    click.option(
        "--min-agreement",
        type=POINTS,
        metavar="POINTS",
        help="Exit 3 if less than POINTS % of the decisions agree with the reference.",
    ),
    quick_option,
    click.option("--evaluation", type=FILE, metavar="FILE", help="Labelled data to score the bundle and the checkpoint on."),
    column_option,
    min_accuracy_option,
    provider_option,
    allow_partial_option,
)
engine_options = group(
    "engine",
    _engine_options,
    click.option("--target", required=True, type=click.Choice(TARGETS), help="What opens the bundle."),
    click.option(
        "--batch-profile",
        "batch_profiles",
        nargs=3,
        type=click.IntRange(min=1),
        multiple=True,
        callback=_profiles,
        metavar="MIN OPT MAX",
        help="TensorRT: batch sizes to optimise for; may be given several times.  "
        f"[default: {DEFAULT_BATCH.min} {DEFAULT_BATCH.opt} {DEFAULT_BATCH.max}]",
    ),
    click.option(
        "--length-profile",
        "length_profiles",
        nargs=3,
        type=click.IntRange(min=1),
        multiple=True,
        callback=_profiles,
        metavar="MIN OPT MAX",
        help="--padding none, TensorRT: lengths in tokens to optimise for; may be given several times.  "
        "[default: one range for all lengths]",
    ),
    click.option(
        "--workspace-mib",
        type=click.IntRange(min=1),
        metavar="N",
        help="TensorRT: memory that one operation may use for intermediate values.  [default: all]",
    ),
    click.option(
        "--optimization-level",
        type=click.IntRange(0, MAX_OPTIMIZATION_LEVEL),
        help="TensorRT: how long the build looks for a fast engine.  [default: the library's]",
    ),
    click.option(
        "--timing-cache",
        type=FILE,
        metavar="FILE",
        help="TensorRT: measured times, which the build reads and completes. A build with the same times is the same and faster.",
    ),
    click.option("--version-compatible", is_flag=True, help="TensorRT: let newer versions of TensorRT open the engine."),
    click.option(
        "--hardware-compatibility",
        type=click.Choice(HARDWARE_COMPATIBILITIES),
        default=NO_COMPATIBILITY,
        help="TensorRT: let other GPUs than the one that builds the engine run it.",
    ),
    click.option(
        "--compute-capability",
        "compute_capabilities",
        multiple=True,
        metavar="X.Y",
        help="TensorRT-RTX: a GPU to build for, such as 8.6; may be given several times.  "
        f"[default: {', '.join(RTX_COMPUTE_CAPABILITIES)}; for fp8 from {LEAST_COMPUTE_CAPABILITIES[FP8]} on]",
    ),
    click.option(
        "--weight-stripped",
        is_flag=True,
        help=f"TensorRT: build an engine without weights, which takes them from {MODEL} when it is opened.",
    ),
)
folder_options = group(
    "output",
    OutputOptions,
    click.option("--output", "folder", type=FILE, default=Path("bundle"), help="The folder to write."),
    click.option("--force", is_flag=True, help="Replace an existing bundle."),
)

EXIT_CODES = {CHECK_FAILED: "parity, agreement or accuracy failed"}


@click.command(context_settings={"show_default": True}, epilog=list_of_exit_codes(EXIT_CODES))
@model_options
@engine_options
@graph_options
@calibration_options
@proof_options
@folder_options
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan and the expected sizes; run and write nothing.")
@output_options
def export(*, dry_run: bool, as_json: bool, quiet: bool, **parts: Any) -> None:
    """Export one task of a trained FNet as a bundle: ONNX graph, engine, vocabulary, and the proof that its numbers hold."""
    console = console_of_result(as_json=as_json, quiet=quiet)
    plan = plan_from_options(ExportOptions(**parts))
    if dry_run:
        check_labelled_data(plan)
        _show_plan(plan, console, as_json=as_json)
        return
    try:
        with progress_shown(quiet=quiet) as progress:
            exported = bundle_from_plan(plan, progress)
    except ParityError as error:
        values = values_from_evidence(error.evidence)
        console.print(table_from_report(error.evidence.parity))
        print_lines(console, lines_from_evidence(error.evidence))
        _show_lengths(values, console)
        fail(str(error), error.exit_code, as_json=as_json, more={"parity": values})
    _show(exported, console, as_json=as_json)


def _show(export: Export, console: Console, *, as_json: bool) -> None:
    if as_json:
        result: dict[str, Any] = {"bundle": str(export.folder)}
        result |= {"manifest": json.loads(export.manifest.to_json()), "parity": export.values}
        print_json(result)
        return
    console.print(table_from_report(export.evidence.parity))
    _show_lengths(export.values, console)
    print_lines(console, lines_from_evidence(export.evidence))
    if export.evidence.headroom is not None:
        console.print(table_from_headroom(export.evidence.headroom))
    files = export.manifest.files.values()
    size = decimal(sum(info.size_bytes for info in files))
    print_lines(console, [f"{export.folder}: {len(files) + 1} files, {size}; the evidence: {export.folder / PARITY_PAGE}"])


def _show_lengths(values: Mapping[str, Any], console: Console) -> None:
    """Print where the length comes from, what is assumed of it, and the accuracy, which shows whether it is right."""
    trained, evaluation = values["trained_length"], values["evaluation"]
    lines = [f"sequence length {values['bundle']['sequence_length']}: {trained['reason']}"]
    lines += [] if trained["caution"] is None else [f"note: {trained['caution']}"]
    if evaluation is not None:
        console.print(table_from_evaluation(evaluation))
        lines += [*notes_of_flat_intervals(evaluation), *evaluation["findings"]]
    print_lines(console, lines)


def _show_plan(plan: Plan, console: Console, *, as_json: bool) -> None:
    trained, length, folder = plan.trained, plan.trained.sequence_length, plan.options.output.folder
    if as_json:
        values = {
            "task": trained.task.name,
            "model": trained.checkpoint.source.id,
            "output": str(folder),
            "stages": list(plan.stages()),
            "sequence_length": length,
            "padding": trained.padding.contract,
            "trained_length": plan.trained_length.values(trained.padding),
            "tokenizer": {"flavour": plan.tokenizer.flavour, "reason": plan.tokenizer.reason},
            "transform": {"name": plan.transform.name, "reason": plan.transform.reason},
            "notes": list(plan.notes),
            "measurements": list(plan.measurements),
            "expected_bytes": dict(plan.expected_bytes),
        }
        print_json(values)
        return
    lines = [
        f"{trained.checkpoint.source.id} as {trained.task.name} for {plan.options.engine.target}: {', then '.join(plan.stages())}"
    ]
    lines += [f"sequence length {length}: {plan.trained_length.reason(trained.padding)}"]
    lines += [f"tokenizer {plan.tokenizer.flavour}: {plan.tokenizer.reason}"]
    lines += [f"transform {plan.transform.name}: {plan.transform.reason}", *(f"note: {note}" for note in plan.notes)]
    lines += [f"to be measured: {measurement}" for measurement in plan.measurements]
    lines += [f"{folder / name}  about {decimal(size)}" for name, size in plan.expected_bytes.items()]
    print_lines(console, lines)
