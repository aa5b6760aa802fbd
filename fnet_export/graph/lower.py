"""From a trained model to one for deployment that computes the same: exact rewrites, no approximation.

The mixing's own order of tokens and hidden units is baked into the weights, so that no block reorders anything. A head that reads
only token 0 needs only that token of the last block. Every constant is one tensor for all layers. For a CPU, rows of the
feed-forward's width are kept from falling on the same lines of its cache; for half precision, sums of a whole input are kept small.
"""

import copy

import numpy as np
import torch
from fnet_runtime.bundle.manifest import FP16, INT8
from torch import Tensor, nn
from torch.nn import functional

from fnet_core.config import FOURIER, SIZED_MIXINGS, FNetConfig
from fnet_core.fnet import FNet
from fnet_core.model import Block, Encoder
from fnet_core.tasks import SEQUENCE, Task, task_of_config
from fnet_core.transform import TRANSFORMS, AnyLengthMixing, Mixing, Order, fourier_scale
from fnet_export.base.errors import GraphError

ALIASING_BYTES, CACHE_LINE_BYTES = 4096, 64
"""Rows that lie a multiple of the first apart share one set of a first-level cache (64 sets of 64 bytes on x86-64 and Cortex-A)."""


class LoweredFNet(nn.Module):
    """Compute an FNet whose blocks work in the order of their mixing, with the same inputs and outputs."""

    ids_order: Tensor
    sequence_back: Tensor
    hidden_back: Tensor

    def __init__(self, model: FNet, mixing: Mixing, task: Task, *, widen: bool, any_length: bool) -> None:
        """Give `model`, which becomes this one's own, this Fourier mixing, and its weights the order of it.

        `widen` is as in lowered_from_model. With `any_length`, a graph of the model takes inputs of any length up to the longest.
        """
        super().__init__()
        self.any_length = any_length
        self.model, self.task = model, task
        self.config, self.sequence_length = model.config, model.sequence_length
        self.register_buffer("ids_order", torch.from_numpy(mixing.sequence_order), persistent=False)
        self.register_buffer("sequence_back", torch.from_numpy(np.argsort(mixing.sequence_order)), persistent=False)
        self.register_buffer("hidden_back", torch.from_numpy(np.argsort(mixing.hidden_order)), persistent=False)
        self._reorders_tokens, self._reorders_hidden = _reorders(mixing.sequence_order), _reorders(mixing.hidden_order)
        # every output is of the pooled token; masked-lm at positions has no sequence axis either, and pools nothing
        self._first_only = task.pooled and not any(SEQUENCE in axes for axes in task.outputs.values())
        _permute(model, mixing)
        if widen:
            _widen(model)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        attention_mask: Tensor | None = None,
        masked_lm_positions: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Return the outputs in the order of `task.outputs`; inputs as FNet has them.

        With positions, `int64[batch, count]`, the head reads those tokens alone.
        """
        encoder = self.model.encoder
        mask = None if attention_mask is None else self._ordered(attention_mask)
        x = encoder.embeddings(self._ordered(input_ids), self._ordered(token_type_ids))
        *blocks, last = _blocks(encoder)
        for block in blocks:
            x = block(x, mask)
        if self._first_only:
            x = last.first(x, mask)
        else:
            x = last(x, mask)
            if masked_lm_positions is not None:
                x = _at(x, self.sequence_back[masked_lm_positions] if self._reorders_tokens else masked_lm_positions)
            elif self._reorders_tokens:
                x = x.index_select(1, self.sequence_back)
        x = x.index_select(2, self.hidden_back) if self._reorders_hidden else x
        return self.model.outputs(x, input_ids.shape)

    def _ordered(self, ids: Tensor) -> Tensor:
        """Flatten choices into the batch, and put tokens in the mixing's order."""
        flat = ids.flatten(0, -2)
        return flat.index_select(1, self.ids_order) if self._reorders_tokens else flat


class AtPositions(nn.Module):
    """An FNet for masked-lm as it is, of whose outputs those at the asked positions are kept: what lowering is compared with."""

    def __init__(self, model: FNet, task: Task) -> None:
        """Take the model, and the task with its `predict_positions`."""
        super().__init__()
        self.model, self.task, self.config, self.sequence_length = model, task, model.config, model.sequence_length

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor | None = None, *, masked_lm_positions: Tensor
    ) -> tuple[Tensor, ...]:
        """Return logits `float[batch, count, vocab]` at `int64[batch, count]`."""
        (logits,) = self.model(input_ids, token_type_ids, attention_mask)
        return (_at(logits, masked_lm_positions),)


class Scale(nn.Module):
    """A product with one number."""

    def __init__(self, factor: float) -> None:
        """Take the factor."""
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Scale `float[...]`."""
        return x * self.factor


def lowered_from_model(
    model: FNet, transform: str, task: Task | None = None, *, widen: bool = False, scaled: bool = False
) -> LoweredFNet:
    """Rewrite a trained model, in evaluation mode and any float dtype, for deployment with a transform of TRANSFORMS.

    The outputs are the same except for rounding, and the given model is not changed. `task` is the model's own unless given:
    masked-lm with `predict_positions` takes the positions to predict as an input. `widen` adds units of zeros to a feed-forward
    whose rows would fall on the same lines of a CPU's cache, as 1024, 3072 and 4096 units do in float32. `scaled`
    multiplies both residual branches of a Fourier mixing by `fourier_scale`, for half precision.
    """
    sizes = model.sequence_length, model.config.hidden_size
    mixing = TRANSFORMS[transform](*sizes, _dtype(model), scaled=scaled) if FOURIER in model.config.mixings else Mixing(*sizes)
    return _lowered(model, mixing, task, widen=widen, scaled=scaled, any_length=False)


def any_length_from_model(model: FNet, task: Task | None = None, *, widen: bool = False, scaled: bool = False) -> LoweredFNet:
    """Rewrite a trained model for texts at their own length, of at most `model.sequence_length` tokens.

    lowered_from_model explains the options. Raises GraphError for a mixing that has a weight for each pair of positions.
    """
    check_any_length(model.config, model.sequence_length)
    sizes = model.sequence_length, model.config.hidden_size
    mixing = AnyLengthMixing(*sizes, _dtype(model), scaled=scaled) if FOURIER in model.config.mixings else Mixing(*sizes)
    return _lowered(model, mixing, task, widen=widen, scaled=scaled, any_length=True)


def check_any_length(config: FNetConfig, sequence_length: int) -> None:
    """Raise GraphError for a mixing that has a weight for each pair of positions."""
    sized = sorted(set(SIZED_MIXINGS) & set(config.mixings))
    if sized:
        raise GraphError(
            f"a graph for any length: expected layers that mix any number of tokens; found the mixing {sized[0]}, whose weights "
            f"fit {sequence_length} tokens only. Pad every text to one length"
        )


def _lowered(model: FNet, mixing: Mixing, task: Task | None, *, widen: bool, scaled: bool, any_length: bool) -> LoweredFNet:
    copied = copy.deepcopy(model)
    if scaled:
        _scale(copied, fourier_scale(model.sequence_length, model.config.hidden_size))
    task = task_of_config(task or model.task, model.config)
    return LoweredFNet(copied, mixing, task, widen=widen, any_length=any_length).eval()


def lowered_for_target(trained: FNet, task: Task, transform: str, *, any_length: bool, target: str, precision: str) -> LoweredFNet:
    """Lower a model as a target and a precision want it; see `lowered_from_model` and `any_length_from_model`."""
    widen = target == "onnx" and precision != INT8  # rows of int8 are a quarter as long
    if any_length:
        return any_length_from_model(trained, task, widen=widen, scaled=precision == FP16)
    return lowered_from_model(trained, transform, task, widen=widen, scaled=precision == FP16)


def _at(x: Tensor, positions: Tensor) -> Tensor:
    """Rows of `float[batch, sequence, width]` at `int64[batch, count]`."""
    return x.gather(1, positions[..., None].expand(-1, -1, x.shape[-1]))


def _reorders(order: Order) -> bool:
    return not np.array_equal(order, np.arange(len(order)))


def _blocks(encoder: Encoder) -> list[Block]:
    return [block for block in encoder.blocks if isinstance(block, Block)]


def _dtype(model: FNet) -> torch.dtype:
    return model.encoder.embeddings.projection.weight.dtype


def _permute(model: FNet, mixing: Mixing) -> None:
    """Give Fourier blocks the mixing; reorder what all read and write along the hidden axis, and the positions embedded."""
    encoder = model.encoder
    tokens, hidden = torch.from_numpy(mixing.sequence_order), torch.from_numpy(mixing.hidden_order)
    with torch.no_grad():
        position = encoder.embeddings.position.weight
        position[: len(tokens)] = position[tokens]
        blocks = _blocks(encoder)
        writers: list[nn.Linear | nn.LayerNorm] = [encoder.embeddings.projection]
        for block in blocks:
            writers += [block.mixing_norm, block.output, block.output_norm]
        for layer in writers:
            layer.weight.copy_(layer.weight[hidden])
            layer.bias.copy_(layer.bias[hidden])
        for block, kind in zip(blocks, model.config.mixings, strict=True):
            block.intermediate.weight.copy_(block.intermediate.weight[:, hidden])
            if kind == FOURIER:
                block.mixing = mixing
            else:
                block.mixing.reorder(tokens, hidden)


def _scale(model: FNet, scale: float) -> None:
    """Make Fourier blocks take a mixing that is scaled: `LN(k x + k F(x), k^2 eps) = LN(x + F(x), eps)`.

    LayerNorm divides by `sqrt(variance + eps)`, and the variance of k times a value is k^2 times its own.
    """
    for block, kind in zip(_blocks(model.encoder), model.config.mixings, strict=True):
        if kind == FOURIER:
            block.residual = Scale(scale)
            block.mixing_norm.eps *= scale * scale


def _widen(model: FNet) -> None:
    """Add a cache line of zero units to every feed-forward whose rows alias; every activation gives 0 of 0, so nothing changes."""
    size = _dtype(model).itemsize
    for block in _blocks(model.encoder):
        if block.intermediate.out_features * size % ALIASING_BYTES == 0:
            added = CACHE_LINE_BYTES // size
            block.intermediate = _linear(
                functional.pad(block.intermediate.weight.detach(), (0, 0, 0, added)),
                functional.pad(block.intermediate.bias.detach(), (0, added)),
            )
            block.output = _linear(functional.pad(block.output.weight.detach(), (0, added)), block.output.bias.detach())


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Make a linear layer of `float[out, in]` and `float[out]`."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer
