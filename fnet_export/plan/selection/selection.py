"""A selection: what each candidate measured, which of them are within the limits, and the one that is kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fnet_export.base.environment import Environment
from fnet_export.benchmark.benchmark import Measured
from fnet_export.benchmark.latency import PERCENTILES, median_ms, percentiles_ms
from fnet_export.benchmark.report import percentile_name
from fnet_export.evaluation.accuracy import Measurement
from fnet_export.evaluation.evaluation import Change, Evaluation, values_from_figures
from fnet_export.evaluation.labelled import LabelledData
from fnet_export.evaluation.metrics import LEVEL, RESAMPLES, SEED, Figure, Metric
from fnet_export.evaluation.scoring import SCORINGS
from fnet_export.plan.selection.options import Combination, SelectionLimits, TimingOptions

FORMAT_VERSION = 1
CHOSEN, WITHIN, MISSED, NOT_RUN = "chosen", "within", "missed", "not run"
"""What became of a candidate: kept, within the limits, outside a limit, or not exported or not run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Figures:
    """Hold what the bundle of one candidate measured.

    `change` compares its evaluation with the baseline's. `size_bytes` is the size of the files that its manifest lists.
    """

    size_bytes: int
    evaluation: Evaluation
    change: Change
    measured: Measured

    @property
    def main(self) -> Metric:
        """Return the main metric."""
        return self.evaluation.metrics[0]

    @property
    def difference(self) -> Figure:
        """Return the main metric less the baseline's."""
        return self.change.differences[self.main.name]

    @cached_property
    def latency(self) -> Figure:
        """Return the median time from text to answer, in milliseconds."""
        return median_ms(self.measured.text_ms)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """Hold what became of one candidate: its figures and a sentence for each limit that it misses, or why it has no figures.

    `command` exports the candidate by itself. It is None if no export has these options.
    """

    combination: Combination
    command: str | None
    figures: Figures | None = None
    missed: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def able(self) -> bool:
        """Return whether the candidate ran and is within all limits."""
        return self.figures is not None and not self.missed


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """Hold everything that one choice measured, and what it kept.

    `folder` is the bundle, None if no candidate is within the limits. `results` is the folder with choice.json and choice.html.
    `chosen` is the candidate that was kept, and `why` says why, in a sentence. `baseline` is the measurement of the checkpoint.
    """

    model: str
    task: str
    data: LabelledData
    limits: SelectionLimits
    timing: TimingOptions
    baseline: Measurement
    trials: tuple[Trial, ...]
    chosen: Trial | None
    why: str
    folder: Path | None
    results: Path
    environment: Environment

    @property
    def baseline_scores(self) -> Evaluation:
        """Return what the checkpoint scored."""
        assert self.baseline.evaluation is not None
        return self.baseline.evaluation

    def status(self, trial: Trial) -> str:
        """Return the status of a candidate."""
        if trial.figures is None:
            return NOT_RUN
        return MISSED if trial.missed else CHOSEN if trial is self.chosen else WITHIN

    def on_front(self, trial: Trial) -> bool:
        """Return whether no other candidate is both at least as fast and at least as accurate, and better in one of the two."""
        return trial.figures is not None and not any(
            _beats(other.figures, trial.figures) for other in self.trials if other.figures is not None
        )

    def values(self) -> dict[str, Any]:
        """Return the content of choice.json as JSON's own types (docs/choose.md)."""
        baseline = self.baseline_scores
        return {
            "format_version": FORMAT_VERSION,
            "model": self.model,
            "task": self.task,
            "data": {"name": self.data.name, "sha256": self.data.sha256, "records": len(self.data.records)},
            "limits": asdict(self.limits),
            "chosen": None if self.chosen is None else self.chosen.combination.name,
            "why": self.why,
            "baseline": {
                "name": self.baseline.name,
                "runtime": self.baseline.runtime,
                "metrics": values_from_figures(baseline, baseline.figures()),
            },
            "timing": asdict(self.timing),
            "bootstrap": {"level": LEVEL, "resamples": RESAMPLES, "seed": SEED, "method": "percentile, paired"},
            "candidates": [self._trial(trial) for trial in self.trials],
            "environment": asdict(self.environment),
        }

    def _trial(self, trial: Trial) -> dict[str, Any]:
        return {
            "name": trial.combination.name,
            **asdict(trial.combination),
            "status": self.status(trial),
            "reason": trial.reason,
            "missed": list(trial.missed),
            "command": trial.command,
            "figures": None if trial.figures is None else _figures(trial.figures) | {"on_front": self.on_front(trial)},
        }


def _figures(figures: Figures) -> dict[str, Any]:
    evaluation, change, measured = figures.evaluation, figures.change, figures.measured
    percentiles: Mapping[float, float | None] = percentiles_ms(measured.text_ms)
    return {
        "metrics": values_from_figures(evaluation, evaluation.figures()),
        "differences": values_from_figures(evaluation, change.differences),
        "decisions": {"count": change.decisions, "flipped": change.flipped, "unchanged": change.unchanged},
        "size_bytes": figures.size_bytes,
        "latency_ms": {
            "median": asdict(figures.latency),
            "percentiles": {percentile_name(p): percentiles[p] for p in PERCENTILES},
            "times": list(measured.text_ms),
        },
        "load_ms": measured.load_ms,
        "peak_bytes": measured.peak_bytes,
    }


def _beats(figures: Figures, other: Figures) -> bool:
    sign = 1 if SCORINGS[figures.evaluation.kind].limited else -1  # an error is better when it is lower
    gains = (other.latency.value - figures.latency.value, sign * (figures.difference.value - other.difference.value))
    return min(gains) >= 0 and max(gains) > 0
