"""Draw a benchmark: one panel per case, a bar per bundle to its median, and a line to the highest known percentile."""

import matplotlib
from matplotlib.figure import Figure

from fnet_export.base.svg import STYLE, svg_from_figure
from fnet_export.benchmark.benchmark import Benchmark, Measured
from fnet_export.benchmark.latency import PERCENTILES, percentiles_ms, rounds_needed
from fnet_export.benchmark.report import KINDS, in_part, percentile_name, times_of

COLORS = {"text": "#4477aa", "engine": "#bbbbbb"}
BAR = 0.38


def chart_from_benchmark(benchmark: Benchmark) -> str:
    """Return an SVG. A subject that was not measured has no bar."""
    highest = max(p for p in PERCENTILES if benchmark.rounds >= rounds_needed(p))
    names = [subject.name for subject in benchmark.subjects]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, len(benchmark.cases) * (0.9 + 0.5 * len(names))), layout="constrained")
        panels = figure.subplots(len(benchmark.cases), 1, squeeze=False)[:, 0]
        for panel, case_result in zip(panels, benchmark.cases, strict=True):
            for offset, kind in zip((-BAR / 2, BAR / 2), KINDS, strict=True):
                bars = [(i, *_ends(r, kind, highest)) for i, r in enumerate(case_result.results) if isinstance(r, Measured)]
                places = [i + offset for i, _, _ in bars]
                medians = [median for _, median, _ in bars]
                beyond = [[0.0] * len(bars), [high - median for _, median, high in bars]]
                panel.barh(places, medians, BAR, xerr=beyond, capsize=2, color=COLORS[kind], label=KINDS[kind])
            labels = [name + in_part(result) for name, result in zip(names, case_result.results, strict=True)]
            panel.set(yticks=range(len(names)), yticklabels=labels, title=case_result.case.name, xlim=(0, None))
            panel.invert_yaxis()
        panels[-1].set_xlabel(f"ms: bars end at p50, lines at {percentile_name(highest)}")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(KINDS), frameon=False)
    return svg_from_figure(figure, title="Latency", description=_description(benchmark))


def _ends(result: Measured, kind: str, highest: float) -> tuple[float, float]:
    percentiles = percentiles_ms(times_of(result, kind))
    median, high = percentiles[PERCENTILES[0]], percentiles[highest]
    assert median is not None
    assert high is not None
    return median, high


def _description(benchmark: Benchmark) -> str:
    """Return the medians in words."""
    parts = []
    for case_result in benchmark.cases:
        for subject, result in zip(benchmark.subjects, case_result.results, strict=True):
            words = "not measured"
            if isinstance(result, Measured):
                words = ", ".join(f"{kind} {percentiles_ms(times_of(result, kind))[PERCENTILES[0]]:.2f} ms" for kind in KINDS)
            parts.append(f"{case_result.case.name}, {subject.name}{in_part(result)}: {words}")
    return f"Median latency. {'; '.join(parts)}."
