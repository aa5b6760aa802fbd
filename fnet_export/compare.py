"""Two arrays compared: how far an output is from its reference, and whether it decides the same."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from fnet_runtime.golden import smallest_cosine

from fnet_export.errors import CompareError

Array = npt.NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far an output is from its reference.

    max_abs: largest absolute error; max_rel: that error over the reference's largest magnitude; cosine: the smallest over the
    last axis; decision_agreement: share of equal decisions, None where the output decides nothing; nonfinite_count: NaN and
    infinite values of the output, any of which makes the other figures infinite and the cosine and agreement nought.
    """

    max_abs: float
    max_rel: float
    cosine: float
    decision_agreement: float | None
    nonfinite_count: int

    def within(self, relative_limit: float) -> bool:
        """Tell whether the output agrees: finite, within the limit, and every decision the same."""
        return self.nonfinite_count == 0 and self.max_rel <= relative_limit and self.decision_agreement in (None, 1.0)


class Comparison:
    """Compares an output with its reference batch by batch, as if all batches were one array.

    A decision is the highest score along the last axis. It agrees as well when the reference scores both choices within twice
    `relative_limit` of its largest magnitude: arithmetic cannot tell such a tie apart.
    """

    def __init__(self, *, decides: bool, relative_limit: float) -> None:
        """Begin; `decides` tells that the output's highest score along the last axis is an answer."""
        self._decides, self._relative_limit = decides, relative_limit
        self._max_abs, self._scale, self._cosine = 0.0, 0.0, math.inf
        self._nonfinite, self._decisions = 0, 0
        self._margins: list[Array] = []  # of the decisions that differ: how much worse the reference holds the one taken

    def add(self, output: Array, reference: Array) -> None:
        """Take in `float[..., n]` and a reference of the same shape.

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
        if self._nonfinite:
            return
        self._max_abs = max(self._max_abs, float(np.abs(got - want).max()))
        self._cosine = min(self._cosine, smallest_cosine(got, want))
        if self._decides:
            chosen, right = got.argmax(axis=-1)[..., None], want.argmax(axis=-1)[..., None]
            self._decisions += chosen.size
            margins = np.take_along_axis(want, right, axis=-1) - np.take_along_axis(want, chosen, axis=-1)
            self._margins.append(margins[chosen != right])

    def difference(self) -> Difference:
        """Return what was found so far. Raises CompareError when nothing was compared."""
        if not self._scale and self._cosine == math.inf and not self._nonfinite:
            raise CompareError("nothing was compared")
        if self._nonfinite:
            agreement = 0.0 if self._decides else None
            return Difference(
                max_abs=math.inf, max_rel=math.inf, cosine=0.0, decision_agreement=agreement, nonfinite_count=self._nonfinite
            )
        tie = 2 * self._relative_limit * self._scale
        wrong = sum(int(np.count_nonzero(margins > tie)) for margins in self._margins)
        return Difference(
            max_abs=self._max_abs,
            max_rel=self._max_abs / self._scale if self._scale else (math.inf if self._max_abs else 0.0),
            cosine=self._cosine,
            decision_agreement=1.0 - wrong / self._decisions if self._decides else None,
            nonfinite_count=0,
        )
