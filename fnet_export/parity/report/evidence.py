"""The evidence of an export as JSON's own types: parity.json (docs/parity-json.md)."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fnet_runtime.bundle.manifest import FileInfo
from fnet_runtime.bundle.strict_json import plain

from fnet_export.base.environment import environment_of_host
from fnet_export.evaluate.accuracy import Accuracy
from fnet_export.export.plan import Plan
from fnet_export.parity.compare import LOG10_EDGES
from fnet_export.parity.report.accuracy import values_from_accuracy
from fnet_export.parity.result import OutputRow, ParityReport, Row, Shown
from fnet_export.parity.tolerance import RULE
from fnet_export.texts.samples import EDGES, Samples

FORMAT = 3
REFERENCE = "torch float64, torch.fft, nothing lowered"
SHOWN_CHARACTERS = 200


def values_from_report(
    plan: Plan, report: ParityReport, samples: Samples, files: Mapping[str, FileInfo], accuracy: Accuracy | None = None
) -> dict[str, Any]:
    """Return parity.json's content; an infinite figure is null, since JSON has no word for it."""
    options, shown = plan.options, report.shown
    texts = {f"text {i}": text for i, text in enumerate(plan.samples.texts)}
    values = {
        "format": FORMAT,
        "passed": report.passed and (accuracy is None or not accuracy.missed),
        "quick": report.quick,
        "shipped": report.shipped,
        "bundle": {
            "model": plan.checkpoint.source.id,
            "task": plan.task.name,
            "target": options.target,
            "precision": options.precision,
            "transform": plan.transform.name,
            "sequence_length": plan.sequence_length,
        },
        "trained_length": plan.trained_length.values(plan.sequence_length),
        "reference": REFERENCE,
        "samples": {
            "name": plan.samples.name,
            "sha256": plan.samples.sha256,
            "inputs": len(samples.names),
            "texts": sum(name in texts for name in samples.names),
            "edges": [name for name in samples.names if name in EDGES],
            "random": sum(name not in texts and name not in EDGES for name in samples.names),
        },
        "rule": [
            *RULE,
            *(
                ()
                if plan.tolerance is None
                else (f"replaced here by atol + rtol * scale: atol {plan.tolerance.atol}, rtol {plan.tolerance.rtol}",)
            ),
        ],
        "rows": [_row(row) for row in report.rows],
        "expected": {
            precision: {name: asdict(errors) for name, errors in outputs.items()} for precision, outputs in report.expected.items()
        },
        "histogram": None if shown is None else _histogram(shown),
        "worst": [] if shown is None else [asdict(w) | {"text": texts.get(w.name, "")[:SHOWN_CHARACTERS]} for w in shown.worst],
        "layers": [asdict(layer) for layer in report.layers],
        "proof": None if report.proof is None else asdict(report.proof),
        "headroom": None if report.headroom is None else asdict(report.headroom),
        "latency": None if report.latency is None else asdict(report.latency),
        "sensitivity": None if report.sensitivity is None else asdict(report.sensitivity),
        "evaluation": None if accuracy is None else values_from_accuracy(accuracy, plan),
        "environment": asdict(environment_of_host()),
        "files": {name: asdict(info) for name, info in files.items()},
    }
    finite: dict[str, Any] = plain(values)
    return finite


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "precision": row.precision,
        "status": row.status,
        "reason": row.reason,
        "inputs": row.inputs,
        "median_ms": row.median_ms,
        "answers": None if row.answers is None else row.answers.values(),
        "outputs": {name: _output(output) for name, output in row.outputs.items()},
    }


def _output(output: OutputRow) -> dict[str, Any]:
    agreement, apart = output.difference.agreement, output.from_emulation
    return asdict(output.difference) | {
        "agreement": None if agreement is None else agreement.values(),
        "limit_max_abs": output.limit.max_abs,
        "limit_mean_abs": output.limit.mean_abs,
        "from_emulation": None
        if apart is None
        else {
            "median_abs": apart.median_abs,
            "mean_abs": apart.mean_abs,
            "limit_median_abs": apart.limit.median_abs,
            "limit_mean_abs": apart.limit.mean_abs,
        },
        "passed": output.passed,
    }


def _histogram(shown: Shown) -> dict[str, Any]:
    counts = {name: list(found) for name, found in shown.histogram.items()}
    return {"row": shown.row, "log10_edges": list(LOG10_EDGES), "counts": counts}
