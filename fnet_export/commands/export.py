"""fnet-export, from a trained FNet to a verified bundle, on the command line.

Exit codes: 0 ok; 1 bad input; 2 usage; 3 parity or accuracy below the limit; 4 no engine could be built, or its library is missing.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from fnet_runtime.bundle.manifest import FP32, PARITY_PAGE, PRECISIONS, TARGETS, AxisProfile
from fnet_runtime.errors import FNetRuntimeError, InputError, SessionError
from rich.console import Console
from rich.filesize import decimal

from fnet_core.checkpoint.open import BUILT_IN_ID
from fnet_core.errors import FNetError
from fnet_core.tasks import TASKS
from fnet_export.base.errors import EngineError, FNetExportError, OptionError, ParityError, PrecisionError
from fnet_export.commands.convert import tokenizer_option
from fnet_export.commands.shared import console_of_result, fail, output_options, print_json, progress_shown
from fnet_export.evaluate.accuracy import check_records
from fnet_export.export.pipeline import Export, bundle_from_plan
from fnet_export.export.plan import DEFAULT_BATCH, ExportOptions, Plan, plan_from_options
from fnet_export.export.transform_choice import AUTO, TRANSFORM_NAMES
from fnet_export.graph.trace import DEFAULT_OPSET, MAX_OPSET, MIN_OPSET, TraceOptions
from fnet_export.parity.report.accuracy import table_from_evaluation
from fnet_export.parity.report.terminal import lines_from_report, table_from_headroom, table_from_report
from fnet_export.parity.report.wording import notes_of_flat_intervals
from fnet_export.precision.calibrate import METHODS, MINMAX

BAD_INPUT, USAGE, PARITY_FAILED, ENGINE_FAILED = 1, 2, 3, 4


def _profile(low: int, best: int, high: int) -> AxisProfile:
    try:
        return AxisProfile(min=low, opt=best, max=high)
    except InputError as error:
        raise click.BadParameter(str(error)) from error


def _tasks(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a task; TASKS and its aliases are more than a choice could hold."""
    return [name for name in TASKS if name.startswith(incomplete)]


@click.command(context_settings={"show_default": True})
@click.option("--task", required=True, metavar="TASK", shell_complete=_tasks, help=f"One of {', '.join(TASKS)}.")
@click.option("--target", required=True, type=click.Choice(TARGETS), help="What the bundle opens with.")
@click.option("--model", metavar="FOLDER|ID", help=f"A folder, flax file or hub id.  [default: the {BUILT_IN_ID} spam filter]")
@click.option("--revision", help="Branch, tag or commit of a hub id.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("bundle"), help="The folder to write.")
@tokenizer_option
@click.option("--transform", type=click.Choice(TRANSFORM_NAMES), default=AUTO, help="How the graph computes the Fourier mixing.")
@click.option("--precision", type=click.Choice(PRECISIONS), default=FP32, help="What the products are computed in.")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="int8: texts in .jsonl or one a line.  [default: the built-in e-mails]",
)
@click.option("--calibration-method", type=click.Choice(METHODS), default=MINMAX, help="int8: how ranges are chosen.")
@click.option(
    "--max-accuracy-drop",
    type=click.FloatRange(0, 100),
    metavar="POINTS",
    help="int8: keep layers in float32 until it loses no more.",
)
@click.option(
    "--min-accuracy",
    type=click.FloatRange(0, 100),
    metavar="POINTS",
    help="Exit 3 when the bundle's main metric on the labelled data is below, of 100.",
)
@click.option(
    "--evaluation",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Labelled data to score the bundle and the checkpoint on.  [default with a limit: the built-in e-mails, for the built-in "
    "model]",
)
@click.option(
    "--keep-float32",
    multiple=True,
    metavar="NODE",
    help="fp16, bf16: keep this node, module or layer in float32, as fnet-export bisect names it; may be given several times.",
)
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Texts to prove parity on, in .jsonl or one a line; 64 at most.  [default: the built-in e-mails]",
)
@click.option("--atol", type=float, metavar="X", help="Allow errors of X, and what --rtol adds, in place of the measured limits.")
@click.option("--rtol", type=float, metavar="X", help="Allow errors of X times an output's largest reference, added to --atol.")
@click.option(
    "--min-agreement", type=float, metavar="POINTS", help="Exit 3 when fewer decisions of the bundle are the reference's, of 100."
)
@click.option("--quick", is_flag=True, help="Prove parity on 16 inputs: the reference, torch and what is shipped alone.")
@click.option(
    "--predict-positions", type=click.IntRange(min=1), metavar="N", help="masked-lm: predict N tokens, given as an input, not all."
)
@click.option(
    "--sequence-length",
    type=click.IntRange(min=1),
    help="The padded length in tokens.  [default: as the checkpoint's files state]",
)
@click.option("--accept-drift", is_flag=True, help="Export at another length than the checkpoint's, which changes its outputs.")
@click.option(
    "--batch-size",
    nargs=3,
    type=click.IntRange(min=1),
    default=(DEFAULT_BATCH.min, DEFAULT_BATCH.opt, DEFAULT_BATCH.max),
    callback=lambda _context, _option, sizes: _profile(*sizes),
    metavar="MIN OPT MAX",
    help="Batch sizes that the engine takes, and the one to tune it for.",
)
@click.option("--opset", type=click.IntRange(MIN_OPSET, MAX_OPSET), default=DEFAULT_OPSET, help="ONNX operator set.")
@click.option("--no-simplify", is_flag=True, help="Keep the graph as traced.")
@click.option("--random-head", is_flag=True, help="Draw a head that the checkpoint lacks, instead of refusing.")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan and the expected sizes, and write nothing.")
@output_options
def export(
    task: str,
    target: str,
    model: str | None,
    revision: str | None,
    output: Path,
    tokenizer: str | None,
    transform: str,
    precision: str,
    calibration: Path | None,
    calibration_method: str,
    max_accuracy_drop: float | None,
    min_accuracy: float | None,
    evaluation: Path | None,
    keep_float32: tuple[str, ...],
    samples: Path | None,
    atol: float | None,
    rtol: float | None,
    min_agreement: float | None,
    quick: bool,
    predict_positions: int | None,
    sequence_length: int | None,
    accept_drift: bool,
    batch_size: AxisProfile,
    opset: int,
    no_simplify: bool,
    random_head: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Export one task of a trained FNet as a bundle: ONNX graph, engine, vocabulary, and the proof that its numbers hold."""
    console = console_of_result(as_json=as_json, quiet=quiet)
    try:
        options = ExportOptions(
            task=task,
            target=target,
            model=model,
            revision=revision,
            output=output,
            tokenizer=tokenizer,
            transform=transform,
            precision=precision,
            calibration=calibration,
            calibration_method=calibration_method,
            max_accuracy_drop=max_accuracy_drop,
            min_accuracy=min_accuracy,
            evaluation=evaluation,
            keep_float32=keep_float32,
            samples=samples,
            atol=atol,
            rtol=rtol,
            min_agreement=min_agreement,
            quick=quick,
            predict_positions=predict_positions,
            sequence_length=sequence_length,
            accept_drift=accept_drift,
            batch_size=batch_size,
            trace=TraceOptions(opset=opset),
            simplify=not no_simplify,
            random_head=random_head,
            force=force,
        )
        plan = plan_from_options(options)
        if dry_run:
            check_records(plan)
            _show_plan(plan, console, as_json=as_json)
            return
        with progress_shown(quiet=quiet) as progress:
            exported = bundle_from_plan(plan, progress)
    except ParityError as error:
        console.print(table_from_report(error.report))
        for line in lines_from_report(error.report):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        _show_lengths(error.values, console)
        fail(str(error), PARITY_FAILED, as_json=as_json, more={"parity": error.values})
    except OptionError as error:
        fail(str(error), USAGE, as_json=as_json)
    except (EngineError, PrecisionError, SessionError) as error:
        fail(str(error), ENGINE_FAILED, as_json=as_json)
    except (FNetError, FNetExportError, FNetRuntimeError) as error:
        fail(str(error), BAD_INPUT, as_json=as_json)
    _show(exported, console, as_json=as_json)


def _show(export: Export, console: Console, *, as_json: bool) -> None:
    if as_json:
        result: dict[str, Any] = {"bundle": str(export.folder)}
        result |= {"manifest": json.loads(export.manifest.to_json()), "parity": export.values}
        print_json(result)
        return
    console.print(table_from_report(export.report))
    _show_lengths(export.values, console)
    for line in lines_from_report(export.report):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if export.report.headroom is not None:
        console.print(table_from_headroom(export.report.headroom))
    size = sum(info.size_bytes for info in export.manifest.files.values())
    console.print(
        f"{export.folder}: {len(export.manifest.files) + 1} files, {decimal(size)}; the evidence: {export.folder / PARITY_PAGE}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _show_lengths(values: Mapping[str, Any], console: Console) -> None:
    """Say where the length comes from and what is assumed of it, and show the accuracy, which tells whether it is right."""
    trained, evaluation = values["trained_length"], values["evaluation"]
    lines = [f"sequence length {values['bundle']['sequence_length']}: {trained['reason']}"]
    lines += [] if trained["caution"] is None else [f"note: {trained['caution']}"]
    if evaluation is not None:
        console.print(table_from_evaluation(evaluation))
        lines += [*notes_of_flat_intervals(evaluation), *evaluation["findings"]]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _show_plan(plan: Plan, console: Console, *, as_json: bool) -> None:
    if as_json:
        values = {
            "task": plan.task.name,
            "model": plan.checkpoint.source.id,
            "output": str(plan.options.output),
            "stages": list(plan.stages()),
            "sequence_length": plan.sequence_length,
            "trained_length": plan.trained_length.values(plan.sequence_length),
            "tokenizer": {"flavour": plan.tokenizer.flavour, "reason": plan.tokenizer.reason},
            "transform": {"name": plan.transform.name, "reason": plan.transform.reason},
            "notes": list(plan.notes),
            "expected_bytes": dict(plan.expected_bytes),
        }
        print_json(values)
        return
    lines = [f"{plan.checkpoint.source.id} as {plan.task.name} for {plan.options.target}: {', then '.join(plan.stages())}"]
    lines += [f"sequence length {plan.sequence_length}: {plan.trained_length.reason(plan.sequence_length)}"]
    lines += [f"tokenizer {plan.tokenizer.flavour}: {plan.tokenizer.reason}"]
    lines += [f"transform {plan.transform.name}: {plan.transform.reason}", *(f"note: {note}" for note in plan.notes)]
    lines += [f"{plan.options.output / name}  about {decimal(size)}" for name, size in plan.expected_bytes.items()]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
