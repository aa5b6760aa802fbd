"""Padding sensitivity as a chart: decisions that agree, and how far outputs move, by length."""

import matplotlib
from matplotlib.figure import Figure

from fnet_export.base.svg import STYLE, svg_from_figure
from fnet_export.evaluate.padding import Drift, LengthDrift

TITLE = "Padding to another length than the trained one"


def svg_from_drift(drift: Drift) -> str:
    """Return the chart as an `<svg>` element; the trained length is in it, with full agreement."""
    names = dict.fromkeys(name for length in drift.lengths for name in length.outputs)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6, 5), layout="constrained")
        decided, moved = figure.subplots(2, 1, sharex=True)
        for name in names:
            lengths = [length for length in drift.lengths if name in length.outputs]
            places = [*(length.sequence_length for length in lengths), drift.trained_length]
            agreements = [agreement for length in lengths if (agreement := length.outputs[name].decision_agreement) is not None]
            if agreements:
                decided.plot(places, [*(100 * agreement.mean for agreement in agreements), 100], marker="o", label=name)
            errors = [length.outputs[name].max_rel for length in lengths]
            (line,) = moved.plot(places, [*(100 * error.median for error in errors), 0], marker="o", label=f"{name}, median")
            worst = [*(100 * error.worst for error in errors), 0]
            moved.plot(places, worst, marker="v", linestyle=":", color=line.get_color(), label=f"{name}, worst")
        decided.set_ylabel("decisions that agree, %")
        moved.set_ylabel("largest relative error, %")
        moved.set_xlabel(f"padded length in tokens, and texts that fit ({_trained(drift)}: {drift.trained_length})")
        ticks = {length.sequence_length: f"{length.sequence_length}\n{length.fitting} fit" for length in drift.lengths}
        ticks[drift.trained_length] = str(drift.trained_length)
        moved.set_xticks(list(ticks), list(ticks.values()))
        for axes in (decided, moved):
            if axes.lines:
                axes.legend(frameon=False)
            else:
                axes.text(0.5, 0.5, "nothing is decided, or no text fits", transform=axes.transAxes, ha="center")
    return svg_from_figure(figure, title=TITLE, description=description_from_drift(drift))


def description_from_drift(drift: Drift) -> str:
    """Say in words what the chart shows."""
    sentences = ". ".join(_sentence(length) for length in drift.lengths)
    return f"Texts that fit, padded to other lengths than the {_trained(drift)} {drift.trained_length} tokens. {sentences}."


def _trained(drift: Drift) -> str:
    return "trained" if drift.trained.stated else "assumed"


def _sentence(length: LengthDrift) -> str:
    parts = [f"{length.sequence_length} tokens: {length.fitting} texts fit, {length.cut} are cut"]
    for name, output in length.outputs.items():
        agree = output.decision_agreement
        parts += [] if agree is None else [f"{name} decisions agree {agree.mean:.1%}"]
        parts.append(f"{name} relative error {output.max_rel.median:.1%} in the median, {output.max_rel.worst:.1%} at worst")
    return "; ".join(parts)
