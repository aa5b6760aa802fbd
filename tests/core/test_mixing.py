import numpy as np
import pytest
import torch

from fnet_core.dft import dft_matrices
from fnet_core.mixing import MIXINGS


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 12, 17, 512, 1000])
def test_matrices_are_numpy_fft(length):
    cos, sin = dft_matrices(length)
    assert np.abs(cos - 1j * sin - np.fft.fft(np.eye(length))).max() < 1e-12


@pytest.mark.parametrize(("sequence", "hidden"), [(3, 8), (7, 12), (1, 5), (512, 768)])
def test_dft_is_fft(sequence, hidden):
    x = torch.randn(2, sequence, hidden, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    fft, dft = (MIXINGS[name](sequence, hidden, torch.float64)(x) for name in ("fft", "dft"))
    assert ((fft - dft).abs().max() / fft.abs().max()).item() < 1e-12
