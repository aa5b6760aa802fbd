"""Two arrays compared: how far an output is from its reference, and whether it decides the same."""

import math
import statistics
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import EllipsisType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fnet_export.base.errors import CompareError
from fnet_export.evaluation.decisions import HIGHEST, differing
from fnet_export.parity.agreement import Agreement
from fnet_export.parity.tolerance import Errors, Limit

Array = npt.NDArray[np.floating]
TOP = 5
"""How many of the best choices are compared as a set, where there are MANY or more to choose from."""
MANY = 100
SCORED = 32
"""How many of a text's decisions between MANY are compared by distribution and by set, spread evenly, because they are costly."""
PART = 2**17
"""Numbers of an output that are compared at once: 1 MB in float64."""
LOG10_STEP = 0.5
LOG10_EDGES = tuple(float(edge) for edge in np.arange(-16, 3.5, LOG10_STEP))
"""Edges of the histogram of absolute errors; the first and the last bin hold what lies beyond."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far an output is from its reference.

    max_abs, mean_abs: largest and mean absolute error; max_rel: the largest over the reference's largest magnitude; cosine: the
    smallest over the last axis. agreement: how many decisions are equal, None if nothing is decided.

    kl and top5 are None unless the highest score is the decision. kl: the mean Kullback-Leibler divergence of the softmax from the
    reference's, in nats. top5: the mean share of the five best choices in common, if there are 100 choices or more.

    nonfinite_count: NaN and infinite values of the output. With any such value, the other figures are infinite, cosine and top5 are
    0, and every decision of that input differs.
    """

    max_abs: float
    mean_abs: float
    max_rel: float
    cosine: float
    kl: float | None
    agreement: Agreement | None
    top5: float | None
    nonfinite_count: int

    def within(self, limit: Limit) -> bool:
        """Return whether the output is finite and both errors are within the limit."""
        return self.nonfinite_count == 0 and self.max_abs <= limit.max_abs and self.mean_abs <= limit.mean_abs


@dataclass
class _Input:
    """What was found of one input, or of a part of it."""

    scale: float = 0.0
    max: float = 0.0
    sum: float = 0.0
    size: int = 0
    cosine: float = math.inf
    nonfinite: int = 0
    decisions: int = 0
    margins: list[npt.NDArray[np.float64]] = field(default_factory=list)
    """Return, for each decision that differs, the error of a score that makes it differ."""
    kl: list[float] = field(default_factory=list)
    top5: list[float] = field(default_factory=list)
    histogram: npt.NDArray[np.int64] | int = 0
    """Absolute errors of a part, by size."""

    def add(self, part: "_Input") -> None:
        """Take in what was found of a part."""
        self.scale, self.max = max(self.scale, part.scale), max(self.max, part.max)
        self.sum, self.size = self.sum + part.sum, self.size + part.size
        self.cosine = min(self.cosine, part.cosine)
        self.nonfinite, self.decisions = self.nonfinite + part.nonfinite, self.decisions + part.decisions
        self.margins += part.margins

    def differing(self, limit: Limit) -> tuple[int, int]:
        """Return how many decisions differ, and how many of these an error within the limit makes: ties."""
        if self.nonfinite:
            return self.decisions, 0
        return sum(len(margins) for margins in self.margins), sum(int((margins <= limit.max_abs).sum()) for margins in self.margins)


@dataclass
class Comparison:
    """Compares an output with its reference input by input, as if all were one array.

    `decision` is what the last axis decides (decisions.py), if anything. With `ties`, a decision that differs is a tie if an error
    within the limit makes it differ. Only float32 has ties, because rounding makes them. `histogram` has the number of absolute
    errors between LOG10_EDGES; it is filled where `counts` is set.
    """

    decision: str | None
    ties: bool = True
    counts: bool = False
    histogram: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LOG10_EDGES) - 1, np.int64))
    _inputs: dict[int, _Input] = field(default_factory=dict)

    def add(self, output: Array, reference: Array, inputs: Sequence[int] | None = None) -> None:
        """Take in `float[row, ..., n]` and a reference of the same shape; `inputs` number the rows, else they go on from before.

        Raises CompareError for shapes that differ, an empty array, a dtype that is not floating, or a reference that is not finite.
        """
        if output.shape != reference.shape or output.size == 0:
            raise CompareError(
                f"expected two arrays of one shape, found {list(output.shape)} and reference {list(reference.shape)}"
            )
        if not (np.issubdtype(output.dtype, np.floating) and np.issubdtype(reference.dtype, np.floating)):
            raise CompareError(f"expected floating arrays, found {output.dtype} and reference {reference.dtype}")
        first = len(self._inputs)
        for got, want, number in zip(output, reference, inputs or range(first, first + len(output)), strict=True):
            compared = self._inputs[number] = _Input()
            whole_got, whole_want = (torch.from_numpy(np.require(array, requirements=["C", "W"])) for array in (got, want))
            with _one_thread() as threads:
                parts = list(_parts(whole_got.shape))
                compare = partial(self._part, whole_got, whole_want)
                with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
                    for part in (pool.map if len(parts) > 1 else map)(compare, parts):
                        compared.add(part)
                        self.histogram += part.histogram
                if self.decision == HIGHEST and not compared.nonfinite:
                    _add_distributions(compared, whole_got, whole_want)

    def _part(self, whole_got: Tensor, whole_want: Tensor, part: slice | EllipsisType) -> "_Input":
        """Compare a part of one input."""
        got, want = whole_got[part].double(), whole_want[part].double()
        largest = float(want.abs().max())
        if not math.isfinite(largest):
            raise CompareError("the reference holds NaN or infinite values; expected finite ones")
        error = (got - want).abs_()
        worst, total = float(error.max()), float(error.sum())
        compared = _Input(scale=largest, max=worst if math.isfinite(worst) else math.inf)
        if self.decision is not None:
            compared.decisions = want[..., 0].numel() if self.decision == HIGHEST else want.numel()
        if not math.isfinite(total):
            compared.nonfinite = int(torch.count_nonzero(~torch.isfinite(got)))
            return compared
        compared.sum, compared.size, compared.cosine = total, error.numel(), _smallest_cosine(got, want)
        if self.counts:
            places = error.clamp_min_(10 ** LOG10_EDGES[0]).log10_().sub_(LOG10_EDGES[0]).mul_(1 / LOG10_STEP).long().flatten()
            compared.histogram = torch.bincount(places.clamp_(max=len(self.histogram) - 1), minlength=len(self.histogram)).numpy()
        if self.decision is not None:
            differs, margins = differing(got.numpy(), want.numpy(), self.decision)
            if differs.any():
                compared.margins.append(margins[differs])
        return compared

    @property
    def inputs(self) -> tuple[int, ...]:
        """Return the numbers of the inputs compared, in order."""
        return tuple(sorted(self._inputs))

    @property
    def row_errors(self) -> list[float]:
        """Return the largest error of each input."""
        return [self._inputs[number].max for number in self.inputs]

    def errors(self, inputs: Collection[int] | None = None) -> Errors:
        """Return the errors found, of some inputs only where given; infinite when something was not finite.

        Raises CompareError when nothing was compared.
        """
        compared = [value for number, value in self._inputs.items() if inputs is None or number in inputs]
        if not compared:
            raise CompareError("nothing was compared")
        scale = max(each.scale for each in compared)
        if any(each.nonfinite for each in compared):
            return Errors(scale=scale, max_abs=math.inf, mean_abs=math.inf)
        size = sum(each.size for each in compared)
        return Errors(scale=scale, max_abs=max(each.max for each in compared), mean_abs=sum(each.sum for each in compared) / size)

    def median_abs(self, inputs: Collection[int] | None = None) -> float:
        """Return the median of the inputs' mean errors, of some inputs only where given; infinite where one is."""
        chosen = [value for number, value in self._inputs.items() if inputs is None or number in inputs]
        return statistics.median(math.inf if each.nonfinite else each.sum / each.size for each in chosen)

    def otherwise(self, limit: Limit) -> tuple[frozenset[int], frozenset[int]]:
        """Return the inputs that hold a decision unlike the reference's, and those of them where every such decision is a tie."""
        differing = {number: self._differing(compared, limit) for number, compared in self._inputs.items()}
        unlike = frozenset(number for number, (differ, _) in differing.items() if differ)
        return unlike, frozenset(number for number in unlike if differing[number][0] == differing[number][1])

    def _differing(self, compared: _Input, limit: Limit) -> tuple[int, int]:
        differ, ties = compared.differing(limit)
        return differ, ties if self.ties else 0

    def difference(self, limit: Limit) -> Difference:
        """Return the result so far. The limit decides which decisions are ties. Raises CompareError if nothing was compared."""
        errors = self.errors()
        agreement = None
        if self.decision is not None:
            counted = [self._differing(compared, limit) for compared in self._inputs.values()]
            agreement = Agreement(
                decisions=sum(compared.decisions for compared in self._inputs.values()),
                differ=sum(differ for differ, _ in counted),
                ties=sum(ties for _, ties in counted),
            )
        nonfinite = sum(compared.nonfinite for compared in self._inputs.values())
        kl = [value for compared in self._inputs.values() for value in compared.kl]
        top5 = [value for compared in self._inputs.values() for value in compared.top5]
        if nonfinite:
            return Difference(
                max_abs=math.inf,
                mean_abs=math.inf,
                max_rel=math.inf,
                cosine=0.0,
                kl=math.inf if self.decision == HIGHEST else None,
                agreement=agreement,
                top5=0.0 if top5 else None,
                nonfinite_count=nonfinite,
            )
        return Difference(
            max_abs=errors.max_abs,
            mean_abs=errors.mean_abs,
            max_rel=errors.max_abs / errors.scale if errors.scale else (math.inf if errors.max_abs else 0.0),
            cosine=min(compared.cosine for compared in self._inputs.values()),
            kl=max(0.0, sum(kl) / len(kl)) if kl else None,
            agreement=agreement,
            top5=sum(top5) / len(top5) if top5 else None,
            nonfinite_count=0,
        )


@contextmanager
def _one_thread() -> Iterator[int]:
    """Keep each operation of torch to one thread, and give the number of threads that it had.

    On parts that fit a cache a second thread waits longer than it works (0.3 s an input, not 4 to 10). So threads share out parts.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def _parts(shape: Sequence[int]) -> Iterator[slice | EllipsisType]:
    """Cut one input's output along its first axis, so that the float64 copies of a part stay in a processor's cache."""
    if len(shape) < 2:
        yield ...
        return
    step = max(1, PART // math.prod(shape[1:]))
    for start in range(0, shape[0], step):
        yield slice(start, start + step)


def _smallest_cosine(got: Tensor, want: Tensor) -> float:
    """Return the smallest cosine along the last axis; 1 for two of nothing but zeros."""
    norms = torch.linalg.vector_norm(got, dim=-1), torch.linalg.vector_norm(want, dim=-1)
    products = norms[0] * norms[1]
    cosines = torch.where(products != 0, (got * want).sum(dim=-1) / products, 0.0)
    return float(torch.where((norms[0] == 0) & (norms[1] == 0), 1.0, cosines).min())


def _add_distributions(compared: _Input, got: Tensor, want: Tensor) -> None:
    """Compare the softmax of one input's scores, and the best choices where there are MANY: of some tokens, as it is costly."""
    if got.shape[-1] >= MANY and got.ndim > 1:
        places = np.linspace(0, got.shape[0] - 1, min(SCORED, got.shape[0])).astype(np.int64)
        got, want = got[places], want[places]
    got, want = got.double(), want.double()
    log_probabilities = want.log_softmax(dim=-1)
    compared.kl += (log_probabilities.exp() * (log_probabilities - got.log_softmax(dim=-1))).sum(dim=-1).flatten().tolist()
    if got.shape[-1] >= MANY:
        best, chosen = (scores.topk(TOP, dim=-1).indices for scores in (want, got))
        compared.top5 += (best[..., None] == chosen[..., None, :]).any(dim=-1).double().mean(dim=-1).flatten().tolist()
