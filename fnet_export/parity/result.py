"""What a parity check found: a row for each way of running the model, and the whole."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fnet_runtime.bundle.manifest import FP16

from fnet_export.base.status import FAILED, NOT_RUN, PASSED
from fnet_export.parity.agreement import Agreement
from fnet_export.parity.compare import Difference
from fnet_export.parity.tolerance import DistanceLimit, Errors, Limit
from fnet_export.precision.headroom import Headroom


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far an output is from the emulation of its precision: mean errors, as the median of all inputs and over all."""

    median_abs: float
    mean_abs: float
    limit: DistanceLimit

    @property
    def within(self) -> bool:
        """Return whether both errors are within the limit."""
        return self.median_abs <= self.limit.median_abs and self.mean_abs <= self.limit.mean_abs


@dataclass(frozen=True, kw_only=True)
class OutputRow:
    """One output of one row: how it compared, its limit, whether it holds; in int8 and fp8 also its distance from the emulation.

    `too_few` says that fewer of its decisions are the reference's than --min-agreement asks for.
    """

    difference: Difference
    limit: Limit
    held: bool
    too_few: str | None = None
    from_emulation: Distance | None = None

    @property
    def passed(self) -> bool:
        """Return whether its limit holds, and enough of its decisions are the reference's."""
        return self.held and self.too_few is None

    @property
    def share_of_limit(self) -> float:
        """Return the largest of its errors in parts of its limit."""
        apart = self.from_emulation
        pairs = [(self.difference.max_abs, self.limit.max_abs), (self.difference.mean_abs, self.limit.mean_abs)]
        pairs += [] if apart is None else [(apart.median_abs, apart.limit.median_abs), (apart.mean_abs, apart.limit.mean_abs)]
        return max(error / limit if limit else (math.inf if error else 0.0) for error, limit in pairs)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of running the model: how it compared, or why it did not run.

    `inputs` is how many inputs it ran on. `answers` counts the inputs whose whole answer (label, span, entities of all tokens) is
    the reference's, None where nothing is decided. `median_ms` is what a run of one input takes. `notes` says which nodes a
    provider left to the CPU.
    """

    name: str
    precision: str
    status: str
    reason: str | None
    inputs: int
    median_ms: float | None
    answers: Agreement | None
    outputs: Mapping[str, OutputRow]
    notes: tuple[str, ...] = ()

    @property
    def too_few(self) -> tuple[str, ...]:
        """Say which of its outputs have fewer decisions of the reference's than --min-agreement asks for."""
        return tuple(output.too_few for output in self.outputs.values() if output.too_few is not None)

    @property
    def disagrees(self) -> bool:
        """Return whether it failed by more than --min-agreement."""
        return self.status == FAILED and not (self.too_few and all(output.held for output in self.outputs.values()))


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

    `inputs` is how many inputs the shipped row runs on. `expected` are the errors that limits are multiples of, by precision and
    output. `shipped` is the row of the bundle's own engine or graph, whether it ran or not. `timed_in_turns`: all rows were open
    when they were timed, and took turns input by input.
    """

    rows: tuple[Row, ...]
    inputs: int
    expected: Mapping[str, Mapping[str, Errors]]
    shipped: str | None = None
    timed_in_turns: bool = False
    shown: Shown | None = None

    @property
    def passed(self) -> bool:
        """Return whether something ran and nothing that ran failed."""
        return passed(self.rows)


def passed(rows: Iterable[Row]) -> bool:
    """Return whether something ran and nothing that ran failed."""
    statuses = {row.status for row in rows}
    return PASSED in statuses and FAILED not in statuses


def row_from_headroom(headroom: Headroom, *, kept: bool) -> Row:
    """Judge whether fp16 holds what the model reaches, which ONNX Runtime's CPU does not show: it keeps more between nodes.

    With nodes `kept` in float32, the model does not show it.
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
        inputs=0,
        median_ms=None,
        answers=None,
        outputs={},
    )
