"""Token mixing by Fourier transforms: several ways to compute the same `Re(FFT_seq(FFT_hidden(x)))`."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from fnet_core.dft import dft_matrices


class FFTMixing(nn.Module):
    """The transform by torch.fft: the definition, and the reference for every other mixing."""

    def __init__(self, sequence_length: int, hidden_size: int, dtype: torch.dtype) -> None:
        """Take the common arguments of every mixing; torch.fft needs none of them."""
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Mix `float[batch, sequence, hidden]`; the result has the same shape and dtype."""
        mixed: Tensor = torch.fft.fft2(x, dim=(-2, -1)).real
        return mixed


class DFTMixing(nn.Module):
    """The transform by precomputed real matrices, stacked into two products: `[C_S | -S_S] [X C_H ; X S_H]`."""

    hidden_matrix: Tensor
    sequence_matrix: Tensor

    def __init__(self, sequence_length: int, hidden_size: int, dtype: torch.dtype) -> None:
        """Build the matrices in float64 and round them once, to `dtype`; converting the module later would round twice."""
        super().__init__()
        cos_s, sin_s = dft_matrices(sequence_length)
        cos_h, sin_h = dft_matrices(hidden_size)
        # float[hidden, 2 * hidden] and float[sequence, 2 * sequence]; derived, so not part of a checkpoint
        self.register_buffer("hidden_matrix", _tensor(np.hstack([cos_h, sin_h]), dtype), persistent=False)
        self.register_buffer("sequence_matrix", _tensor(np.hstack([cos_s, -sin_s]), dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix `float[batch, sequence, hidden]`, of just the lengths given to the constructor; same shape and dtype."""
        x_cos, x_sin = torch.matmul(x, self.hidden_matrix).chunk(2, dim=-1)
        return torch.matmul(self.sequence_matrix, torch.cat([x_cos, x_sin], dim=-2))


MIXINGS: dict[str, Callable[[int, int, torch.dtype], nn.Module]] = {"fft": FFTMixing, "dft": DFTMixing}
"""Every mixing by name; each is made from (sequence_length, hidden_size, dtype)."""


def _tensor(matrix: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(matrix).to(dtype)
