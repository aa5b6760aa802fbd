"""Define the paper's other mixings: learned matrices, random matrices, no mixing, and attention. (Lee-Thorp et al. 2021, section
4.)

Each block has its own mixing, while Fourier blocks share a mixing. Each mixing uses the checkpoint's order until `reorder` changes
it.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from fnet_core.config import FNetConfig
from fnet_core.transform import Mixing


class LinearMixing(Mixing):
    """Compute `W_S X W_H^T`, with one learned matrix along each axis."""

    def __init__(self, config: FNetConfig, sequence_length: int) -> None:
        """Make both matrices, with PyTorch's initial weights."""
        super().__init__(sequence_length, config.hidden_size)
        self.hidden = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.sequence = nn.Linear(sequence_length, sequence_length, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix; see Mixing."""
        return torch.matmul(self.sequence.weight, self.hidden(x))

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix, and return token 0."""
        return self.hidden(torch.matmul(self.sequence.weight[:1], x))[:, 0]  # type: ignore[no-any-return]

    def reorder(self, tokens: Tensor, hidden: Tensor) -> None:
        """Use another order of both axes."""
        self.sequence.weight.copy_(self.sequence.weight[tokens][:, tokens])
        self.hidden.weight.copy_(self.hidden.weight[hidden][:, hidden])


class RandomMixing(LinearMixing):
    """Compute the same with matrices that are drawn once and never trained. A checkpoint holds them."""

    def __init__(self, config: FNetConfig, sequence_length: int) -> None:
        """Draw both matrices with a variance of one over their size, as the paper's code does."""
        super().__init__(config, sequence_length)
        for layer in (self.hidden, self.sequence):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
            layer.weight.requires_grad_(False)


class IdentityMixing(Mixing):
    """Return the input: tokens do not mix, and the residual sum is twice the input."""

    def __init__(self, config: FNetConfig, sequence_length: int) -> None:
        """Accept the common arguments. There is nothing to make."""
        super().__init__(sequence_length, config.hidden_size)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the input."""
        return x

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return token 0 of the input."""
        return x[:, 0]


class AttentionMixing(Mixing):
    """Compute self-attention with several heads (Vaswani et al. 2017, section 3.2). Only this mixing uses the mask."""

    def __init__(self, config: FNetConfig, sequence_length: int) -> None:
        """Make the four projections."""
        super().__init__(sequence_length, config.hidden_size)
        assert config.num_attention_heads is not None  # the configuration of a model that attends has it
        self.heads = config.num_attention_heads
        size = config.hidden_size
        self.query, self.key, self.value, self.output = (nn.Linear(size, size) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix; see Mixing."""
        return self._attended(x, x, mask, mask)

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix, and return token 0: one query."""
        return self._attended(x[:, :1], x, None if mask is None else mask[:, :1], mask)[:, 0]

    def reorder(self, tokens: Tensor, hidden: Tensor) -> None:
        """Use another order of the hidden axis. The order of tokens does not matter to attention."""
        for layer in (self.query, self.key, self.value):
            layer.weight.copy_(layer.weight[:, hidden])
        self.output.weight.copy_(self.output.weight[hidden])
        self.output.bias.copy_(self.output.bias[hidden])

    def _attended(self, asking: Tensor, x: Tensor, asking_mask: Tensor | None, mask: Tensor | None) -> Tensor:
        """Attend from `float[batch, queries, hidden]` to `float[batch, sequence, hidden]`.

        As in the paper's code, a score counts if both its tokens count. A token that does not count attends to all tokens equally.
        """
        query, key, value = self._split(self.query(asking)), self._split(self.key(x)), self._split(self.value(x))
        scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(query.shape[-1])  # float[batch, heads, queries, sequence]
        if asking_mask is not None and mask is not None:
            counts = (asking_mask[:, None, :, None] * mask[:, None, None, :]) != 0
            scores = scores.masked_fill(~counts, torch.finfo(scores.dtype).min)
        mixed = torch.matmul(scores.softmax(dim=-1), value)
        return self.output(mixed.transpose(1, 2).reshape(asking.shape))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        """Split the hidden axis between the heads: `float[batch, heads, tokens, hidden / heads]`."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


VARIANTS: Mapping[str, Callable[[FNetConfig, int], Mixing]] = {
    "linear": LinearMixing,
    "random": RandomMixing,
    "identity": IdentityMixing,
    "attention": AttentionMixing,
}
"""Every mixing except Fourier's, by its name in config.json. Each is made from (config, sequence_length)."""
