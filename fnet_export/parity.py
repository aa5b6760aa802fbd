"""Parity: every way of running the model against its float64 torch.fft reference, on the same real inputs."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from fnet_runtime.errors import NoDeviceError
from fnet_runtime.manifest import BF16, FP16, FP32, INT8
from fnet_runtime.session import Ids, Outputs, Session, run_in_batches

from fnet_core.fnet import FNet
from fnet_export.compare import Comparison, Difference
from fnet_export.headroom import Headroom
from fnet_export.inputs import Samples
from fnet_export.lower import AtPositions
from fnet_export.proof import PrecisionProof
from fnet_export.sensitivity import Sensitivity
from fnet_export.status import FAILED, NOT_RUN, PASSED
from fnet_export.timing import Latency
from fnet_export.torch_session import ROWS_AT_ONCE, TorchSession

KEPT_BYTES = 1_000_000_000
"""Of the reference's outputs, what is kept at once: one row of vocabulary logits of fnet-base is 131 MB in float64."""

UNITS = {FP16: 2.0**-10, BF16: 2.0**-7, INT8: 1 / 127}
"""Distance of the numbers that can be stored, in parts of the number (int8: of the largest of its tensor)."""

Opener = Callable[[], Session]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of running the model: how it compared, or why it did not run."""

    name: str
    status: str
    reason: str | None
    relative_limit: float
    outputs: Mapping[str, Difference]


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """What was compared with the reference, and how far apart it was; the limit is that of the bundle's own precision.

    In another precision than float32 also what of it really runs, the headroom of half precision, how long a run takes here beside
    other precisions, and what was kept out of int8 for the accuracy.
    """

    relative_limit: float
    rows: tuple[Row, ...]
    proof: PrecisionProof | None = None
    headroom: Headroom | None = None
    latency: Latency | None = None
    sensitivity: Sensitivity | None = None

    @property
    def passed(self) -> bool:
        """Tell whether something ran and nothing that ran failed."""
        statuses = {row.status for row in self.rows}
        return PASSED in statuses and FAILED not in statuses

    def to_json(self) -> str:
        """Return parity.json's text; an infinite figure is null, since JSON has no word for it."""
        values = {"passed": self.passed} | asdict(self)
        return json.dumps(_finite(values), indent=2) + "\n"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way of running the model: what opens it, or why there is nothing to open; its precision."""

    name: str
    open: Opener | str
    precision: str = FP32


def relative_limit(num_hidden_layers: int, precision: str = FP32) -> float:
    """Largest error of an output, in parts of its largest reference.

    Rounding errors of a float32 layer's long sums are a few units of least precision and add up over layers (Higham, Accuracy and
    Stability of Numerical Algorithms, 2002, section 3.1); 64 units per layer leave room for any order of summation. In half
    precision and int8, sums are float32 and what is stored between them is rounded, by a unit at most and in either direction, so
    that errors add up as their squares do; eight units leave room for tensors whose largest number is far from the rest.
    """
    if precision == FP32:
        return 64 * float(np.finfo(np.float32).eps) * (num_hidden_layers + 2)
    return 8 * UNITS[precision] * math.sqrt(num_hidden_layers + 2)


def parity_from_candidates(
    reference: FNet | AtPositions,
    candidates: Sequence[Candidate],
    samples: Samples,
    *,
    precision: str = FP32,
    on_progress: Callable[[int, int], None] | None = None,
) -> ParityReport:
    """Run every candidate and the reference, a float64 model with `fft` mixing, on all samples, a few rows at a time.

    One candidate is open at a time, so that no more than two models are in memory; each is opened again for every KEPT_BYTES of
    the reference's outputs. One that this host has no device for is a row "not run" with the reason. Raises SessionError when one
    fails otherwise.
    """
    limits = {candidate.name: relative_limit(reference.config.num_hidden_layers, candidate.precision) for candidate in candidates}
    reasons = {candidate.name: candidate.open for candidate in candidates if isinstance(candidate.open, str)}
    found: dict[str, dict[str, Comparison]] = {}
    decides = reference.task.decides
    waiting = list(_chunks(len(samples.names)))
    done, total = 0, len(samples.names) * (len(candidates) + 1 - len(reasons))

    def step(rows: int) -> None:
        nonlocal done
        done += rows
        if on_progress is not None:
            on_progress(done, total)

    while waiting:
        kept: list[tuple[dict[str, Ids], Outputs]] = []
        while waiting and sum(array.nbytes for _, wanted in kept for array in wanted.values()) < KEPT_BYTES:
            inputs = samples.rows(*waiting.pop(0))
            kept.append((inputs, TorchSession(reference).run(inputs)))
            step(_rows(inputs))
        for candidate in candidates:
            if isinstance(candidate.open, str):
                continue
            try:
                session = candidate.open()
            except NoDeviceError as error:
                reasons[candidate.name] = str(error)
                step(sum(_rows(inputs) for inputs, _ in kept))
                continue
            comparisons = found.setdefault(
                candidate.name,
                {name: Comparison(decides=decides, relative_limit=limits[candidate.name]) for name in reference.task.outputs},
            )
            for inputs, wanted in kept:
                outputs = run_in_batches(session, inputs)
                for name, comparison in comparisons.items():
                    comparison.add(outputs[name], wanted[name])
                step(_rows(inputs))
            del session
    rows = []
    for candidate in candidates:
        differences = {output: comparison.difference() for output, comparison in found.get(candidate.name, {}).items()}
        limit = limits[candidate.name]
        status = NOT_RUN if not differences else PASSED if all(d.within(limit) for d in differences.values()) else FAILED
        rows.append(
            Row(
                name=candidate.name,
                status=status,
                reason=reasons.get(candidate.name),
                relative_limit=limit,
                outputs=differences,
            )
        )
    return ParityReport(relative_limit=relative_limit(reference.config.num_hidden_layers, precision), rows=tuple(rows))


def _chunks(total: int) -> Iterator[tuple[int, int]]:
    """One row first, then a few at a time: two batch sizes at least."""
    yield 0, 1
    for start in range(1, total, ROWS_AT_ONCE):
        yield start, min(start + ROWS_AT_ONCE, total)


def _rows(inputs: Mapping[str, Ids]) -> int:
    return len(next(iter(inputs.values())))


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
