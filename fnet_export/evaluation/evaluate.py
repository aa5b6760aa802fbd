"""The scores of a bundle on labelled data, and of a baseline, asked for from Python or by the command."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fnet_runtime.pipeline.open import load
from fnet_runtime.sessions.runtimes import AUTO

from fnet_export.base.arguments import StrPath, path_or_none
from fnet_export.base.counted import counted
from fnet_export.base.errors import OptionError
from fnet_export.base.progress import Calls, OnProgress, Progress
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
from fnet_export.evaluation.fields import AS_STATED
from fnet_export.evaluation.metrics import LEVEL, RESAMPLES, SEED


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a bundle scored, and what its baseline scored, if there is one. `missed` has a sentence for each limit missed."""

    evaluation: Evaluation
    baseline: Evaluation | None
    change: Change | None
    missed: tuple[str, ...]

    def values(self) -> dict[str, Any]:
        """Return the scores as JSON's own types (docs/evaluate.md)."""
        values: dict[str, Any] = {
            "task": self.evaluation.kind,
            "records": len(self.evaluation.counts),
            "bootstrap": {"level": LEVEL, "resamples": RESAMPLES, "seed": SEED, "method": "percentile, paired"},
            "wilson": list(self.evaluation.shares_of_records()),
            "unread_words": self.evaluation.unread,
            "metrics": values_from_figures(self.evaluation, self.evaluation.figures()),
        }
        if self.baseline and self.change:
            change = self.change
            values["baseline_metrics"] = values_from_figures(self.baseline, self.baseline.figures())
            values["differences"] = values_from_figures(self.baseline, change.differences)
            values["decisions"] = {"count": change.decisions, "flipped": change.flipped, "unchanged": change.unchanged}
        return values


def evaluate(
    bundle: StrPath,
    *,
    data: StrPath,
    column: Mapping[str, str] = AS_STATED,
    baseline: StrPath | None = None,
    min_accuracy: float | None = None,
    max_accuracy_drop: float | None = None,
    limit: int | None = None,
    runtime: str = AUTO,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> Scores:
    """Measure the accuracy of a bundle on labelled data. Do what `fnet-export eval` does.

    `data` is a file of JSON Lines, a .csv or a .parquet. `column` names the columns that hold keys of the task, such as
    `{"text": "sentence"}`. `baseline` is a bundle to compare with on the same data. `min_accuracy` and `max_accuracy_drop` are
    limits in points of 100. `limit` is how many records are read. `fnet_runtime.load` explains `runtime` and `threads`.

    A limit that is missed raises nothing, and has a sentence in `missed` of the result. Raises EvaluationError for data that
    cannot be read or that the bundle cannot answer, OptionError for a bad option, and BundleError, InputError and SessionError as
    `fnet_runtime.load` does.
    """
    return scores_from_bundle(
        Path(bundle),
        Path(data),
        columns=column,
        baseline=path_or_none(baseline),
        limits=Limits(min_accuracy=min_accuracy, max_accuracy_drop=max_accuracy_drop),
        limit=limit,
        runtime=runtime,
        threads=threads,
        progress=Calls(on_progress),
    )


def scores_from_bundle(
    bundle: Path,
    data: Path,
    *,
    columns: Mapping[str, str],
    baseline: Path | None,
    limits: Limits,
    limit: int | None,
    runtime: str,
    threads: int | None,
    progress: Progress,
) -> Scores:
    """Answer labelled data by a bundle, and by a baseline if there is one, and compare. Raises as `evaluate` does."""
    if limits.max_accuracy_drop is not None and baseline is None:
        raise OptionError("--max-accuracy-drop: expected --baseline as well, from which it is measured")
    if limit is not None and limit < 1:
        raise OptionError(f"--limit: expected 1 or more records, found {limit}")
    progress.stage("open")
    pipelines = [load(folder, runtime=runtime, threads=threads) for folder in (bundle, baseline) if folder is not None]
    check_comparable(pipelines[0], pipelines[-1])
    records = records_of_pipeline(data, pipelines[0], columns=columns, limit=limit)
    evaluations = []
    for pipeline, name in zip(pipelines, ("bundle", "baseline"), strict=False):
        progress.stage(f"answer {counted(len(records), 'record')}: {name}")
        evaluations.append(evaluation_from_pipeline(pipeline, records, on_progress=progress.step))
    first, other = evaluations[0], evaluations[1] if baseline is not None else None
    change = None if other is None else change_from_evaluations(first, other)
    return Scores(evaluation=first, baseline=other, change=change, missed=tuple(missed_limits(limits, first, change)))
