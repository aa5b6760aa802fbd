"""The error that a precision is expected to have: the trained model in torch, with what that precision stores rounded to it.

Nothing here is lowered or traced, so that no defect of those hides in the expectation.
"""

import copy
import math
from collections.abc import Callable, Mapping

import torch
from fnet_runtime.bundle.manifest import BF16, FP8, FP16, INT8
from torch import Tensor, nn

from fnet_core.config import FOURIER
from fnet_core.fnet import FNet
from fnet_core.model import Block
from fnet_core.transform import Mixing, fourier_scale
from fnet_export.graph.lower import AtPositions, Scale
from fnet_export.precision.eight_bit import EIGHT_BITS
from fnet_export.precision.quantised import TABLE

BITS = {FP16: 11, BF16: 8}
"""Digits that a number of half precision has, the leading one included."""
Round = Callable[[Tensor], Tensor]


class RoundedMixing(Mixing):
    """The scaled Fourier transform, rounded after each of its axes, as what lies between two products of a graph is."""

    def __init__(self, sequence_length: int, hidden_size: int, rounded: Round) -> None:
        """Take what rounds `float[...]`. A shorter text has the scale of the given length, as in the graph for any length."""
        super().__init__(sequence_length, hidden_size)
        self._rounded, self._scale = rounded, 1.0 / math.sqrt(sequence_length)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix; see Mixing."""
        hidden = torch.fft.fft(x, dim=-1, norm="ortho")
        hidden = torch.complex(self._rounded(hidden.real), self._rounded(hidden.imag))
        return self._rounded(torch.fft.fft(hidden, dim=-2).real * self._scale)


def half_model(model: FNet | AtPositions, precision: str) -> FNet | AtPositions:
    """Return a float32 model that keeps weights, and what each layer takes and gives, in `fp16` or `bf16`; sums are float32.

    The model given is not changed. Range is not emulated: no number overflows.
    """
    copied = copy.deepcopy(model)
    bits = BITS[precision]

    def rounded(value: Tensor) -> Tensor:
        mantissa, exponent = torch.frexp(value)
        return torch.ldexp(torch.round(mantissa * 2**bits) / 2**bits, exponent)

    inner = copied.model if isinstance(copied, AtPositions) else copied
    with torch.no_grad():
        for name, value in inner.named_parameters():
            if "norm" not in name:
                value.copy_(rounded(value))
    sizes = inner.sequence_length, inner.config.hidden_size
    for block, kind in zip(inner.encoder.blocks, inner.config.mixings, strict=True):
        assert isinstance(block, Block)
        if kind == FOURIER:
            scale = fourier_scale(*sizes)
            block.mixing, block.residual = RoundedMixing(*sizes, rounded), Scale(scale)
            block.mixing_norm.eps *= scale * scale
    for module in inner.modules():
        if isinstance(module, nn.Linear | nn.LayerNorm | nn.Embedding | Scale):
            module.register_forward_hook(lambda _, __, value: rounded(value))
        if isinstance(module, nn.Linear | nn.LayerNorm):
            module.register_forward_pre_hook(lambda _, values: (rounded(values[0]),))
    return copied


def _to_int8(value: Tensor) -> Tensor:
    return torch.clamp(torch.round(value), -127, 127)


def _to_fp8(value: Tensor) -> Tensor:
    return torch.clamp(value, -448, 448).to(torch.float8_e4m3fn).to(value.dtype)


EIGHT_BIT_ROUNDS: Mapping[str, Round] = {INT8: _to_int8, FP8: _to_fp8}
"""How torch rounds a number that its scale brought into the range of a type."""


def quantised_model(model: FNet | AtPositions, precision: str, steps: Mapping[str, float]) -> FNet | AtPositions:
    """Return a float32 model whose linear layers take and hold `int8` or `fp8`.

    `steps` names these layers, and has the scale of the input of each. Weights, and the word embeddings where TABLE is in `steps`,
    are scaled by their own largest numbers. The model given is not changed.
    """
    copied = copy.deepcopy(model)
    inner = copied.model if isinstance(copied, AtPositions) else copied
    modules = dict(inner.named_modules())
    rounded, of_type = EIGHT_BIT_ROUNDS[precision], EIGHT_BITS[precision]
    with torch.no_grad():
        weights = {id(weight): weight for name in steps if isinstance(weight := modules[name].weight, Tensor)}  # a tied one once
        for weight in weights.values():
            largest = weight.abs().amax(dim=1, keepdim=True) if of_type.of_units else weight.abs().amax()
            scale = largest.clamp_min(torch.finfo(weight.dtype).tiny) / of_type.largest
            weight.copy_(rounded(weight / scale) * scale)
    for name, step in steps.items():
        if name != TABLE:
            modules[name].register_forward_pre_hook(_quantising(rounded, step))
    return copied


def _quantising(rounded: Round, step: float) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    return lambda _, values: (rounded(values[0] / step) * step,)


def expected_model(model: FNet | AtPositions, precision: str, steps: Mapping[str, float]) -> FNet | AtPositions:
    """Return a float32 model that computes as `precision` is expected to; eight bits by the `steps` (quantised.py)."""
    if precision in BITS:
        return half_model(model, precision)
    return quantised_model(model, precision, steps) if precision in EIGHT_BITS else model
