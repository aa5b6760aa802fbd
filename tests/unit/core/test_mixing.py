import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fnet_core.dft import dft_matrices, factored_matrices, factors, folded_matrices, folded_order
from fnet_core.transform import TRANSFORMS, AnyLengthMixing, fourier_scale, natural_transform

LENGTHS = [1, 2, 3, 7, 8, 12, 17, 128, 512, 768, 1000, 4096]
EXACT = [name for name in TRANSFORMS if name != "fft"]


def relative_error(name, sequence, hidden, seed=0):
    """Largest error of a mixing and of its first token, in parts of the largest value of torch.fft's."""
    x = torch.randn(2, sequence, hidden, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    wanted = torch.fft.fft2(x).real
    mixing = natural_transform(name, sequence, hidden, torch.float64)
    errors = ((mixing(x) - wanted).abs().max(), (mixing.first(x) - wanted[:, 0]).abs().max())
    return (max(errors) / wanted.abs().max()).item()


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 12, 17, 512, 1000])
def test_matrices_are_numpy_fft(length):
    cos, sin = dft_matrices(length)
    assert np.abs(cos - 1j * sin - np.fft.fft(np.eye(length))).max() < 1e-12


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("length", LENGTHS)
def test_exact_on_either_axis(name, length):
    assert relative_error(name, length, 6) < 1e-12
    assert relative_error(name, 6, length) < 1e-12


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize(("sequence", "hidden"), [(3, 8), (7, 12), (512, 768)])
def test_exact_on_unequal_axes(name, sequence, hidden):
    assert relative_error(name, sequence, hidden) < 1e-12


@given(st.sampled_from(EXACT), st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_exact_on_any_lengths(name, sequence, hidden, seed):
    assert relative_error(name, sequence, hidden, seed) < 1e-12


@pytest.mark.parametrize(("length", "order"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (8, [0, 4, 1, 2, 3, 7, 6, 5])])
def test_folded_order(length, order):
    assert folded_order(length).tolist() == order
    cos, sin = folded_matrices(length)
    assert (len(cos), len(sin)) == (length // 2 + 1, (length - 1) // 2)


@pytest.mark.parametrize(("length", "wanted"), [(1, (1, 1)), (7, (1, 7)), (12, (3, 4)), (4096, (64, 64)), (8192, (64, 128))])
def test_factors(length, wanted):
    assert factors(length) == wanted
    inner, cosine, sine = factored_matrices(length)
    first, second = wanted
    assert inner.shape == (2 * first, first)
    assert cosine.shape == sine.shape == (first, second, 2 * second)


def test_orders_of_their_own_are_put_right():
    assert type(natural_transform("dft", 8, 12, torch.float64)).__name__ == "DFTMixing"
    assert type(natural_transform("folded", 8, 12, torch.float64)).__name__ == "NaturalOrder"
    assert type(natural_transform("folded", 3, 2, torch.float64)).__name__ == "FoldedMixing"


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize(("sequence", "hidden"), [(1, 1), (3, 8), (7, 12), (12, 8), (128, 96)])
def test_scaled_is_the_orthonormal_transform(name, sequence, hidden):
    generator = torch.Generator().manual_seed(0)
    plain, scaled = (TRANSFORMS[name](sequence, hidden, torch.float64, scaled=scaled) for scaled in (False, True))
    x = torch.randn(2, sequence, hidden, dtype=torch.float64, generator=generator)
    for found, wanted in ((scaled(x), plain(x)), (scaled.first(x), plain.first(x))):
        assert (found - wanted * fourier_scale(sequence, hidden)).abs().max() < 1e-12 * found.abs().max()


@pytest.mark.parametrize("hidden", [1, 2, 7, 12])
@pytest.mark.parametrize("scaled", [False, True])
def test_one_mixing_is_exact_at_every_length(hidden, scaled):
    mixing = AnyLengthMixing(1000, hidden, torch.float64, scaled=scaled)
    back, factor = np.argsort(mixing.hidden_order), fourier_scale(1000, hidden) if scaled else 1.0
    for length in (1, 2, 3, 7, 8, 12, 17, 512, 1000):
        x = torch.randn(2, length, hidden, dtype=torch.float64, generator=torch.Generator().manual_seed(length))
        expected = torch.fft.fft2(x).real * factor
        ordered = x[..., mixing.hidden_order]
        for result, reference in ((mixing(ordered), expected), (mixing.first(ordered), expected[:, 0])):
            assert ((result[..., back] - reference).abs().max() / expected.abs().max()).item() < 1e-12


@pytest.mark.parametrize("length", [1, 2, 5, 127, 128, 509, 512])
def test_matrices_of_any_length_are_rounded_like_those_of_one_length(length):
    """In float32 a wave errs by one unit at most. Half of it is the rounding of the wave itself."""
    index = torch.arange(length // 2 + 1)
    mirror = torch.where(index == 0, 0, length - index)
    angles = (index[:, None] * index % length).double() * (2 * torch.pi / length)
    wanted = torch.cos(angles) * torch.where(index == mirror, 0.5, 1.0), torch.sin(angles)
    for dtype, bound in ((torch.float32, 2.0**-23), (torch.float64, 2.0**-48)):
        mixing = AnyLengthMixing(512, 12, dtype)
        for matrix, want in zip(mixing._matrices(index, mirror, length), wanted, strict=True):
            assert (matrix.double() - want).abs().max() <= bound
