"""The charts of a parity report, each from its part of parity.json; None where that part has nothing to draw."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from fnet_export.base.svg import STYLE, svg_from_figure
from fnet_export.parity.report.wording import figure as figure_of
from fnet_export.parity.report.wording import milliseconds

WIDTH_IN, HEIGHT_IN = 4.7, 2.9
"""A column of the page; on a phone it shrinks by a fifth, and its letters stay readable."""
MAIN, SECOND, LIMIT = "#1f5f8b", "#d08a2e", "#a4262c"
"""Everybody can distinguish blue and ochre. Only the limit is red."""


def svg_from_layers(layers: Sequence[Mapping[str, Any]]) -> str | None:
    """Draw the largest and the mean relative error after each layer."""
    if not layers:
        return None
    names = [layer["name"] for layer in layers]
    with _axes() as (figure, axes):
        for key, label, marker, colour in (("max_rel", "largest", "o", MAIN), ("mean_rel", "mean", "s", SECOND)):
            values = [math.nan if layer[key] is None else layer[key] for layer in layers]
            axes.plot(range(len(names)), values, marker=marker, markersize=4, color=colour, label=label)
        _logarithmic(axes, (layer[key] for layer in layers for key in ("max_rel", "mean_rel")))
        _names_below(axes, names)
        axes.set_ylabel("relative error")
        axes.legend(frameon=False)
    sentences = (f"{layer['name']}: largest {figure_of(layer['max_rel'])}, mean {figure_of(layer['mean_rel'])}" for layer in layers)
    return svg_from_figure(figure, title="Error by layer", description=f"Relative error after each layer. {'. '.join(sentences)}.")


def svg_from_histogram(histogram: Mapping[str, Any], limits: Mapping[str, float]) -> str:
    """Draw how often which error occurs; `limits` are the limits of max abs, by output."""
    edges = histogram["log10_edges"]
    sentences = []
    with _axes() as (figure, axes):
        for index, (name, counts) in enumerate(histogram["counts"].items()):
            axes.stairs(counts, edges, fill=index == 0, alpha=0.85, color=(MAIN, SECOND)[index % 2], label=_plain(name))
            limit = limits.get(name, 0.0)
            if limit > 0:
                axes.axvline(math.log10(limit), color=LIMIT, linestyle=("-", "--")[index % 2], label=_plain(f"limit of {name}"))
            sentences.append(_sentence_of_counts(name, edges, counts) + (f"; the limit is {limit:.1e}" if limit else ""))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: f"1e{round(value)}")
        axes.set_xlabel("absolute error")
        axes.set_ylabel("values")
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    description = f"How often which error occurs in {histogram['row']}. {'. '.join(sentences)}."
    return svg_from_figure(figure, title="Error histogram", description=description)


def svg_from_headroom(headroom: Mapping[str, Any]) -> str | None:
    """Draw the largest magnitude of each layer below the largest number of fp16."""
    largest = {layer: max(tensors.items(), key=lambda item: item[1]) for layer, tensors in headroom["layers"].items() if tensors}
    if not largest:
        return None
    limit = headroom["limit"]
    with _axes() as (figure, axes):
        values = [value for _, value in largest.values()]
        axes.plot(range(len(values)), values, marker="o", markersize=4, color=MAIN, label="largest of the layer")
        axes.axhline(limit, color=LIMIT, label=f"fp16 ends at {limit:.0f}")
        _logarithmic(axes, [*values, limit])
        _names_below(axes, [f"block {layer}" if layer.isdigit() else layer for layer in largest])
        axes.set_ylabel("largest magnitude")
        axes.legend(frameon=False, loc="center right")
    sentences = (f"{layer}: {value:.3g} ({tensor})" for layer, (tensor, value) in largest.items())
    description = f"Largest magnitude of each layer; fp16 ends at {limit:.0f}. {'. '.join(sentences)}."
    return svg_from_figure(figure, title="Headroom of half precision", description=description)


def svg_from_times(times: Mapping[str, float], *, marked: str, title: str) -> str | None:
    """Draw medians in milliseconds as bars, that of `marked` in the stronger colour; each bar has its name above it."""
    if not times:
        return None
    with _axes(height_in=0.35 + 0.38 * len(times)) as (figure, axes):
        places = range(len(times))
        axes.barh(places, list(times.values()), height=0.34, color=[MAIN if name == marked else "#a9bccb" for name in times])
        for place, (name, value) in zip(places, times.items(), strict=True):
            axes.text(0, place - 0.25, _plain(name), va="bottom", fontweight="bold" if name == marked else "normal")
            axes.annotate(
                f"{milliseconds(value)} ms", (value, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.set_ylim(len(times) - 0.6, -0.85)
        axes.margins(x=0.16)
        axes.axis("off")
    sentences = (f"{name}: {milliseconds(value)} ms" for name, value in times.items())
    return svg_from_figure(figure, title=title, description=f"{title}. {'. '.join(sentences)}.")


@contextmanager
def _axes(*, height_in: float = HEIGHT_IN) -> Iterator[tuple[Figure, Axes]]:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        axes = figure.subplots()
        axes.set_axisbelow(True)
        axes.grid(axis="y", color="#e3e6e8", linewidth=0.6)
        yield figure, axes


def _logarithmic(axes: Axes, values: Iterable[float | None]) -> None:
    """Make the height logarithmic, unless all is zero, which has no logarithm; mark more than powers of ten where there are few."""
    positive = [value for value in values if value]
    if not positive:
        return
    axes.set_yscale("log", nonpositive="mask")
    if max(positive) < 100 * min(positive):
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _names_below(axes: Axes, names: Sequence[str]) -> None:
    crowded = len(names) > 6
    axes.set_xticks(
        range(len(names)), [_plain(name) for name in names], rotation=90 if crowded else 0, fontsize=8 if crowded else None
    )


def _sentence_of_counts(name: str, edges: Sequence[float], counts: Sequence[int]) -> str:
    places = [index for index, count in enumerate(counts) if count]
    if not places:
        return f"{name}: no values"
    most = max(places, key=lambda index: counts[index])
    return (
        f"{name}: {sum(counts)} values, most of them from {10 ** edges[most]:.1e} to {10 ** edges[most + 1]:.1e}, "
        f"none above {10 ** edges[places[-1] + 1]:.1e}"
    )


def _plain(text: str) -> str:
    """Keep matplotlib from reading dollar signs as mathematics."""
    return text.replace("$", r"\$")
