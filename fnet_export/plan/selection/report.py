"""Show a selection to people: a line for each candidate, as a table too, and the sentences below it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich import box
from rich.markup import escape
from rich.table import Table

from fnet_export.base.counted import counted
from fnet_export.benchmark.benchmark import Case
from fnet_export.benchmark.report import KINDS
from fnet_export.engine.sessions.timing import PAUSE_S
from fnet_export.evaluation.evaluation import values_from_figures
from fnet_export.evaluation.metrics import LEVEL, RESAMPLES, SEED, Figure
from fnet_export.parity.report.wording import milliseconds, note_of_flat_intervals, size
from fnet_export.plan.selection.options import SelectionLimits
from fnet_export.plan.selection.selection import CHOSEN, MISSED, NOT_RUN, WITHIN, Figures, Selection

STYLES = {CHOSEN: "bold green", WITHIN: "green", MISSED: "yellow", NOT_RUN: "dim"}
"""How tables colour what became of a candidate."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure of a line as text, and its interval, if it has one."""

    value: str = ""
    interval: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a table: the name of a candidate, what became of it, and a cell for each column of `columns_of_selection`."""

    name: str
    status: str
    cells: tuple[Cell, ...]


def columns_of_selection(selection: Selection) -> tuple[str, ...]:
    """Return the names of the columns of figures."""
    return (selection.baseline_scores.metrics[0].name, "difference", "median ms", "size")


def lines_from_selection(selection: Selection) -> list[Line]:
    """Return a line for the checkpoint, then one for each candidate, which begins with its number."""
    scores = selection.baseline_scores
    main = scores.metrics[0]
    baseline = (_cell(scores.figures()[main.name], main.shown), Cell(), Cell(), Cell())
    lines = [Line(name=f"checkpoint, {selection.baseline.runtime}", status="", cells=baseline)]
    for number, trial in enumerate(selection.trials, 1):
        cells = (Cell(),) * len(baseline) if trial.figures is None else _cells(trial.figures)
        lines.append(Line(name=f"{number} {trial.combination.name}", status=selection.status(trial), cells=cells))
    return lines


def _cells(figures: Figures) -> tuple[Cell, ...]:
    accuracy, shown = figures.evaluation.figures()[figures.main.name], figures.main.shown
    return (
        _cell(accuracy, shown),
        _cell(figures.difference, shown),
        _cell(figures.latency, milliseconds),
        Cell(value=size(figures.size_bytes)),
    )


def _cell(figure: Figure, shown: Callable[[float], str]) -> Cell:
    return Cell(value=shown(figure.value), interval=f"{shown(figure.low)} to {shown(figure.high)}")


def table_from_selection(selection: Selection) -> Table:
    """Return the lines as a table. An interval is below its figure, so that all columns fit a terminal of 80 characters."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("candidate", overflow="fold")
    for name in columns_of_selection(selection):
        table.add_column(escape(name), justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for line in lines_from_selection(selection):
        cells = (f"{cell.value}\n[dim]{cell.interval}[/]" if cell.interval else cell.value for cell in line.cells)
        status = f"[{STYLES[line.status]}]{line.status}[/]" if line.status else ""
        table.add_row(escape(line.name), *cells, status)
    return table


def misses_of_selection(selection: Selection) -> Iterator[str]:
    """Say of each candidate that cannot be kept which limits it missed, or why it did not run."""
    for number, trial in enumerate(selection.trials, 1):
        name = f"{number} {trial.combination.name}"
        if trial.reason is not None:
            yield f"{name}: not run: {trial.reason}"
        for sentence in trial.missed:
            yield f"{name}: limit missed: {sentence}"


def limits_in_words(limits: SelectionLimits) -> str:
    """Write the limits that were asked for."""
    words = {
        "at most {:g} points below the checkpoint": limits.max_accuracy_drop,
        "at most {:g} ms": limits.max_latency_ms,
        "at most {:g} MB": limits.max_size_mb,
    }
    return ", ".join(form.format(limit) for form, limit in words.items() if limit is not None) or "none"


def notes_from_selection(selection: Selection) -> list[str]:
    """Return what the table does not say: what is uncertain, and how it was measured."""
    return [*_uncertain(selection), *_method(selection)]


def _uncertain(selection: Selection) -> Iterator[str]:
    """Say which intervals of the chosen bundle reach beyond its limits."""
    limits, figures = selection.limits, None if selection.chosen is None else selection.chosen.figures
    if figures is None:
        return
    drop = -figures.difference.low
    if limits.max_accuracy_drop is not None and drop > limits.max_accuracy_drop:
        yield (
            f"The interval of its difference reaches {drop:.2f} points below the checkpoint, past the limit of "
            f"{limits.max_accuracy_drop:g}. More records make the interval narrower."
        )
    if limits.max_latency_ms is not None and figures.latency.high > limits.max_latency_ms:
        yield (
            f"The interval of its latency reaches {milliseconds(figures.latency.high)} ms, past the limit of "
            f"{limits.max_latency_ms:g}. More rounds make the interval narrower."
        )


def _method(selection: Selection) -> Iterator[str]:
    scores, timing = selection.baseline_scores, selection.timing
    case = Case(batch_size=1, threads=timing.threads)
    yield f"Limits: {limits_in_words(selection.limits)}."
    yield (
        f"Data: {counted(len(selection.data.records), 'record')} of {selection.data.name}. The difference is the candidate minus "
        f"the baseline, which is the {selection.baseline.name}."
    )
    yield (
        f"Latency: {KINDS['text']}, {case.name}, {timing.rounds} rounds in turns, {PAUSE_S * 1e3:.0f} ms apart, warm. Each round "
        "answers another record, the same one with each candidate."
    )
    wilson = scores.metrics[0].name in scores.shares_of_records()
    kinds = f"Wilson's for {scores.metrics[0].name}, else " if wilson else ""
    yield f"{LEVEL:.0%} intervals: {kinds}{RESAMPLES} bootstrap resamples, seed {SEED}, paired for differences."
    flat = note_of_flat_intervals(values_from_figures(scores, scores.figures()))
    if flat is not None:
        yield f"{flat}."
