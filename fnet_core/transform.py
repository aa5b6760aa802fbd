"""Compute `Re(FFT_seq(FFT_hidden(x)))`, the Fourier mixing of tokens, in several equivalent ways.

A mixing has its own order of tokens and hidden units, for its input and its output. `sequence_order` and `hidden_order` list the
original index at each place. `NaturalOrder` makes a mixing use the checkpoint's order. Lowering permutes the weights instead.
"""

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fnet_core.dft import Matrix, dft_matrices, factored_matrices, factors, folded_matrices, folded_order, pairs

Order = npt.NDArray[np.int64]


class Mixing(nn.Module):
    """Mix tokens. A Fourier mixing is made from (sequence_length, hidden_size, dtype), which fix the inputs that it accepts.

    `forward` mixes `float[batch, sequence, hidden]`, and the result has the same shape and dtype. `first` returns only token 0 of
    the result, `float[batch, hidden]`. It computes the sum over tokens as a product, because half precision keeps the sum of a
    product in float32. `mask`, `int64[batch, sequence]`, is 0 for a token that does not count. Only attention reads it.

    A Fourier mixing made `scaled` computes `fourier_scale` times the transform, which half precision can hold. The scale is in the
    matrices, `1/sqrt(length)` for each axis, so that the values between two products stay small too.
    """

    sequence_order: Order
    hidden_order: Order

    def __init__(self, sequence_length: int, hidden_size: int) -> None:
        """Set the natural orders. A mixing with other orders sets them itself."""
        super().__init__()
        self.sequence_order, self.hidden_order = np.arange(sequence_length), np.arange(hidden_size)

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix, and return token 0."""
        raise NotImplementedError

    def reorder(self, tokens: Tensor, hidden: Tensor) -> None:
        """Permute the weights for another order of tokens and hidden units, each `int64[length]`."""


class FFTMixing(Mixing):
    """Transform by torch.fft. This is the definition, and the reference for every other mixing."""

    def __init__(self, sequence_length: int, hidden_size: int, dtype: torch.dtype, *, scaled: bool = False) -> None:
        """Accept the common arguments. torch.fft does not need sizes and dtype."""
        super().__init__(sequence_length, hidden_size)
        self._norm = "ortho" if scaled else "backward"

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix; see Mixing."""
        mixed: Tensor = torch.fft.fft2(x, dim=(-2, -1), norm=self._norm).real
        return mixed

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix, and return token 0."""
        return self(x)[:, 0]  # type: ignore[no-any-return]


class DFTMixing(Mixing):
    """Transform by precomputed real matrices, stacked into two products: `[C_S | -S_S] [X C_H ; X S_H]`."""

    hidden_matrix: Tensor
    sequence_matrix: Tensor
    first_row: Tensor

    def __init__(self, sequence_length: int, hidden_size: int, dtype: torch.dtype, *, scaled: bool = False) -> None:
        """Build the matrices in float64 and round them once, to `dtype`. Converting the module later would round twice."""
        super().__init__(sequence_length, hidden_size)
        cos_s, sin_s = dft_matrices(sequence_length)
        cos_h, sin_h = dft_matrices(hidden_size)
        # float[hidden, 2 * hidden] and float[sequence, 2 * sequence]
        _keep(self, dtype, _scale(hidden_size, scaled), hidden_matrix=np.hstack([cos_h, sin_h]))
        _keep(self, dtype, _scale(sequence_length, scaled), sequence_matrix=np.hstack([cos_s, -sin_s]), first_row=cos_s[:1])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix; see Mixing."""
        x_cos, x_sin = torch.matmul(x, self.hidden_matrix).chunk(2, dim=-1)
        return torch.matmul(self.sequence_matrix, torch.cat([x_cos, x_sin], dim=-2))

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix, and return token 0."""
        return torch.matmul(torch.matmul(self.first_row, x)[:, 0], self.hidden_matrix).chunk(2, dim=-1)[0]


class FoldedMixing(Mixing):
    """Transform folded inputs, by the symmetry of cosines and sines: an eighth of the multiplications of DFTMixing, at any length.

    With x folded along both axes, A is the cosine transform of the even-even part, and B is the sine transform of the odd-odd part.
    Both use quarter-size matrices. `A - B` and `A + B` fill the quadrants of the result.
    """

    cos_sequence: Tensor
    sin_sequence: Tensor
    cos_hidden: Tensor
    sin_hidden: Tensor
    first_row: Tensor

    def __init__(self, sequence_length: int, hidden_size: int, dtype: torch.dtype, *, scaled: bool = False) -> None:
        """Build the matrices in float64 and round them once."""
        super().__init__(sequence_length, hidden_size)
        self.sequence_order, self.hidden_order = folded_order(sequence_length), folded_order(hidden_size)
        self._sequence, self._hidden = _slices(sequence_length), _slices(hidden_size)
        cos_s, sin_s = folded_matrices(sequence_length)
        cos_h, sin_h = folded_matrices(hidden_size)
        row = np.ones((1, sequence_length))
        _keep(self, dtype, _scale(sequence_length, scaled), cos_sequence=cos_s, sin_sequence=sin_s, first_row=row)
        _keep(self, dtype, _scale(hidden_size, scaled), cos_hidden=cos_h, sin_hidden=sin_h)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix; see Mixing."""
        middle, low, high = torch.split(x, self._sequence, dim=-2)
        even, _ = _folded(torch.cat([middle, low + high], dim=-2), self._hidden)
        _, odd = _folded(low - high, self._hidden)
        a = torch.matmul(self.cos_sequence, torch.matmul(even, self.cos_hidden))
        b = torch.matmul(self.sin_sequence, torch.matmul(odd, self.sin_hidden))
        top, a = torch.split(a, [self._sequence[0], self._sequence[1]], dim=-2)
        top_middle, top_side = torch.split(top, self._hidden[:2], dim=-1)
        middle, side = torch.split(a, self._hidden[:2], dim=-1)
        minus, plus = side - b, side + b
        return torch.cat(
            [
                torch.cat([top_middle, top_side, top_side], dim=-1),
                torch.cat([middle, minus, plus], dim=-1),
                torch.cat([middle, plus, minus], dim=-1),
            ],
            dim=-2,
        )

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix, and return token 0."""
        return _first(x, self.first_row, self._hidden, self.cos_hidden)


class FactoredMixing(Mixing):
    """Transform long sequences: folded along the hidden axis, and along the sequence in two steps of about its square root.

    For a length of `S1 S2`, the cost of the sequence axis per token grows with `S1 + S2`, not with the length.
    """

    cos_hidden: Tensor
    sin_hidden: Tensor
    inner: Tensor
    cos_outer: Tensor
    sin_outer: Tensor
    first_row: Tensor

    def __init__(self, sequence_length: int, hidden_size: int, dtype: torch.dtype, *, scaled: bool = False) -> None:
        """Build the matrices in float64 and round them once."""
        super().__init__(sequence_length, hidden_size)
        self.hidden_order = folded_order(hidden_size)
        self._hidden, self._factors = _slices(hidden_size), factors(sequence_length)
        cos_h, sin_h = folded_matrices(hidden_size)
        inner, cos_outer, sin_outer = factored_matrices(sequence_length)
        _keep(self, dtype, _scale(hidden_size, scaled), cos_hidden=cos_h, sin_hidden=sin_h)
        _keep(self, dtype, _scale(sequence_length, scaled), first_row=np.ones((1, sequence_length)))
        first, second = (_scale(factor, scaled) for factor in self._factors)
        _keep(self, dtype, first, inner=inner)
        _keep(self, dtype, second, cos_outer=cos_outer, sin_outer=sin_outer)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix; see Mixing."""
        even, odd = _folded(x, self._hidden)
        a = self._along_sequence(torch.matmul(even, self.cos_hidden), self.cos_outer)
        b = self._along_sequence(torch.matmul(odd, self.sin_hidden), self.sin_outer)
        middle, side = torch.split(a, self._hidden[:2], dim=-1)
        mixed = torch.cat([middle, side - b, side + b], dim=-1)  # float[batch, k1, k2, hidden]
        return mixed.transpose(1, 2).reshape(x.shape)

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix, and return token 0."""
        return _first(x, self.first_row, self._hidden, self.cos_hidden)

    def _along_sequence(self, x: Tensor, outer: Tensor) -> Tensor:
        """Transform `float[batch, sequence, width]` to `float[batch, k1, k2, width]`."""
        first, second = self._factors
        width = x.shape[-1]
        inner = torch.matmul(self.inner, x.reshape(x.shape[0], first, second * width))
        return torch.matmul(outer, inner.reshape(x.shape[0], first, 2 * second, width))


class AnyLengthMixing(Mixing):
    """Transform any number of tokens up to a longest one, folded along both axes. Only hidden units are in folded order.

    The matrices of the sequence are computed for each input from its length S: cosine and sine of `((i j) mod S) 2 pi / S`, for
    i and j up to S/2. Token j and its mirror S - j are added and subtracted. A token that is its own mirror is added to itself, so
    its cosines are halved.
    """

    cos_hidden: Tensor
    sin_hidden: Tensor
    quarters: Tensor

    def __init__(self, longest: int, hidden_size: int, dtype: torch.dtype, *, scaled: bool = False) -> None:
        """Build the matrices of the hidden axis, and a quarter turn divided by each length.

        A scaled mixing has the scale of the longest input at every length.
        """
        super().__init__(longest, hidden_size)
        self.hidden_order, self._hidden, self._dtype = folded_order(hidden_size), _slices(hidden_size), dtype
        self._scale = _scale(longest, scaled)
        cos_h, sin_h = folded_matrices(hidden_size)
        _keep(self, dtype, _scale(hidden_size, scaled), cos_hidden=cos_h, sin_hidden=sin_h)
        _keep(self, dtype, 1.0, quarters=0.5 * math.pi / np.maximum(np.arange(longest + 1), 1))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix; see Mixing."""
        length = x.shape[-2]
        index = torch.arange(length // 2 + 1)
        mirror = torch.where(index == 0, 0, _mirrored(index, length))
        cos, sin = self._matrices(index, mirror, length)
        low, high = x[:, : length // 2 + 1], x.index_select(1, mirror)
        even, _ = _folded(low + high, self._hidden)
        _, odd = _folded(low - high, self._hidden)
        a = torch.matmul(cos, torch.matmul(even, self.cos_hidden))
        b = torch.matmul(sin, torch.matmul(odd, self.sin_hidden))
        middle, side = torch.split(a, self._hidden[:2], dim=-1)
        minus, plus = side - b, side + b
        lower = torch.cat([middle, plus, minus], dim=-1)
        lower = lower.index_select(1, _mirrored(torch.arange(length // 2 + 1, length), length))
        return torch.cat([torch.cat([middle, minus, plus], dim=-1), lower], dim=-2)

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix, and return token 0."""
        row = torch.full((1, x.shape[-2]), self._scale, dtype=x.dtype)
        return _first(x, row, self._hidden, self.cos_hidden)

    def _matrices(self, index: Tensor, mirror: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Return the cosines and the sines, each `float[S/2 + 1, S/2 + 1]`.

        In units of S to a quarter turn, an angle is the integer 4 (i j mod S). Both waves are sines of how far an angle is from
        the crest: the error of a float angle counts least where the angle is large, near a quarter turn. There is no `abs` of an
        integer here: OpenVINO 2026.4 folds it to the number itself where the length is fixed.
        """
        whole = torch.full((1, 1), length)
        unit = self.quarters.index_select(0, torch.full((1,), length))  # looked up, because a division by S may be rounded coarsely
        angle = 4 * (index[:, None] * index % whole)
        scale = torch.full((1,), self._scale, dtype=self._dtype)
        weight = torch.where(index == mirror, 0.5 * scale, scale)
        return _wave(angle, whole, unit) * weight, _wave(torch.maximum(angle - whole, whole - angle), whole, unit) * scale


def _wave(from_crest: Tensor, whole: Tensor, unit: Tensor) -> Tensor:
    """Return the cosine of angles from 0 to a whole turn, in units of `whole` to a quarter turn. `unit` is a unit in radians."""
    height = whole - torch.minimum(from_crest, 4 * whole - from_crest)
    return torch.sin(height * unit)


def _mirrored(index: Tensor, length: int) -> Tensor:
    """Return the mirrors S - j of tokens. For a number minus a tensor, torch.onnx would capture the model again."""
    return -index + length


class NaturalOrder(Mixing):
    """Make a mixing with its own order use the checkpoint's order."""

    sequence_index: Tensor
    sequence_back: Tensor
    hidden_index: Tensor
    hidden_back: Tensor

    def __init__(self, mixing: Mixing) -> None:
        """Wrap the given mixing."""
        super().__init__(len(mixing.sequence_order), len(mixing.hidden_order))
        self.mixing = mixing
        for name, order in (("sequence", mixing.sequence_order), ("hidden", mixing.hidden_order)):
            self.register_buffer(f"{name}_index", torch.from_numpy(order), persistent=False)
            self.register_buffer(f"{name}_back", torch.from_numpy(np.argsort(order)), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix; see Mixing."""
        mixed = self.mixing(x[:, self.sequence_index][..., self.hidden_index])
        return mixed[:, self.sequence_back][..., self.hidden_back]  # type: ignore[no-any-return]

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix, and return token 0."""
        return self.mixing.first(x[..., self.hidden_index])[..., self.hidden_back]


class MakeTransform(Protocol):
    """Make a Fourier mixing."""

    def __call__(self, sequence_length: int, hidden_size: int, dtype: torch.dtype, *, scaled: bool = False) -> Mixing:
        """Make the mixing; see Mixing."""


TRANSFORMS: Mapping[str, MakeTransform] = {
    "fft": FFTMixing,
    "dft": DFTMixing,
    "folded": FoldedMixing,
    "factored": FactoredMixing,
}
"""Every transform by name. Each is made from (sequence_length, hidden_size, dtype) and may be scaled."""


def fourier_scale(sequence_length: int, hidden_size: int) -> float:
    """Return the factor with which the two-dimensional transform keeps the sum of squares: `1/sqrt(sequence hidden)`."""
    return 1.0 / math.sqrt(sequence_length * hidden_size)


def natural_transform(name: str, sequence_length: int, hidden_size: int, dtype: torch.dtype) -> Mixing:
    """Make a Fourier mixing, by its name in TRANSFORMS, that uses the checkpoint's order."""
    mixing = TRANSFORMS[name](sequence_length, hidden_size, dtype)
    orders = (mixing.sequence_order, mixing.hidden_order)
    natural = all(np.array_equal(order, np.arange(len(order))) for order in orders)
    return mixing if natural else NaturalOrder(mixing)


def _scale(length: int, scaled: bool) -> float:
    """Return the factor of the matrices of one axis."""
    return 1.0 / math.sqrt(length) if scaled else 1.0


def _keep(module: nn.Module, dtype: torch.dtype, scale: float, **matrices: Matrix) -> None:
    """Register matrices as buffers. They are derived, so they are not part of a checkpoint."""
    for name, matrix in matrices.items():
        module.register_buffer(name, torch.from_numpy(matrix * scale).to(dtype), persistent=False)


def _slices(length: int) -> list[int]:
    """Return the lengths of the parts of a folded order: indices that mirror themselves, the rest, and its mirror image."""
    return [length - 2 * pairs(length), pairs(length), pairs(length)]


def _folded(x: Tensor, slices: list[int]) -> tuple[Tensor, Tensor]:
    """Return the even and the odd part along the last axis, which is in folded order."""
    middle, low, high = torch.split(x, slices, dim=-1)
    return torch.cat([middle, low + high], dim=-1), low - high


def _first(x: Tensor, row: Tensor, slices: list[int], cosines: Tensor) -> Tensor:
    """Return token 0 of a mixing whose hidden axis is folded.

    The sines of frequency 0 vanish; the cosines are `float[1, sequence]`.
    """
    even, _ = _folded(torch.matmul(row, x)[:, 0], slices)
    middle, side = torch.split(torch.matmul(even, cosines), slices[:2], dim=-1)
    return torch.cat([middle, side, side], dim=-1)
