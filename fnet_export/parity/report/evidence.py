"""The evidence of an export as JSON's own types: parity.json (docs/parity-json.md)."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from fnet_runtime.bundle.manifest import Manifest
from fnet_runtime.bundle.strict_json import plain
from fnet_runtime.command.exit_codes import CHECK_FAILED

from fnet_export.base.environment import environment_of_host
from fnet_export.base.errors import FNetExportError
from fnet_export.engine.layers.layer import EngineProfile
from fnet_export.engine.sessions.timing import Latency
from fnet_export.evaluation.accuracy import Accuracy
from fnet_export.parity.compare import LOG10_EDGES
from fnet_export.parity.layers import LayerError
from fnet_export.parity.report.accuracy import values_from_accuracy
from fnet_export.parity.result import OutputRow, ParityReport, Row, Shown
from fnet_export.parity.tolerance import RULE, Tolerance
from fnet_export.precision.headroom import Headroom
from fnet_export.precision.proof import PrecisionProof
from fnet_export.precision.sensitivity import Sensitivity
from fnet_export.texts.samples import EDGES, Samples
from fnet_export.texts.text_files import Texts
from fnet_export.texts.tokenizer.trained_length import TrainedLength

FORMAT = 3
REFERENCE = "torch float64, torch.fft, nothing lowered"
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """All that an export found out about a bundle, composed once, after the last stage.

    `manifest` says what the bundle is, `texts` and `samples` what it was compared on. `profile` has the layers of the engine, and
    is not a part of the verdict. `tolerance` is set where it replaced the
    measured limits, `quick` where fewer inputs and runtimes were compared. `proof`, `latency`, `headroom` and `sensitivity` are of
    other precisions than float32, `accuracy` where there were labelled data.
    """

    manifest: Manifest
    trained_length: TrainedLength
    texts: Texts
    samples: Samples
    parity: ParityReport
    layers: tuple[LayerError, ...]
    profile: EngineProfile
    tolerance: Tolerance | None = None
    quick: bool = False
    proof: PrecisionProof | None = None
    latency: Latency | None = None
    headroom: Headroom | None = None
    sensitivity: Sensitivity | None = None
    accuracy: Accuracy | None = None

    @property
    def passed(self) -> bool:
        """Return whether the runtimes agree with the reference, and no limit of the accuracy is missed."""
        return self.parity.passed and (self.accuracy is None or not self.accuracy.missed)

    def check(self) -> None:
        """Raise ParityError for a row that failed, AgreementError for too few equal decisions, AccuracyError for a missed limit."""
        rows = self.parity.rows
        too_few = [f"{row.name}: {text}" for row in rows for text in row.too_few]
        missed = [*too_few, *(self.accuracy.missed if self.accuracy is not None else ())]
        failed = ", ".join(row.name for row in rows if row.disagrees)
        if failed or not (self.parity.passed or too_few):
            raise ParityError("; ".join([f"parity failed: {failed or 'nothing ran'}", *missed]), self)
        if too_few:
            raise AgreementError("; ".join(missed), self)
        if missed:
            raise AccuracyError("; ".join(missed), self)


class ParityError(FNetExportError):
    """A runtime disagrees with the reference; `evidence` says which and by how much."""

    exit_code = CHECK_FAILED

    def __init__(self, message: str, evidence: Evidence) -> None:
        """Take the message and the evidence that it is about."""
        super().__init__(message)
        self.evidence = evidence


class AgreementError(ParityError):
    """A bundle is within the limits of its reference, but fewer of its decisions are the reference's than was asked for."""


class AccuracyError(ParityError):
    """A bundle agrees with its reference, but is less accurate on labelled data than was asked for."""


def values_from_evidence(evidence: Evidence) -> dict[str, Any]:
    """Return the content of parity.json; an infinite number is null, because JSON cannot hold it."""
    report, manifest, accuracy = evidence.parity, evidence.manifest, evidence.accuracy
    shown = report.shown
    texts = {f"text {i}": text for i, text in enumerate(evidence.texts.texts)}
    names = evidence.samples.names
    values = {
        "format": FORMAT,
        "passed": evidence.passed,
        "quick": evidence.quick,
        "shipped": report.shipped,
        "bundle": {
            "model": manifest.source.id,
            "task": manifest.task,
            "target": manifest.target,
            "precision": manifest.precision,
            "transform": manifest.transform,
            "sequence_length": manifest.sequence_length,
            "padding": manifest.padding,
        },
        "trained_length": evidence.trained_length.values(manifest.text_padding),
        "reference": REFERENCE,
        "samples": {
            "name": evidence.texts.name,
            "sha256": evidence.texts.sha256,
            "inputs": len(names),
            "texts": sum(name in texts for name in names),
            "edges": [name for name in names if name in EDGES],
            "random": sum(name not in texts and name not in EDGES for name in names),
        },
        "rule": [*RULE, *_replaced_rule(evidence.tolerance)],
        "timed_in_turns": report.timed_in_turns,
        "rows": [_row(row) for row in report.rows],
        "expected": {
            precision: {name: asdict(errors) for name, errors in outputs.items()} for precision, outputs in report.expected.items()
        },
        "histogram": None if shown is None else _histogram(shown),
        "worst": [] if shown is None else [asdict(w) | {"text": texts.get(w.name, "")[:SHOWN_CHARACTERS]} for w in shown.worst],
        "layers": [asdict(layer) for layer in evidence.layers],
        "engine_layers": asdict(evidence.profile),
        "proof": None if evidence.proof is None else asdict(evidence.proof),
        "headroom": None if evidence.headroom is None else asdict(evidence.headroom),
        "latency": None if evidence.latency is None else asdict(evidence.latency),
        "sensitivity": None if evidence.sensitivity is None else asdict(evidence.sensitivity),
        "evaluation": None if accuracy is None else values_from_accuracy(accuracy, manifest, evidence.trained_length),
        "environment": asdict(environment_of_host()),
        "files": {name: asdict(info) for name, info in manifest.files.items()},
    }
    finite: dict[str, Any] = plain(values)
    return finite


def _replaced_rule(tolerance: Tolerance | None) -> Iterator[str]:
    if tolerance is not None:
        yield f"--atol and --rtol replaced the limit: {tolerance.atol} plus {tolerance.rtol} times the largest reference magnitude."


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "precision": row.precision,
        "status": row.status,
        "reason": row.reason,
        "notes": list(row.notes),
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
    counts = {name: list(bins) for name, bins in shown.histogram.items()}
    return {"row": shown.row, "log10_edges": list(LOG10_EDGES), "counts": counts}
