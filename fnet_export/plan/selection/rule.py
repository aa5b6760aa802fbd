"""The rule of a selection: which limits a candidate misses, and which candidate is kept."""

from collections.abc import Sequence

from fnet_runtime.bundle.manifest import PRECISIONS

from fnet_export.benchmark.latency import speed_ratio
from fnet_export.evaluation.evaluation import Limits, missed_limits
from fnet_export.plan.selection.options import SelectionLimits
from fnet_export.plan.selection.selection import Figures, Trial

MEGABYTE = 1_000_000


def missed_by_figures(limits: SelectionLimits, figures: Figures) -> tuple[str, ...]:
    """Return a sentence for each limit that a candidate misses. The limits compare the figures, not their intervals."""
    accuracy = Limits(max_accuracy_drop=limits.max_accuracy_drop)
    missed = missed_limits(accuracy, figures.evaluation, figures.change)
    latency, most_ms = figures.latency.value, limits.max_latency_ms
    if most_ms is not None and latency > most_ms:
        missed.append(f"the median latency is {latency:.2f} ms; at most {most_ms:g} were asked for")
    size_mb, most_mb = figures.size_bytes / MEGABYTE, limits.max_size_mb
    if most_mb is not None and size_mb > most_mb:
        missed.append(f"the files take {size_mb:.1f} MB; at most {most_mb:g} were asked for")
    return tuple(missed)


def chosen_from_trials(trials: Sequence[Trial]) -> tuple[Trial | None, str]:
    """Return the candidate to keep, None if no candidate is within the limits, and say why in a sentence.

    The fastest is kept. Candidates are as fast as the fastest if the interval of their speed ratio contains 1. Among these the
    smallest is kept, and among equal sizes the highest precision.
    """
    able = [(trial, trial.figures) for trial in trials if trial.figures is not None and not trial.missed]
    if not able:
        return None, "No candidate is within the limits."
    fastest, best = min(able, key=lambda pair: pair[1].latency.value)
    alike = [pair for pair in able if pair[0] is fastest or _as_fast(pair[1], best)]
    chosen, figures = min(alike, key=lambda pair: (pair[1].size_bytes, PRECISIONS.index(pair[0].combination.precision)))
    name = chosen.combination.name
    if len(alike) == 1:
        others = len(able) - 1
        rest = "the only candidate within the limits" if not others else f"the fastest of {len(able)} candidates within the limits"
        return chosen, f"{name} is {rest}."
    names = ", ".join(trial.combination.name for trial, _ in alike if trial is not chosen)
    smaller = all(figures.size_bytes < other.size_bytes for trial, other in alike if trial is not chosen)
    reason = "the smallest" if smaller else "the smallest of the highest precision"
    return chosen, f"The measurement does not say which is faster: {name}, {names}. Among these, {name} is {reason}."


def _as_fast(figures: Figures, best: Figures) -> bool:
    """Return whether the measurement does not say that `best` is faster."""
    ratio = speed_ratio(figures.measured.text_ms, best.measured.text_ms)
    return ratio.low <= 1 <= ratio.high
