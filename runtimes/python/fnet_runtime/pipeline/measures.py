"""How far outputs are from their references: the error measures of the self-test, and of the exporter."""

import numpy as np
import numpy.typing as npt


def largest_error(got: npt.NDArray[np.generic], want: npt.NDArray[np.generic]) -> float:
    """Return the largest absolute error of two arrays, computed in float64.

    The error is infinite where the shapes differ or `got` has numbers that are not finite, and 0 for empty arrays.
    """
    if got.shape != want.shape or not is_finite(got):
        return float("inf")
    return float(np.abs(got.astype(np.float64) - want.astype(np.float64)).max(initial=0.0))


def relative_error(got: npt.NDArray[np.generic], want: npt.NDArray[np.generic]) -> float:
    """Return the largest absolute error over the largest magnitude of the reference, or over 1 where the reference is zero."""
    return largest_error(got, want) / (largest_magnitude(want) or 1.0)


def relative_rms_error(got: npt.NDArray[np.generic], want: npt.NDArray[np.generic]) -> float:
    """Return the root mean square error over the root mean square of the reference, or over 1 where the reference is zero."""
    difference = got.astype(np.float64) - want.astype(np.float64)
    return root_mean_square(difference) / (root_mean_square(want.astype(np.float64)) or 1.0)


def largest_magnitude(array: npt.NDArray[np.generic]) -> float:
    """Return the largest absolute number of an array, 0 for an empty one."""
    return float(np.abs(array.astype(np.float64)).max(initial=0.0))


def root_mean_square(array: npt.NDArray[np.float64]) -> float:
    """Return the root of the mean of the squares of an array, 0 for an empty one."""
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0


def smallest_cosine(got: npt.NDArray[np.float64], want: npt.NDArray[np.float64]) -> float:
    """Return the smallest cosine of the angles between `float64[..., n]` vectors; 1 for two vectors of zeros."""
    norms = np.linalg.norm(got, axis=-1), np.linalg.norm(want, axis=-1)
    both_zero = (norms[0] == 0) & (norms[1] == 0)
    products = norms[0] * norms[1]
    cosines = np.divide((got * want).sum(axis=-1), products, out=np.zeros_like(products), where=products != 0)
    return float(np.where(both_zero, 1.0, cosines).min())


def is_finite(array: npt.NDArray[np.generic]) -> bool:
    """Return whether an array holds no NaN and no infinity; arrays of whole numbers never do."""
    return not np.issubdtype(array.dtype, np.floating) or bool(np.isfinite(array).all())
