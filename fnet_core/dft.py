"""The discrete Fourier transform as real matrices, in float64.

`F[k, j] = exp(-2 pi i j k / n) = C[k, j] - i S[k, j]`, so for a real X and transforms along both axes
`Re(F_S X F_H) = C_S X C_H - S_S X S_H`. Both matrices are symmetric. (Lee-Thorp et al. 2021, arXiv:2105.03824, section 3.2.)
"""

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def dft_matrices(length: int) -> tuple[Matrix, Matrix]:
    """Return the cosine and the sine matrix of one length, each float64[length, length].

    The multiple of the angle is reduced as an integer first, so that every entry is as exact as cos and sin within one turn.
    """
    index = np.arange(length, dtype=np.int64)
    angle = 2.0 * np.pi * (np.outer(index, index) % length) / length
    return np.cos(angle), np.sin(angle)


def folded_order(length: int) -> npt.NDArray[np.int64]:
    """Return the order of a folded axis, int64[length].

    Indices that mirror themselves come first: 0, and n/2 for an even n. Then come 1, 2, ... and their mirrors n-1, n-2, ... In this
    order, folding is the sum and the difference of two contiguous slices of `pairs(length)` entries.
    """
    low = np.arange(1, pairs(length) + 1)
    middle = [0, length // 2] if length % 2 == 0 else [0]
    return np.concatenate([middle, low, length - low]).astype(np.int64)


def pairs(length: int) -> int:
    """Return how many indices have a mirror other than themselves: (n - 1) // 2 pairs."""
    return (length - 1) // 2


def folded_matrices(length: int) -> tuple[Matrix, Matrix]:
    """Return the quarter-size matrices that multiply folded vectors, in folded order.

    The cosines are float64[n//2+1, n//2+1], and the sines float64[(n-1)//2, (n-1)//2]. Cosines are even and sines are odd. So
    `sum_n cos(2 pi k n / N) x[n]` needs only `x[n] + x[N-n]`, and the sum of sines needs only `x[n] - x[N-n]`.
    (A discrete cosine transform I and a sine transform I; Britanak et al., Discrete Cosine and Sine Transforms, 2007, chapter 2.)
    """
    cos, sin = dft_matrices(length)
    order = folded_order(length)
    even, odd = order[: length - pairs(length)], np.arange(1, pairs(length) + 1)
    return cos[np.ix_(even, even)], sin[np.ix_(odd, odd)]


def factors(length: int) -> tuple[int, int]:
    """Return the two factors of a length that are nearest to its square root, the smaller one first."""
    small = next(n for n in range(int(np.sqrt(length)), 0, -1) if length % n == 0)
    return small, length // small


def factored_matrices(length: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return the matrices of a transform in two steps, for length = S1 S2, n = S2 n1 + n2 and k = k1 + S1 k2.

    The first matrix, float64[2 S1, S1], sums over n1. Its rows are the real and the imaginary part of k1 = 0, then of k1 = 1, and
    so on. The other two, float64[S1, S2, 2 S2] as [k1, k2, part n2], sum over n2 and contain the twiddle factors. One gives the
    cosine transform, and the other gives the sine transform. (Cooley and Tukey, An Algorithm for the Machine Calculation of Complex
    Fourier Series, 1965.)
    """
    first, second = factors(length)
    cos, sin = dft_matrices(first)
    inner = np.stack([cos, -sin], axis=1).reshape(2 * first, first)
    k = np.arange(first)[:, None, None] + first * np.arange(second)[:, None]
    angle = 2.0 * np.pi * (k * np.arange(second) % length) / length
    cosine = np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)
    sine = np.concatenate([np.sin(angle), -np.cos(angle)], axis=-1)
    return inner, cosine, sine
