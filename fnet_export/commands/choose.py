"""fnet-export choose, on the command line; docs/choose.md."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from fnet_runtime.bundle.manifest import PRECISIONS, TARGETS
from fnet_runtime.command.exit_codes import CHECK_FAILED, list_of_exit_codes
from fnet_runtime.sessions.runtimes import MAX_THREADS
from fnet_runtime.tokenizer.encoding import PADDINGS
from rich.console import Console

from fnet_export.benchmark.bench import DEFAULT_ROUNDS, MIN_ROUNDS
from fnet_export.commands.export import (
    accept_drift_option,
    calibration_method_option,
    calibration_option,
    folder_options,
    model_option,
    quick_option,
    sequence_length_option,
    task_option,
)
from fnet_export.commands.options import FILE, POINTS, column_option, group, output_options, revision_option, tokenizer_option
from fnet_export.commands.shared import console_of_result, print_json, print_lines, progress_shown
from fnet_export.plan.options import CalibrationOptions, ModelOptions, ProofOptions
from fnet_export.plan.selection.measure import selection_from_options
from fnet_export.plan.selection.options import CandidateOptions, SelectionLimits, SelectionOptions, TimingOptions
from fnet_export.plan.selection.report import misses_of_selection, notes_from_selection, table_from_selection
from fnet_export.plan.selection.results import JSON, PAGE
from fnet_export.plan.selection.selection import Selection

ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
EXIT_CODES = {CHECK_FAILED: "no candidate is within the limits"}


def _calibration_options(calibration: Path | None, calibration_method: str) -> CalibrationOptions:
    return CalibrationOptions(texts=calibration, method=calibration_method)


def _proof_options(data: Path, columns: dict[str, str], quick: bool) -> ProofOptions:
    return ProofOptions(evaluation=data, columns=columns, quick=quick)


model_options = group(
    "model",
    ModelOptions,
    model_option,
    task_option,
    revision_option,
    tokenizer_option,
    sequence_length_option,
    accept_drift_option,
)
proof_options = group(
    "proof",
    _proof_options,
    click.option("--data", required=True, type=FILE, help="Labelled data: JSON Lines, .csv or .parquet (docs/evaluate.md)."),
    column_option,
    quick_option,
)
candidate_options = group(
    "candidates",
    CandidateOptions,
    click.option(
        "--target",
        "targets",
        multiple=True,
        type=click.Choice(TARGETS),
        help="What opens the bundle; repeatable.  [default: each that runs on this host]",
    ),
    click.option(
        "--precision",
        "precisions",
        multiple=True,
        type=click.Choice(PRECISIONS),
        help="The precision of the matrix products; repeatable.  [default: each that a target has]",
    ),
    click.option(
        "--padding",
        "paddings",
        multiple=True,
        type=click.Choice(PADDINGS),
        help="How texts are padded; repeatable.  [default: as the checkpoint's files state, else both]",
    ),
)
calibration_options = group("calibration", _calibration_options, calibration_option, calibration_method_option)
limit_options = group(
    "limits",
    SelectionLimits,
    click.option(
        "--max-accuracy-drop",
        type=POINTS,
        metavar="POINTS",
        help="How far the main metric may be below the checkpoint's; 0.5 is half a point of 100.",
    ),
    click.option("--max-latency-ms", type=ABOVE_ZERO, metavar="MS", help="How long the median text may take, one at a time."),
    click.option(
        "--max-size-mb",
        type=ABOVE_ZERO,
        metavar="MB",
        help="How large the files of the manifest may be, in million bytes.",
    ),
)
timing_options = group(
    "timing",
    TimingOptions,
    click.option(
        "--rounds",
        type=click.IntRange(min=MIN_ROUNDS),
        default=DEFAULT_ROUNDS,
        help="How often each bundle is timed, each time with another record.",
    ),
    click.option(
        "--threads", type=click.IntRange(1, MAX_THREADS), help="Cores that the timed bundles may use on a CPU.  [default: all]"
    ),
)


@click.command(context_settings={"show_default": True}, epilog=list_of_exit_codes(EXIT_CODES))
@model_options
@proof_options
@candidate_options
@calibration_options
@limit_options
@timing_options
@folder_options
@output_options
def choose(*, as_json: bool, quiet: bool, **parts: Any) -> None:
    """Export a model in several ways, measure each bundle on this host, and keep the fastest within the limits.

    The results are in OUTPUT.choice.
    """
    options = SelectionOptions(**parts)
    with progress_shown(quiet=quiet) as progress:
        selection = selection_from_options(options, progress)
    if as_json:
        print_json(_locations(selection) | selection.values())
    _show(selection, console_of_result(as_json=as_json, quiet=quiet))
    if selection.chosen is None:
        for sentence in misses_of_selection(selection):
            click.echo(sentence, err=True)
        click.echo(f"error: no candidate is within the limits, so no bundle was written to {options.output.folder}", err=True)
        sys.exit(CHECK_FAILED)


def _show(selection: Selection, console: Console) -> None:
    """Print the table and what it does not say. If no candidate is kept, standard error says what each missed."""
    console.print(table_from_selection(selection))
    misses: Iterable[str] = [] if selection.chosen is None else misses_of_selection(selection)
    places = [] if selection.folder is None else [f"{selection.folder}: the bundle"]
    places.append(f"{selection.results}: the results, {JSON} and {PAGE}")
    print_lines(console, [selection.why, *misses, *notes_from_selection(selection), *places])


def _locations(selection: Selection) -> dict[str, str | None]:
    return {"bundle": None if selection.folder is None else str(selection.folder), "results": str(selection.results)}
