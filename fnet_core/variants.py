"""The paper's other mixings: learned matrices, random ones, none, and attention. (Lee-Thorp et al. 2021, section 4.)

A block has one of its own, where Fourier blocks share theirs. Each takes the checkpoint's order until `reorder` gives it another.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from fnet_core.config import FNetConfig
from fnet_core.transform import Mixing


class LinearMixing(Mixing):
    """`W_S X W_H^T`: one learned matrix along each axis."""

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
        """Take both axes in another order."""
        self.sequence.weight.copy_(self.sequence.weight[tokens][:, tokens])
        self.hidden.weight.copy_(self.hidden.weight[hidden][:, hidden])


class RandomMixing(LinearMixing):
    """The same with matrices that are drawn once and stay: part of a checkpoint, though never trained."""

    def __init__(self, config: FNetConfig, sequence_length: int) -> None:
        """Draw both matrices with a variance of one over their size, as the paper's code does."""
        super().__init__(config, sequence_length)
        for layer in (self.hidden, self.sequence):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
            layer.weight.requires_grad_(False)


class IdentityMixing(Mixing):
    """No mixing: tokens meet nowhere, and the residual is the input twice."""

    def __init__(self, config: FNetConfig, sequence_length: int) -> None:
        """Take the common arguments; there is nothing to make."""
        super().__init__(sequence_length, config.hidden_size)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the input."""
        return x

    def first(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return token 0 of the input."""
        return x[:, 0]


class AttentionMixing(Mixing):
    """Self-attention of several heads (Vaswani et al. 2017, section 3.2), which alone of all mixings takes a mask."""

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
        """Take the hidden axis in another order; the order of tokens is nothing to attention."""
        for layer in (self.query, self.key, self.value):
            layer.weight.copy_(layer.weight[:, hidden])
        self.output.weight.copy_(self.output.weight[hidden])
        self.output.bias.copy_(self.output.bias[hidden])

    def _attended(self, asking: Tensor, x: Tensor, asking_mask: Tensor | None, mask: Tensor | None) -> Tensor:
        """Attend from `float[batch, queries, hidden]` to `float[batch, sequence, hidden]`.

        As in the paper's code a score counts where both its tokens do, and a token that does not count attends to all alike.
        """
        query, key, value = self._split(self.query(asking)), self._split(self.key(x)), self._split(self.value(x))
        scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(query.shape[-1])  # float[batch, heads, queries, sequence]
        if asking_mask is not None and mask is not None:
            counts = (asking_mask[:, None, :, None] * mask[:, None, None, :]) != 0
            scores = scores.masked_fill(~counts, torch.finfo(scores.dtype).min)
        mixed = torch.matmul(scores.softmax(dim=-1), value)
        return self.output(mixed.transpose(1, 2).reshape(asking.shape))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        """Give each head its part: `float[batch, heads, tokens, hidden / heads]`."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


VARIANTS: Mapping[str, Callable[[FNetConfig, int], Mixing]] = {
    "linear": LinearMixing,
    "random": RandomMixing,
    "identity": IdentityMixing,
    "attention": AttentionMixing,
}
"""Every mixing but Fourier's by its name in config.json; each is made from (config, sequence_length)."""
