"""Padding sensitivity as a chart: decisions that agree, and how far outputs move, by length."""

import matplotlib
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE
from matplotlib.figure import Figure

from fnet_export.base.svg import STYLE, svg_from_figure
from fnet_export.evaluation.padding import Drift, LengthDrift

TITLE = "Padding differently from training"


def svg_from_drift(drift: Drift) -> str:
    """Return the chart as an `<svg>` element. A trained length is in it, with full agreement; own lengths are a line across it."""
    pads = drift.baseline.contract == MAX_LENGTH
    padded = [length for length in drift.lengths if length.padding == MAX_LENGTH]
    names = dict.fromkeys(name for length in drift.lengths for name in length.outputs)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6, 5), layout="constrained")
        decided, moved = figure.subplots(2, 1, sharex=True)
        for name in names:
            lengths = [length for length in padded if name in length.outputs]
            places = [*(length.sequence_length for length in lengths), *([drift.baseline.length] if pads else [])]
            agreements = [agreement for length in lengths if (agreement := length.outputs[name].decision_agreement) is not None]
            if agreements:
                shares = [*(100 * agreement.mean for agreement in agreements), *([100] if pads else [])]
                decided.plot(places, shares, marker="o", label=name)
            errors = [length.outputs[name].max_rel for length in lengths]
            medians = [*(100 * error.median for error in errors), *([0] if pads else [])]
            (line,) = moved.plot(places, medians, marker="o", label=f"{name}, median")
            worst = [*(100 * error.worst for error in errors), *([0] if pads else [])]
            moved.plot(places, worst, marker="v", linestyle=":", color=line.get_color(), label=f"{name}, worst")
            for own in drift.lengths:
                if own.padding == NONE and name in own.outputs:
                    label, color = f"{name}, own length", line.get_color()
                    if (agreement := own.outputs[name].decision_agreement) is not None:
                        decided.axhline(100 * agreement.mean, linestyle="--", color=color, label=label)
                    moved.axhline(100 * own.outputs[name].max_rel.median, linestyle="--", color=color, label=f"{label}, median")
        decided.set_ylabel("decisions that agree, %")
        moved.set_ylabel("largest relative error, %")
        baseline = str(drift.baseline.length) if pads else "own lengths"
        moved.set_xlabel(f"padded length in tokens, and texts that fit ({_trained(drift)}: {baseline})")
        ticks = {length.sequence_length: f"{length.sequence_length}\n{length.fitting} fit" for length in padded}
        if pads:
            ticks[drift.baseline.length] = baseline
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
    baseline = f"{drift.baseline.length} tokens" if drift.baseline.contract == MAX_LENGTH else "own lengths"
    return f"Texts that fit, padded differently from the {_trained(drift)} {baseline}. {sentences}."


def _trained(drift: Drift) -> str:
    return "trained" if drift.trained.stated or drift.trained.contract else "assumed"


def _sentence(length: LengthDrift) -> str:
    place = "Own lengths" if length.padding == NONE else f"{length.sequence_length} tokens"
    parts = [f"{place}: {length.fitting} texts fit, {length.cut} are cut"]
    for name, output in length.outputs.items():
        agree = output.decision_agreement
        parts += [] if agree is None else [f"{name} decisions agree {agree.mean:.1%}"]
        parts.append(f"{name} relative error {output.max_rel.median:.1%} in the median, {output.max_rel.worst:.1%} at worst")
    return "; ".join(parts)
