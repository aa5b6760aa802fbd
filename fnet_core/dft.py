"""The discrete Fourier transform as real matrices, in float64.

`F[k, j] = exp(-2 pi i j k / n) = C[k, j] - i S[k, j]`, so for a real X and transforms along both axes
`Re(F_S X F_H) = C_S X C_H - S_S X S_H`. Both matrices are symmetric. (Lee-Thorp et al. 2021, arXiv:2105.03824, section 3.2.)
"""

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def dft_matrices(length: int) -> tuple[Matrix, Matrix]:
    """Return the cosine and the sine matrix of one length, each float64[length, length].

    The angle's multiple is reduced as an integer first, so that every entry is as exact as cos and sin of one turn.
    """
    index = np.arange(length, dtype=np.int64)
    angle = 2.0 * np.pi * (np.outer(index, index) % length) / length
    return np.cos(angle), np.sin(angle)
