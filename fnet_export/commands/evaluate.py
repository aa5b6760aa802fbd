"""fnet-export eval, on the command line; docs/evaluate.md."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from fnet_runtime.command.exit_codes import CHECK_FAILED, list_of_exit_codes
from fnet_runtime.sessions.runtimes import MAX_THREADS, RUNTIME_CHOICES
from rich import box
from rich.markup import escape
from rich.table import Table

from fnet_export.base.counted import counted
from fnet_export.bundle.description import verdict_from_bundle
from fnet_export.commands.options import FILE, POINTS, bundle_argument, column_option, min_accuracy_option, output_options
from fnet_export.commands.shared import console_of_result, print_json, print_lines, progress_shown
from fnet_export.evaluation.evaluate import Scores, scores_from_bundle
from fnet_export.evaluation.evaluation import Limits, values_from_figures
from fnet_export.evaluation.metrics import LEVEL, RESAMPLES, SEED, Figure, Metric
from fnet_export.evaluation.scoring import SCORINGS
from fnet_export.parity.report.wording import note_of_flat_intervals

BOOTSTRAP = f"percentiles of {RESAMPLES} bootstrap resamples of the records, seed {SEED}"
EXIT_CODES = {CHECK_FAILED: "a limit was missed"}


@click.command(context_settings={"show_default": True}, epilog=list_of_exit_codes(EXIT_CODES))
@bundle_argument
@click.option("--data", required=True, type=FILE, help="Labelled data: JSON Lines, .csv or .parquet (docs/evaluate.md).")
@column_option
@click.option("--baseline", type=FILE, metavar="BUNDLE", help="A bundle to compare with, on the same data.")
@min_accuracy_option
@click.option(
    "--max-accuracy-drop",
    type=POINTS,
    metavar="POINTS",
    help="Exit 3 when the main metric is further below the baseline's; 0.5 is half a point of 100.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read the first N records only.")
@click.option("--runtime", type=click.Choice(RUNTIME_CHOICES), default="auto", help="auto is each bundle's own engine.")
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), help="Cores that ONNX Runtime or OpenVINO may use.  [default: all]")
@output_options
def evaluate(
    bundle: Path,
    data: Path,
    columns: dict[str, str],
    baseline: Path | None,
    min_accuracy: float | None,
    max_accuracy_drop: float | None,
    limit: int | None,
    runtime: str,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure the accuracy of BUNDLE on labelled data, as the shipped runtime answers it."""
    limits = Limits(min_accuracy=min_accuracy, max_accuracy_drop=max_accuracy_drop)
    with progress_shown(quiet=quiet) as progress:
        scores = scores_from_bundle(
            bundle,
            data,
            columns=columns,
            baseline=baseline,
            limits=limits,
            limit=limit,
            runtime=runtime,
            threads=threads,
            progress=progress,
        )
    verdict = verdict_from_bundle(bundle)
    caution = None if verdict is None else verdict.caution
    if as_json:
        values = {"bundle": str(bundle), "data": str(data), "baseline": baseline and str(baseline)}
        print_json(values | scores.values() | {"caution": caution, "missed": list(scores.missed)})
    else:
        console = console_of_result(as_json=as_json, quiet=quiet)
        console.print(table_from_scores(scores))
        lines = [f"{counted(len(scores.evaluation.counts), 'record')} of {data}", *notes_from_scores(scores)]
        lines += [] if caution is None else [f"note: {caution}"]
        print_lines(console, lines)
    for sentence in scores.missed:
        click.echo(f"limit missed: {sentence}", err=True)
    sys.exit(CHECK_FAILED if scores.missed else 0)


def table_from_scores(scores: Scores) -> Table:
    """Return a table of scores, one line per metric; shares in points of 100."""
    evaluation, baseline, change = scores.evaluation, scores.baseline, scores.change
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    figures = evaluation.figures()
    table.add_column("metric", overflow="fold")
    for name in ("bundle", "baseline", "difference") if baseline else ("bundle",):
        table.add_column(name, justify="right", no_wrap=True)
    for metric in evaluation.metrics:
        row = [_shown(figures[metric.name], metric)]
        if baseline and change:
            row += [metric.shown(baseline.value(metric.name)), _shown(change.differences[metric.name], metric)]
        table.add_row(escape(metric.name), *row)
    return table


def notes_from_scores(scores: Scores) -> list[str]:
    """Return what the figures do not say: flipped decisions, words that the model did not see, and what the intervals are."""
    notes = []
    if scores.change and scores.change.decisions:
        change = scores.change
        notes.append(
            f"decisions flipped: {change.flipped} of {change.decisions} ({change.unchanged:.2%} unchanged); "
            f"one is {SCORINGS[scores.evaluation.kind].decision}"
        )
    if scores.evaluation.unread:
        notes.append(f"{scores.evaluation.unread} words are past the bundle's sequence length, and count as O")
    parts = [f"{records} for {name}" for name, records in scores.evaluation.parts_of_records().items()]
    notes += [f"records: {', '.join(parts)}"] if parts else []
    return [*notes, *_notes_of_intervals(scores)]


def _notes_of_intervals(scores: Scores) -> Iterator[str]:
    evaluation = scores.evaluation
    proportions = evaluation.shares_of_records()
    resampled = [metric.name for metric in evaluation.metrics if metric.name not in proportions]
    resampled += ["differences"] if scores.change else []
    kinds = [f"Wilson's for {', '.join(proportions)}"] if proportions else []
    kinds += [f"{BOOTSTRAP}, for {', '.join(resampled)}"] if resampled else []
    yield f"{LEVEL:.0%} intervals: {'; '.join(kinds)}"
    flat = note_of_flat_intervals(values_from_figures(evaluation, evaluation.figures()))
    if flat is not None:
        yield flat


def _shown(figure: Figure, metric: Metric) -> str:
    return f"{metric.shown(figure.value)} [dim]({metric.shown(figure.low)} to {metric.shown(figure.high)})[/]"
