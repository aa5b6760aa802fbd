"""Parity: every way of running the model against its float64 torch.fft reference, on the same real inputs."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from fnet_runtime.errors import NoDeviceError, SessionError
from fnet_runtime.manifest import FP16, FP32
from fnet_runtime.session import Ids, Outputs, Session, run_in_batches

from fnet_core.fnet import FNet
from fnet_export.answer_text import texts_from_outputs
from fnet_export.compare import Comparison, Difference
from fnet_export.errors import CompareError
from fnet_export.headroom import Headroom
from fnet_export.inputs import Samples
from fnet_export.layers import LayerError
from fnet_export.lower import AtPositions
from fnet_export.proof import PrecisionProof
from fnet_export.sensitivity import Sensitivity
from fnet_export.status import FAILED, NOT_RUN, PASSED
from fnet_export.timing import Latency
from fnet_export.tolerance import Errors, Limit, Tolerance, expected_from_errors, limit_from_expected
from fnet_export.torch_session import ROWS_AT_ONCE, TorchSession

KEPT_BYTES = 1_000_000_000
"""Of the reference's outputs, what is kept at once: one row of vocabulary logits of fnet-base is 131 MB in float64."""
TIMED_RUNS = 5
"""Runs of one row that a row's median is of, after one that warms up; its session alone is open meanwhile."""
WORST = 10

Opener = Callable[[], Session]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way of running the model: what opens it, or why there is nothing to open; its precision.

    `expected`: its error is what its precision is expected to have; the first one of a precision counts. `shipped`: it runs a file
    of the bundle as that is meant to be run. `needed`: that it cannot be opened, or fails
    later, is an error; of others the first is a reason for not having run, the second a failed row.
    """

    name: str
    open: Opener | str
    precision: str = FP32
    expected: bool = False
    shipped: bool = False
    needed: bool = True


@dataclass(frozen=True, kw_only=True)
class OutputRow:
    """One output of one row: how it compared, with what limit, and whether that holds."""

    difference: Difference
    limit: Limit
    passed: bool

    @property
    def share_of_limit(self) -> float:
        """Return the larger of both errors in parts of its limit."""
        pairs = ((self.difference.max_abs, self.limit.max_abs), (self.difference.mean_abs, self.limit.mean_abs))
        return max(error / limit if limit else (math.inf if error else 0.0) for error, limit in pairs)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of running the model: how it compared, or why it did not run.

    `answers_agree` is the share of inputs whose whole answer (label, span, entities of all tokens) is the reference's, None where
    nothing is decided; `median_ms` is what a run of one input takes.
    """

    name: str
    precision: str
    status: str
    reason: str | None
    median_ms: float | None
    answers_agree: float | None
    outputs: Mapping[str, OutputRow]


@dataclass(frozen=True, kw_only=True)
class WorstInput:
    """One of the inputs that the shipped row is farthest off on, in parts of the limit, with both answers in words."""

    name: str
    share_of_limit: float
    reference: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The shipped row that ran last, closer: its worst inputs, and how many errors lie between compare.LOG10_EDGES, by output."""

    row: str
    worst: tuple[WorstInput, ...]
    histogram: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """What was compared with the reference, and how far apart it was.

    `expected` are the errors that limits are multiples of, by precision and output; `shipped` is the row of the bundle's own engine
    or graph, whether it ran or not. In another precision than float32 also what of
    it really runs, the headroom of half precision, how long a run takes here beside other precisions, and what was kept out of int8
    for the accuracy.
    """

    rows: tuple[Row, ...]
    expected: Mapping[str, Mapping[str, Errors]]
    shipped: str | None = None
    shown: Shown | None = None
    layers: tuple[LayerError, ...] = ()
    proof: PrecisionProof | None = None
    headroom: Headroom | None = None
    latency: Latency | None = None
    sensitivity: Sensitivity | None = None

    @property
    def passed(self) -> bool:
        """Tell whether something ran and nothing that ran failed."""
        statuses = {row.status for row in self.rows}
        return PASSED in statuses and FAILED not in statuses


def parity_from_candidates(
    reference: FNet | AtPositions,
    candidates: Sequence[Candidate],
    samples: Samples,
    *,
    tolerance: Tolerance | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ParityReport:
    """Run every candidate and the reference, a float64 model with `fft` mixing, on all samples, a few rows at a time.

    One candidate is open at a time, so that no more than two models are in memory; each is opened again for every KEPT_BYTES of
    the reference's outputs. One that this host has no device for, or that is not needed and cannot be opened, is a row "not run"
    with the reason; one that is not needed and fails later is a failed row. A tolerance stands in for the measured limits. Raises
    SessionError when one fails otherwise, CompareError when
    a precision has nothing that says what to expect of it.
    """
    unexpected = {c.precision for c in candidates} - {c.precision for c in candidates if c.expected}
    if unexpected:
        raise CompareError(f"expected a candidate that says what to expect of {', '.join(sorted(unexpected))}; found none")
    runs = [_Run(candidate, reference) for candidate in candidates]
    waiting = list(_chunks(len(samples.names)))
    done, total = 0, len(samples.names) * (1 + sum(run.reason is None for run in runs))

    def step(rows: int) -> None:
        nonlocal done
        done += rows
        if on_progress is not None:
            on_progress(done, total)

    answers: list[str] = []
    while waiting:
        kept: list[tuple[dict[str, Ids], Outputs]] = []
        while waiting and sum(array.nbytes for _, wanted in kept for array in wanted.values()) < KEPT_BYTES:
            inputs = samples.rows(*waiting.pop(0))
            wanted = TorchSession(reference).run(inputs)
            kept.append((inputs, wanted))
            answers += texts_from_outputs(reference.task, reference.config, wanted)
            step(_rows(inputs))
        for run in runs:
            if run.reason is None:
                run.compare(kept, step)
    expected: dict[str, dict[str, Errors]] = {}
    for run in runs:
        if run.candidate.expected and run.candidate.precision not in expected:
            expected[run.candidate.precision] = run.expected()
    limits = {
        precision: {name: limit_from_expected(errors, tolerance) for name, errors in outputs.items()}
        for precision, outputs in expected.items()
    }
    shipped = [run for run in runs if run.candidate.shipped and run.reason is None]
    return ParityReport(
        rows=tuple(run.row(limits.get(run.candidate.precision, {})) for run in runs),
        expected=expected,
        shipped=next((candidate.name for candidate in reversed(candidates) if candidate.shipped), None),
        shown=shipped[-1].shown(samples.names, answers, limits[shipped[-1].candidate.precision]) if shipped else None,
    )


def row_from_headroom(headroom: Headroom, *, kept: bool) -> Row:
    """Judge whether fp16 holds what the model reaches, which ONNX Runtime's CPU does not show: it keeps more between nodes.

    With nodes `kept` in float32 the model does not tell.
    """
    layer, tensor, largest = headroom.place
    status = NOT_RUN if kept else PASSED if largest <= headroom.limit else FAILED
    reasons = {
        FAILED: f"layer {layer}: {tensor} reaches {largest:.0f} on these inputs, and fp16 ends at {headroom.limit:.0f}; export "
        "with --precision bf16, or keep that layer in float32 (--keep-float32)",
        NOT_RUN: "nodes are kept in float32; fnet-export bisect runs such a graph node by node",
    }
    return Row(
        name="range of fp16",
        precision=FP16,
        status=status,
        reason=reasons.get(status),
        median_ms=None,
        answers_agree=None,
        outputs={},
    )


class _Run:
    """What is found of one candidate, part by part."""

    def __init__(self, candidate: Candidate, reference: FNet | AtPositions) -> None:
        self.candidate, self._task, self._config = candidate, reference.task, reference.config
        self.reason = candidate.open if isinstance(candidate.open, str) else None
        self.failed = False
        counts = candidate.shipped
        self.found = {name: Comparison(decides=self._task.decides, counts=counts) for name in self._task.outputs}
        self._answers: list[str] = []
        self._median_ms: float | None = None

    def compare(self, kept: Sequence[tuple[Mapping[str, Ids], Outputs]], step: Callable[[int], None]) -> None:
        """Open the candidate, run it on what the reference ran on, and time it; or keep the reason why not."""
        assert not isinstance(self.candidate.open, str)
        try:
            session = self.candidate.open()
        except SessionError as error:
            if self.candidate.needed and not isinstance(error, NoDeviceError):
                raise
            self.reason = str(error)
            step(sum(_rows(inputs) for inputs, _ in kept))
            return
        try:
            for inputs, wanted in kept:
                outputs = run_in_batches(session, inputs)
                for name, comparison in self.found.items():
                    comparison.add(outputs[name], wanted[name])
                if self.candidate.shipped:
                    self._answers += texts_from_outputs(self._task, self._config, outputs)
                step(_rows(inputs))
            if self._median_ms is None:
                self._median_ms = _median_ms(session, kept[0][0])
        except SessionError as error:
            if self.candidate.needed:
                raise
            self.reason, self.failed = str(error), True

    def expected(self) -> dict[str, Errors]:
        """Return what to expect of the candidate's precision. Raises CompareError when it cannot hold the outputs at all."""
        precision = self.candidate.precision
        found = {name: expected_from_errors(comparison.errors(), precision) for name, comparison in self.found.items()}
        for name, errors in found.items():
            if not math.isfinite(errors.max_abs):
                raise CompareError(
                    f"{name}: {self.candidate.name} gives NaN or infinite values for this checkpoint; expected finite ones. "
                    "Its weights are damaged, or need another --precision"
                )
        return found

    def row(self, limits: Mapping[str, Limit]) -> Row:
        """Judge what was found."""
        outputs: dict[str, OutputRow] = {}
        agree = None
        if self.reason is None:
            for name, comparison in self.found.items():
                difference = comparison.difference(limits[name])
                outputs[name] = OutputRow(difference=difference, limit=limits[name], passed=difference.within(limits[name]))
            if self._task.decides:
                wrong = frozenset().union(*(found.rows_decided_otherwise(limits[name]) for name, found in self.found.items()))
                agree = 1.0 - len(wrong) / len(next(iter(self.found.values())).row_errors)
        status = PASSED if all(o.passed for o in outputs.values()) else FAILED
        if self.reason is not None:
            status = FAILED if self.failed else NOT_RUN
        return Row(
            name=self.candidate.name,
            precision=self.candidate.precision,
            status=status,
            reason=self.reason,
            median_ms=self._median_ms,
            answers_agree=agree,
            outputs=outputs,
        )

    def shown(self, names: Sequence[str], answers: Sequence[str], limits: Mapping[str, Limit]) -> Shown:
        """Show the row closer; `answers` are the reference's."""
        shares: npt.NDArray[np.float64] = np.max(
            [np.array(found.row_errors) / (limits[name].max_abs or np.inf) for name, found in self.found.items()], axis=0
        )
        worst = np.argsort(-shares, kind="stable")[:WORST]
        return Shown(
            row=self.candidate.name,
            worst=tuple(
                WorstInput(name=names[i], share_of_limit=float(shares[i]), reference=answers[i], answer=self._answers[i])
                for i in worst
            ),
            histogram={name: tuple(int(n) for n in found.histogram) for name, found in self.found.items()},
        )


def _median_ms(session: Session, inputs: Mapping[str, Ids]) -> float:
    times = []
    for _ in range(1 + TIMED_RUNS):
        start = time.perf_counter()
        run_in_batches(session, inputs)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def _chunks(total: int) -> Iterator[tuple[int, int]]:
    """One row first, then a few at a time: two batch sizes at least."""
    yield 0, 1
    for start in range(1, total, ROWS_AT_ONCE):
        yield start, min(start + ROWS_AT_ONCE, total)


def _rows(inputs: Mapping[str, Ids]) -> int:
    return len(next(iter(inputs.values())))
