"""Two arrays compared: how far an output is from its reference, and whether it decides the same."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from fnet_runtime.golden import smallest_cosine

from fnet_export.errors import CompareError
from fnet_export.tolerance import Errors, Limit

Array = npt.NDArray[np.floating]
TOP = 5
"""How many of the best choices are compared as a set, where there are MANY or more to choose from."""
MANY = 100
SCORED = 32
"""Of a text's decisions between MANY, how many are compared by distribution and by set: spread evenly, for they are costly."""
LOG10_EDGES = tuple(float(edge) for edge in np.arange(-16, 3.5, 0.5))
"""Edges of the histogram of absolute errors; the first and the last bin hold what lies beyond."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far an output is from its reference.

    max_abs, mean_abs: largest and mean absolute error; max_rel: the largest over the reference's largest magnitude; cosine: the
    smallest over the last axis. Where the output decides something, else None: kl, the mean Kullback-Leibler divergence of its
    softmax from the reference's, in nats; decision_agreement, the share of equal decisions; top5, the mean share of the five best
    choices in common, where there are 100 or more. nonfinite_count: NaN and infinite values of the output, any of which makes the
    other figures infinite, and cosine, agreement and top5 nought.
    """

    max_abs: float
    mean_abs: float
    max_rel: float
    cosine: float
    kl: float | None
    decision_agreement: float | None
    top5: float | None
    nonfinite_count: int

    def within(self, limit: Limit) -> bool:
        """Tell whether the output agrees: finite, within the limit, and every decision the same."""
        close = self.max_abs <= limit.max_abs and self.mean_abs <= limit.mean_abs
        return self.nonfinite_count == 0 and close and self.decision_agreement in (None, 1.0)


@dataclass
class Comparison:
    """Compares an output with its reference batch by batch, as if all batches were one array.

    `decides` tells that the highest score along the last axis is an answer. `row_errors` are the largest errors of each row,
    `histogram` the number of absolute errors between LOG10_EDGES; it is filled where `counts` is set.
    """

    decides: bool
    counts: bool = False
    row_errors: list[float] = field(default_factory=list)
    histogram: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LOG10_EDGES) - 1, np.int64))
    _scale: float = 0.0
    _max: float = 0.0
    _sum: float = 0.0
    _size: int = 0
    _cosine: float = math.inf
    _nonfinite: int = 0
    _decisions: int = 0
    _margins: list[tuple[npt.NDArray[np.int64], Array]] = field(default_factory=list)
    """Of the decisions that differ: their rows, and how much worse the reference holds the choice taken."""
    _kl: list[float] = field(default_factory=list)
    _top5: list[float] = field(default_factory=list)

    def add(self, output: Array, reference: Array) -> None:
        """Take in `float[row, ..., n]` and a reference of the same shape.

        Raises CompareError for shapes that differ, an empty array, a dtype that is not floating, or a reference that is not finite.
        """
        if output.shape != reference.shape or output.size == 0:
            raise CompareError(
                f"expected two arrays of one shape, found {list(output.shape)} and reference {list(reference.shape)}"
            )
        if not (np.issubdtype(output.dtype, np.floating) and np.issubdtype(reference.dtype, np.floating)):
            raise CompareError(f"expected floating arrays, found {output.dtype} and reference {reference.dtype}")
        if not np.isfinite(reference).all():
            raise CompareError("the reference holds NaN or infinite values; expected finite ones")
        got, want = output.astype(np.float64), reference.astype(np.float64)
        self._scale = max(self._scale, float(np.abs(want).max()))
        self._nonfinite += int(np.count_nonzero(~np.isfinite(got)))
        first = len(self.row_errors)
        error = np.abs(got - want)
        self.row_errors += [
            float(worst) if math.isfinite(worst) else math.inf for worst in error.reshape(len(error), -1).max(axis=1)
        ]
        if self._nonfinite:
            return
        self._max = max(self._max, float(error.max()))
        self._sum += float(error.sum())
        self._size += error.size
        self._cosine = min(self._cosine, smallest_cosine(got, want))
        if self.counts:
            logs = np.log10(np.maximum(error, 1e-300))
            self.histogram += np.histogram(np.clip(logs, LOG10_EDGES[0], LOG10_EDGES[-1]), LOG10_EDGES)[0]
        if self.decides:
            self._decide(got, want, first)

    def _decide(self, got: Array, want: Array, first: int) -> None:
        chosen, right = got.argmax(axis=-1)[..., None], want.argmax(axis=-1)[..., None]
        self._decisions += chosen.size
        margins = (np.take_along_axis(want, right, axis=-1) - np.take_along_axis(want, chosen, axis=-1))[..., 0]
        differs = (chosen != right)[..., 0]
        self._margins.append((first + np.nonzero(differs)[0], margins[differs]))
        many = got.shape[-1] >= MANY and got.ndim > 2
        if many:
            places = np.linspace(0, got.shape[1] - 1, min(SCORED, got.shape[1])).astype(np.int64)
            got, want = got[:, places], want[:, places]
        one, other = torch.from_numpy(got), torch.from_numpy(want)
        wanted = other.log_softmax(dim=-1)
        self._kl += (wanted.exp() * (wanted - one.log_softmax(dim=-1))).sum(dim=-1).flatten().tolist()
        if got.shape[-1] >= MANY:
            best, found = (scores.topk(TOP, dim=-1).indices for scores in (other, one))
            self._top5 += (best[..., None] == found[..., None, :]).any(dim=-1).double().mean(dim=-1).flatten().tolist()

    def errors(self) -> Errors:
        """Return the errors found so far; infinite when something was not finite. Raises CompareError when nothing was compared."""
        if not self.row_errors:
            raise CompareError("nothing was compared")
        if self._nonfinite:
            return Errors(scale=self._scale, max_abs=math.inf, mean_abs=math.inf)
        return Errors(scale=self._scale, max_abs=self._max, mean_abs=self._sum / self._size)

    def rows_decided_otherwise(self, limit: Limit) -> frozenset[int]:
        """Return the rows that hold a decision unlike the reference's: its choice is worse there by more than twice the limit.

        Arithmetic cannot tell apart what the reference scores closer than that. Every row when something was not finite.
        """
        if self._nonfinite:
            return frozenset(range(len(self.row_errors)))
        return frozenset(int(row) for rows, margins in self._margins for row in rows[margins > 2 * limit.max_abs])

    def difference(self, limit: Limit) -> Difference:
        """Return what was found so far; the limit tells ties from decisions. Raises CompareError when nothing was compared."""
        errors = self.errors()
        if self._nonfinite:
            nought = 0.0 if self.decides else None
            return Difference(
                max_abs=math.inf,
                mean_abs=math.inf,
                max_rel=math.inf,
                cosine=0.0,
                kl=math.inf if self.decides else None,
                decision_agreement=nought,
                top5=nought if self._top5 else None,
                nonfinite_count=self._nonfinite,
            )
        wrong = sum(int(np.count_nonzero(margins > 2 * limit.max_abs)) for _, margins in self._margins)
        return Difference(
            max_abs=errors.max_abs,
            mean_abs=errors.mean_abs,
            max_rel=errors.max_abs / errors.scale if errors.scale else (math.inf if errors.max_abs else 0.0),
            cosine=self._cosine,
            kl=max(0.0, sum(self._kl) / len(self._kl)) if self._kl else None,
            decision_agreement=1.0 - wrong / self._decisions if self.decides else None,
            top5=sum(self._top5) / len(self._top5) if self._top5 else None,
            nonfinite_count=0,
        )
