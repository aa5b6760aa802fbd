"""Draw a selection: latency against the main metric, a mark for each candidate whose area is its size, and the limits as lines."""

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fnet_export.base.svg import STYLE, svg_from_figure
from fnet_export.plan.selection.report import limits_in_words
from fnet_export.plan.selection.selection import CHOSEN, MISSED, Figures, Selection

COLORS = {True: "#4477aa", False: "#bbbbbb"}
"""The colours of the chosen candidate and of the others."""
LARGEST_AREA, MARK, HEIGHT = 700.0, 7, 20
"""The area of the largest candidate, the size of a mark in the legend, and how far a number is from its mark, in points."""
ROOM = 1.15
"""How far the axis of latency goes past the slowest candidate or the limit."""


def chart_from_selection(selection: Selection) -> str | None:
    """Return an SVG, None if no candidate ran."""
    marks = [(number, trial, trial.figures) for number, trial in enumerate(selection.trials, 1) if trial.figures is not None]
    if not marks:
        return None
    largest = max(figures.size_bytes for _, _, figures in marks)
    main = selection.baseline_scores.metrics[0]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4), layout="constrained")
        axes = figure.subplots()
        for _, trial, figures in sorted(marks, key=lambda mark: -mark[2].size_bytes):  # a small mark is in front of a large one
            status = selection.status(trial)
            axes.scatter(
                *_place(figures),
                s=LARGEST_AREA * figures.size_bytes / largest,
                facecolor="none" if status == MISSED else COLORS[status == CHOSEN],
                edgecolor="black" if status == CHOSEN else "#777777",
                alpha=0.8,
                zorder=2,
            )
        for order, (number, _, figures) in enumerate(sorted(marks, key=lambda mark: mark[2].latency.value)):
            above = HEIGHT * (1 - 2 * (order % 2))  # numbers of neighbours are above and below
            axes.annotate(str(number), _place(figures), (0, above), textcoords="offset points", ha="center", va="center")
        front = sorted(_place(figures) for _, trial, figures in marks if selection.on_front(trial))
        axes.plot(*zip(*front, strict=True), color="#4477aa", linewidth=1, zorder=1)
        _draw_limits(axes, selection, main.of_counts(selection.baseline_scores.counts))
        times = [figures.latency.value for _, _, figures in marks]
        axes.set_xlim(0, ROOM * max([*times, selection.limits.max_latency_ms or 0]))
        axes.margins(y=0.25)
        axes.set_xlabel("median ms from text to answer")
        axes.set_ylabel(f"{main.name}{', points of 100' if main.in_points else ''}")
        handles = [
            Line2D([], [], linestyle="", marker=f"${number}$", markersize=MARK, color="black", label=trial.combination.name)
            for number, trial, _ in marks
        ]
        lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
        figure.legend(handles=[*handles, *lines], loc="outside right upper", frameon=False)
    return svg_from_figure(figure, title="Latency and accuracy of the candidates", description=_description(selection))


def _place(figures: Figures) -> tuple[float, float]:
    return figures.latency.value, figures.evaluation.value()


def _draw_limits(axes: Axes, selection: Selection, baseline: float) -> None:
    """Draw the checkpoint's metric, and the limits that are on an axis."""
    limits = selection.limits
    axes.axhline(baseline, color="#777777", linewidth=1, linestyle=":", label="checkpoint")
    if limits.max_accuracy_drop is not None:
        axes.axhline(baseline - limits.max_accuracy_drop, color="#aa3344", linewidth=1, linestyle="--", label="limit of accuracy")
    if limits.max_latency_ms is not None:
        axes.axvline(limits.max_latency_ms, color="#aa3344", linewidth=1, linestyle="-.", label="limit of latency")


def _description(selection: Selection) -> str:
    """Return the figures in words."""
    metric = selection.baseline_scores.metrics[0]
    parts = []
    for trial in selection.trials:
        words = "not run"
        if trial.figures is not None:
            value = metric.shown(trial.figures.evaluation.value())
            words = f"{trial.figures.latency.value:.2f} ms, {metric.name} {value}, {selection.status(trial)}"
        parts.append(f"{trial.combination.name}: {words}")
    return f"Limits: {limits_in_words(selection.limits)}. {'; '.join(parts)}."
