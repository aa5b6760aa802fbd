"""A bundle's accuracy on labelled data, with intervals, and how it differs from another bundle's on the same texts."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fnet_runtime.bundle.strict_json import plain
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.pipeline import Pipeline

from fnet_export.base.errors import EvaluationError, OptionError
from fnet_export.evaluation.fields import AS_STATED
from fnet_export.evaluation.labelled import Record, records_from_file
from fnet_export.evaluation.metrics import Figure, Floats, Metric, figure_from_values, figure_of_metric, resampled_sums
from fnet_export.evaluation.scoring import SCORINGS, kind_from_pipeline

POINTS = "points of 100"
"""The unit of a share, as JSON has it."""
ROUNDING = 1e-9
"""In points: half a point asked for and half a point lost may differ in their last bits."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What a bundle scored: metrics, the main one first; counts, `float64[record, count]`; decisions, some per record.

    `decision` says what one decision is, `unread` how many words were past the sequence length.
    """

    kind: str
    metrics: tuple[Metric, ...]
    counts: Floats
    decisions: tuple[tuple[Hashable, ...], ...]
    unread: int

    def value(self, name: str | None = None) -> float:
        """Return one metric, the main one unless named: points of 100 where it is a share."""
        metric = next(metric for metric in self.metrics if name in (None, metric.name))
        return metric.of_counts(self.counts)

    def figures(self) -> dict[str, Figure]:
        """Return every metric with its interval, the main one first."""
        drawn = resampled_sums(self.counts)
        return {m.name: figure_of_metric(m, self.counts, drawn) for m in self.metrics}

    def shares_of_records(self) -> tuple[str, ...]:
        """Return the metrics whose interval is Wilson's, by name; those of the others are of the bootstrap."""
        return tuple(m.name for m in self.metrics if m.is_share_of_records(self.counts))

    def parts_of_records(self) -> dict[str, int]:
        """Return how many records each metric is about that is not about all of them, by name."""
        about = {m.name: m.parts[1] for m in self.metrics if m.parts and m.needs is not None}
        return {name: int(np.count_nonzero(self.counts[:, count])) for name, count in about.items()}


@dataclass(frozen=True, kw_only=True)
class Change:
    """A bundle against a baseline on the same records: differences (bundle less baseline), and decisions that differ."""

    differences: Mapping[str, Figure]
    decisions: int
    flipped: int

    @property
    def unchanged(self) -> float:
        """Share of the decisions that are the same; 1 where a task decides nothing."""
        return 1 - self.flipped / self.decisions if self.decisions else 1.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the main metric must reach, and by how much it may fall below a baseline's; both in points of 100.

    Raises OptionError for an invalid limit.
    """

    min_accuracy: float | None = None
    max_accuracy_drop: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not 0 <= value <= 100:
                raise OptionError(f"--{name.replace('_', '-')}: expected points of 100, 0 to 100; found {value:g}")


def records_of_pipeline(
    path: Path, pipeline: Pipeline, *, columns: Mapping[str, str] = AS_STATED, limit: int | None = None
) -> tuple[Record, ...]:
    """Read labelled data of a pipeline's task. Raises as `records_from_file` and `kind_from_pipeline` do."""
    scoring = SCORINGS[kind_from_pipeline(pipeline)]
    return records_from_file(path, scoring.read, pipeline.manifest.labels, columns=columns, limit=limit)


def check_record(pipeline: Pipeline, record: Record) -> None:
    """Encode a record. Raises EvaluationError, with its file and line, for one that the pipeline cannot answer."""
    try:
        pipeline.inputs(record.text, record.second)
    except InputError as error:
        raise EvaluationError(f"{record.where}: {error}") from error


def evaluation_from_pipeline(
    pipeline: Pipeline, records: Sequence[Record], *, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Evaluation:
    """Answer records and score the answers; of other weights or another engine, `replace(pipeline, session=...)` is enough.

    Raises EvaluationError for a record that the model cannot take, SessionError when the engine fails or overflows.
    """
    kind = kind_from_pipeline(pipeline)
    scoring, labels = SCORINGS[kind], pipeline.manifest.labels
    options = scoring.options(pipeline, records)
    scores = []
    size = pipeline.rows_at_once
    for start in range(0, len(records), size):
        batch = records[start : start + size]
        for record in batch:  # encoded twice, so that the line of a bad one is known
            check_record(pipeline, record)
        answers = scoring.answer(pipeline, batch, options)
        scores += [scoring.score(record, answer, labels) for record, answer in zip(batch, answers, strict=True)]
        on_progress(len(scores), len(records))
    counts = np.array([score.counts for score in scores], np.float64)
    return Evaluation(
        kind=kind,
        metrics=tuple(metric for metric in scoring.metrics(labels) if metric.is_about(counts)),
        counts=counts,
        decisions=tuple(score.decisions for score in scores),
        unread=sum(score.unread for score in scores),
    )


def change_from_evaluations(evaluation: Evaluation, baseline: Evaluation) -> Change:
    """Compare two evaluations of the same records; intervals are of the paired bootstrap.

    Raises EvaluationError unless they are of one kind and of as many decisions.
    """
    counts = [[len(made) for made in each.decisions] for each in (evaluation, baseline)]
    if evaluation.kind != baseline.kind or counts[0] != counts[1]:
        raise EvaluationError(
            f"expected two evaluations of one task on the same records; found {evaluation.kind} with {sum(counts[0])} decisions "
            f"and {baseline.kind} with {sum(counts[1])}"
        )
    differences = differences_from_evaluations(evaluation, baseline)
    pairs = zip(evaluation.decisions, baseline.decisions, strict=True)
    flipped = sum(a != b for made, before in pairs for a, b in zip(made, before, strict=True))
    return Change(differences=differences, decisions=sum(counts[0]), flipped=flipped)


def differences_from_evaluations(evaluation: Evaluation, baseline: Evaluation) -> dict[str, Figure]:
    """Return every metric less the baseline's on the same records, by name; intervals are of the paired bootstrap."""
    both = [(each.counts, resampled_sums(each.counts)) for each in (evaluation, baseline)]  # drawn alike, hence paired
    differences = {}
    for metric in evaluation.metrics:
        value, before = (metric.of_counts(counts) for counts, _ in both)
        resampled, resampled_before = (metric.of_resamples(counts, drawn) for counts, drawn in both)
        differences[metric.name] = figure_from_values(value - before, resampled - resampled_before)
    return differences


def values_from_figures(evaluation: Evaluation, figures: Mapping[str, Figure]) -> list[dict[str, Any]]:
    """Return figures of an evaluation's metrics as JSON's own types; an infinite figure is null."""
    return [
        {"name": metric.name, "unit": POINTS if metric.in_points else None} | plain(figures[metric.name])
        for metric in evaluation.metrics
    ]


def check_comparable(pipeline: Pipeline, baseline: Pipeline) -> None:
    """Raise EvaluationError unless two bundles answer the same question: one task, one list of labels.

    Where tokens are masked, one vocabulary and sequence length as well, or other tokens would be.
    """
    masks = pipeline.manifest.task in ("masked-lm", "pretraining")
    for what, actual, expected in zip(
        ("task", "labels", "sequence length", "vocabulary"), _meaning(pipeline, masks), _meaning(baseline, masks), strict=False
    ):
        if actual != expected:
            raise EvaluationError(f"the bundle and its baseline cannot be compared: {what} {actual}, of the baseline {expected}")


def missed_limits(limits: Limits, evaluation: Evaluation, change: Change | None) -> list[str]:
    """Return a sentence per limit that the main metric misses. Raises EvaluationError where the task has no such metric."""
    name = evaluation.metrics[0].name
    missed = []
    if limits != Limits() and not SCORINGS[evaluation.kind].limited:
        raise EvaluationError(f"{evaluation.kind}: has no accuracy that could have a limit; its main metric is the {name}")
    if limits.min_accuracy is not None and evaluation.value() < limits.min_accuracy - ROUNDING:
        missed.append(f"{name} is {evaluation.value():.2f} points, below the {limits.min_accuracy:g} asked for")
    drop = 0.0 if change is None else -change.differences[name].value
    if limits.max_accuracy_drop is not None and drop > limits.max_accuracy_drop + ROUNDING:
        missed.append(f"{name} is {drop:.2f} points below the baseline's; at most {limits.max_accuracy_drop:g} were asked for")
    return missed


def _meaning(pipeline: Pipeline, masks: bool) -> tuple[object, ...]:
    manifest = pipeline.manifest
    meaning = (kind_from_pipeline(pipeline), ", ".join(manifest.labels) or "none")
    if not masks:
        return meaning
    return (*meaning, manifest.sequence_length, (manifest.tokenizer, manifest.files[manifest.tokenizer.file].sha256))
