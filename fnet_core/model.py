"""The FNet encoder as trained: embeddings, blocks, pooler. (Lee-Thorp et al. 2021, arXiv:2105.03824, section 3.)"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from fnet_core.config import FOURIER, FNetConfig
from fnet_core.transform import Mixing, natural_transform
from fnet_core.variants import VARIANTS

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
}


class Embeddings(nn.Module):
    """Sum word, position and type embeddings, then normalise and project the sum."""

    def __init__(self, config: FNetConfig) -> None:
        """Make the three tables, the LayerNorm and the projection."""
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.projection = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor) -> Tensor:
        """Embed two `int64[batch, sequence]` as `float[batch, sequence, hidden]`. Positions count from 0."""
        position = self.position.weight[: input_ids.shape[-1]]
        embedded = self.word(input_ids) + self.token_type(token_type_ids) + position
        return self.dropout(self.projection(self.norm(embedded)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Compute one encoder layer: mixing and feed-forward, each with a residual and a LayerNorm after it."""

    def __init__(self, config: FNetConfig, mixing: Mixing) -> None:
        """Make the layer. A Fourier mixing has no weights, so all layers share it."""
        super().__init__()
        self.mixing = mixing
        self.residual: nn.Module = nn.Identity()  # lowering for half precision scales it
        self.mixing_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.intermediate = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.output = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.output_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Transform `float[batch, sequence, hidden]`, with the same shape and dtype. Mixing explains `mask`."""
        return self.after_mixing(self.residual(x) + self.mixing(x, mask))

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Transform, and return only token 0, `float[batch, 1, hidden]`."""
        return self.after_mixing(self.residual(x[:, :1]) + self.mixing.first(x, mask)[:, None])

    def after_mixing(self, x: Tensor) -> Tensor:
        """Finish the layer, given the sum of its input and the mixing. Every step works on each token separately."""
        x = self.mixing_norm(x)
        fed_forward = self.dropout(self.output(self.activation(self.intermediate(x))))
        return self.output_norm(x + fed_forward)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Compute one hidden vector per token from token ids, by embeddings and blocks."""

    def __init__(self, config: FNetConfig, *, transform: str, sequence_length: int, dtype: torch.dtype) -> None:
        """Make the encoder. `transform` is a name in TRANSFORMS, and every input is padded to `sequence_length`."""
        super().__init__()
        self.embeddings = Embeddings(config)
        fourier = natural_transform(transform, sequence_length, config.hidden_size, dtype)
        self.blocks = nn.ModuleList(
            Block(config, fourier if kind == FOURIER else VARIANTS[kind](config, sequence_length)) for kind in config.mixings
        )

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Encode `int64[batch, sequence]` inputs as `float[batch, sequence, hidden]`. Only attention reads the mask."""
        x = self.embeddings(input_ids, token_type_ids)
        for block in self.blocks:
            x = block(x, attention_mask)
        return x  # type: ignore[no-any-return]


class Pooler(nn.Module):
    """Apply a dense layer and tanh to the first token."""

    def __init__(self, config: FNetConfig) -> None:
        """Make the dense layer."""
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """Pool `float[batch, sequence, hidden]` to `float[batch, hidden]`."""
        return torch.tanh(self.dense(hidden[:, 0]))
