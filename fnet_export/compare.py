"""Two arrays compared: how far an output is from its reference, and whether it decides the same."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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


def difference_from_arrays(output: Array, reference: Array, *, decides: bool, relative_limit: float) -> Difference:
    """Compare `float[..., n]` with a reference of the same shape.

    A decision is the highest score along the last axis. It agrees as well when the reference scores both choices within twice
    `relative_limit` of its largest magnitude: arithmetic cannot tell such a tie apart.
    Raises CompareError for shapes that differ, an empty array, a dtype that is not floating, or a reference that is not finite.
    """
    if output.shape != reference.shape or output.size == 0:
        raise CompareError(f"expected two arrays of one shape, found {list(output.shape)} and reference {list(reference.shape)}")
    if not (np.issubdtype(output.dtype, np.floating) and np.issubdtype(reference.dtype, np.floating)):
        raise CompareError(f"expected floating arrays, found {output.dtype} and reference {reference.dtype}")
    if not np.isfinite(reference).all():
        raise CompareError("the reference holds NaN or infinite values; expected finite ones")
    got, want = output.astype(np.float64), reference.astype(np.float64)
    scale = float(np.abs(want).max())
    nonfinite = int(np.count_nonzero(~np.isfinite(got)))
    if nonfinite:
        return Difference(
            max_abs=math.inf, max_rel=math.inf, cosine=0.0, decision_agreement=0.0 if decides else None, nonfinite_count=nonfinite
        )
    max_abs = float(np.abs(got - want).max())
    max_rel = max_abs / scale if scale else (math.inf if max_abs else 0.0)
    return Difference(
        max_abs=max_abs,
        max_rel=max_rel,
        cosine=_smallest_cosine(got, want),
        decision_agreement=_decision_agreement(got, want, 2 * relative_limit * scale) if decides else None,
        nonfinite_count=0,
    )


def _smallest_cosine(got: npt.NDArray[np.float64], want: npt.NDArray[np.float64]) -> float:
    norms = np.linalg.norm(got, axis=-1), np.linalg.norm(want, axis=-1)
    both_zero = (norms[0] == 0) & (norms[1] == 0)
    products = norms[0] * norms[1]
    cosines = np.divide((got * want).sum(axis=-1), products, out=np.zeros_like(products), where=products != 0)
    return float(np.where(both_zero, 1.0, cosines).min())


def _decision_agreement(got: npt.NDArray[np.float64], want: npt.NDArray[np.float64], tie: float) -> float:
    chosen, right = got.argmax(axis=-1)[..., None], want.argmax(axis=-1)[..., None]
    margin = np.take_along_axis(want, right, axis=-1) - np.take_along_axis(want, chosen, axis=-1)
    return float(np.mean(margin <= tie))
