"""fnet-export eval, on the command line; docs/evaluate.md."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from fnet_runtime.command.exit_codes import CHECK_FAILED, list_of_exit_codes
from fnet_runtime.pipeline.open import load
from fnet_runtime.sessions.runtimes import MAX_THREADS, RUNTIME_CHOICES
from rich import box
from rich.markup import escape
from rich.table import Table

from fnet_export.base.progress import Progress
from fnet_export.bundle.description import verdict_from_bundle
from fnet_export.commands.options import FILE, POINTS, bundle_argument, column_option, min_accuracy_option, output_options
from fnet_export.commands.shared import console_of_result, print_json, print_lines, progress_shown
from fnet_export.evaluation.evaluation import (
    Change,
    Evaluation,
    Limits,
    change_from_evaluations,
    check_comparable,
    evaluation_from_pipeline,
    missed_limits,
    records_of_pipeline,
    values_from_figures,
)
from fnet_export.evaluation.metrics import LEVEL, RESAMPLES, SEED, Figure, Metric
from fnet_export.evaluation.scoring import SCORINGS
from fnet_export.parity.report.wording import note_of_flat_intervals

BOOTSTRAP = f"percentiles of {RESAMPLES} bootstrap resamples of the records, seed {SEED}"
EXIT_CODES = {CHECK_FAILED: "a limit was missed"}


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run found: the bundle's evaluation, and the baseline's with the change where there is one."""

    evaluation: Evaluation
    baseline: Evaluation | None
    change: Change | None


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
    if max_accuracy_drop is not None and baseline is None:
        raise click.UsageError("--max-accuracy-drop: expected --baseline as well, from which it is measured")
    limits = Limits(min_accuracy=min_accuracy, max_accuracy_drop=max_accuracy_drop)
    with progress_shown(quiet=quiet) as progress:
        result = _result(bundle, data, baseline, progress, columns=columns, limit=limit, runtime=runtime, threads=threads)
    missed = missed_limits(limits, result.evaluation, result.change)
    verdict = verdict_from_bundle(bundle)
    caution = None if verdict is None else verdict.caution
    if as_json:
        values = {"bundle": str(bundle), "data": str(data), "baseline": baseline and str(baseline)}
        print_json(values | _values(result) | {"caution": caution, "missed": missed})
    else:
        console = console_of_result(as_json=as_json, quiet=quiet)
        console.print(table_from_result(result))
        lines = [f"{len(result.evaluation.counts)} records of {data}", *notes_from_result(result)]
        lines += [] if caution is None else [f"note: {caution}"]
        print_lines(console, lines)
    for sentence in missed:
        click.echo(f"limit missed: {sentence}", err=True)
    sys.exit(CHECK_FAILED if missed else 0)


def _result(
    bundle: Path,
    data: Path,
    baseline: Path | None,
    progress: Progress,
    *,
    columns: Mapping[str, str],
    limit: int | None,
    runtime: str,
    threads: int | None,
) -> Result:
    progress.stage("open")
    pipelines = [load(folder, runtime=runtime, threads=threads) for folder in (bundle, baseline) if folder is not None]
    check_comparable(pipelines[0], pipelines[-1])
    records = records_of_pipeline(data, pipelines[0], columns=columns, limit=limit)
    evaluations = []
    for pipeline, name in zip(pipelines, ("bundle", "baseline"), strict=False):
        progress.stage(f"answer {len(records)} records: {name}")
        evaluations.append(evaluation_from_pipeline(pipeline, records, on_progress=progress.step))
    if baseline is None:
        return Result(evaluation=evaluations[0], baseline=None, change=None)
    return Result(evaluation=evaluations[0], baseline=evaluations[1], change=change_from_evaluations(*evaluations))


def table_from_result(result: Result) -> Table:
    """Return a table of a result, one line per metric; shares in points of 100."""
    evaluation, baseline, change = result.evaluation, result.baseline, result.change
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    figures = evaluation.figures()
    table.add_column("metric", overflow="fold")
    for name in ("bundle", "baseline", "difference") if baseline else ("bundle",):
        table.add_column(name, justify="right", no_wrap=True)
    for metric in evaluation.metrics:
        row = [_shown(figures[metric.name], metric)]
        if baseline and change:
            row += [_number(baseline.value(metric.name), metric), _shown(change.differences[metric.name], metric)]
        table.add_row(escape(metric.name), *row)
    return table


def notes_from_result(result: Result) -> list[str]:
    """Return what the figures do not say: flipped decisions, words that the model did not see, and what the intervals are."""
    notes = []
    if result.change and result.change.decisions:
        change = result.change
        notes.append(
            f"decisions flipped: {change.flipped} of {change.decisions} ({change.unchanged:.2%} unchanged); "
            f"one is {SCORINGS[result.evaluation.kind].decision}"
        )
    if result.evaluation.unread:
        notes.append(f"{result.evaluation.unread} words are past the bundle's sequence length, and count as O")
    parts = [f"{records} for {name}" for name, records in result.evaluation.parts_of_records().items()]
    notes += [f"records: {', '.join(parts)}"] if parts else []
    return [*notes, *_notes_of_intervals(result)]


def _notes_of_intervals(result: Result) -> Iterator[str]:
    evaluation = result.evaluation
    proportions = evaluation.shares_of_records()
    resampled = [metric.name for metric in evaluation.metrics if metric.name not in proportions]
    resampled += ["differences"] if result.change else []
    kinds = [f"Wilson's for {', '.join(proportions)}"] if proportions else []
    kinds += [f"{BOOTSTRAP}, for {', '.join(resampled)}"] if resampled else []
    yield f"{LEVEL:.0%} intervals: {'; '.join(kinds)}"
    flat = note_of_flat_intervals(values_from_figures(evaluation, evaluation.figures()))
    if flat is not None:
        yield flat


def _shown(figure: Figure, metric: Metric) -> str:
    return f"{_number(figure.value, metric)} [dim]({_number(figure.low, metric)} to {_number(figure.high, metric)})[/]"


def _number(value: float, metric: Metric) -> str:
    return f"{value:.2f}" if metric.in_points else f"{value:.4g}"


def _values(result: Result) -> dict[str, Any]:
    """Return a result as JSON's own types."""
    values: dict[str, Any] = {
        "task": result.evaluation.kind,
        "records": len(result.evaluation.counts),
        "bootstrap": {"level": LEVEL, "resamples": RESAMPLES, "seed": SEED, "method": "percentile, paired"},
        "wilson": list(result.evaluation.shares_of_records()),
        "unread_words": result.evaluation.unread,
        "metrics": values_from_figures(result.evaluation, result.evaluation.figures()),
    }
    if result.baseline and result.change:
        change = result.change
        values["baseline_metrics"] = values_from_figures(result.baseline, result.baseline.figures())
        values["differences"] = values_from_figures(result.baseline, change.differences)
        values["decisions"] = {"count": change.decisions, "flipped": change.flipped, "unchanged": change.unchanged}
    return values
