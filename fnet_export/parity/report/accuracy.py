"""The accuracy of an export as parity.json has it, and for people: a table, and sentences."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fnet_runtime.bundle.manifest import Manifest
from fnet_runtime.tokenizer.encoding import NONE, Padding
from rich import box
from rich.markup import escape
from rich.table import Table

from fnet_export.evaluation.accuracy import OWN_LENGTHS, Accuracy, Gap, Measurement
from fnet_export.evaluation.evaluation import POINTS, values_from_figures
from fnet_export.evaluation.metrics import Figure
from fnet_export.parity.report.wording import interval
from fnet_export.texts.tokenizer.trained_length import TrainedLength


def values_from_accuracy(accuracy: Accuracy, manifest: Manifest, trained: TrainedLength) -> dict[str, Any]:
    """Return `evaluation` of parity.json; infinite figures are null."""
    data = accuracy.data
    return {
        "data": {"name": data.name, "sha256": data.sha256, "records": len(data.records)},
        "min_accuracy": accuracy.limits.min_accuracy,
        "missed": list(accuracy.missed),
        "findings": _findings(accuracy, manifest, trained),
        "runs": [_run(accuracy, measurement) for measurement in (accuracy.bundle, *accuracy.checkpoints)],
    }


def _run(accuracy: Accuracy, measurement: Measurement) -> dict[str, Any]:
    evaluation, gap = measurement.evaluation, accuracy.gap(measurement) if measurement is not accuracy.bundle else None
    return {
        "name": measurement.name,
        "runtime": measurement.runtime,
        "reason": measurement.reason,
        "unread_words": evaluation.unread if evaluation is not None else 0,
        "metrics": values_from_figures(evaluation, evaluation.figures()) if evaluation is not None else [],
        "difference": None if gap is None else asdict(gap.difference) | {"significant": gap.significant},
    }


def _findings(accuracy: Accuracy, manifest: Manifest, trained: TrainedLength) -> list[str]:
    """Say in a sentence what each significant difference means."""
    sentences = []
    for checkpoint in accuracy.checkpoints:
        gap = accuracy.gap(checkpoint)
        if gap is None or not gap.significant:
            continue
        what = (
            f"The {gap.metric.name} of the bundle is {_shown(gap, gap.bundle)}, and that of the {checkpoint.name}, is "
            f"{_shown(gap, gap.checkpoint)}. The difference is significant."
        )
        sentences.append(f"{what} {_meaning(gap, checkpoint, manifest, trained)}")
    return sentences


def _meaning(gap: Gap, checkpoint: Measurement, manifest: Manifest, trained: TrainedLength) -> str:
    length = manifest.sequence_length
    if manifest.padding == NONE:
        if checkpoint.name == OWN_LENGTHS and manifest.text_padding != Padding(trained.length, NONE):
            multiple = "" if manifest.pad_to_multiple_of == 1 else f", and pads to a multiple of {manifest.pad_to_multiple_of}"
            return f"The bundle takes at most {length} tokens{multiple}; the checkpoint took {trained.length} without padding."
        if checkpoint.name == OWN_LENGTHS:
            return f"The bundle runs each text as the checkpoint does, so {manifest.precision} makes the difference."
        probably = "" if gap.better else " not"
        return f"The bundle runs each text at its own length, which is probably{probably} how the checkpoint was trained."
    if gap.better and checkpoint.name == OWN_LENGTHS:
        return "Training probably padded its texts: a pipeline of transformers does not, and answers differently from the bundle."
    if gap.better:
        return f"The checkpoint answers better at {length} tokens than at the stated length."
    if length == trained.length and (trained.padded or checkpoint.name != OWN_LENGTHS):
        return f"The bundle pads as the checkpoint does, so its precision, {manifest.precision}, costs this accuracy."
    return f"The bundle pads every text to {length} tokens, which is probably not how the checkpoint was trained."


def _shown(gap: Gap, figure: Figure) -> str:
    return interval(asdict(figure) | {"unit": POINTS if gap.metric.in_points else None})


def table_from_evaluation(values: Mapping[str, Any]) -> Table:
    """Return a table of `evaluation` of parity.json: a line for each way of answering, a column for each metric."""
    data = values["data"]
    reasons = (f"{run['name']}: not run: {run['reason']}" for run in values["runs"] if run["reason"])
    table = Table(
        title=f"Accuracy on {data['records']} records of {escape(data['name'])}, with 95 % intervals",
        caption=escape("\n".join(reasons)) or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    names = list(dict.fromkeys(metric["name"] for run in values["runs"] for metric in run["metrics"]))
    table.add_column("answered by", overflow="fold")
    for name in names:
        table.add_column(escape(name), justify="right")
    for run in values["runs"]:
        metrics = {metric["name"]: interval(metric) for metric in run["metrics"]}
        table.add_row(
            f"{escape(run['name'])} [dim]({escape(run['runtime'])})[/]", *(metrics.get(name, "not run") for name in names)
        )
    return table
