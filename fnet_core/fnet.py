"""FNet: an encoder with the head of one task."""

import torch
from torch import Tensor, nn

from fnet_core.config import FNetConfig
from fnet_core.heads import MaskedLMHead
from fnet_core.model import Encoder, Pooler
from fnet_core.tasks import Task, task_of_config


class FNet(nn.Module):
    """Compute the outputs of one task from token ids."""

    def __init__(
        self,
        config: FNetConfig,
        task: Task,
        *,
        transform: str = "fft",
        sequence_length: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Make the model with PyTorch's initial weights.

        `transform` is a name in TRANSFORMS. Every input is padded to `sequence_length`, by default the length of the position
        table.
        """
        super().__init__()
        self.config = config
        self.task = task_of_config(task, config)
        self.sequence_length = sequence_length or config.max_position_embeddings
        self.encoder = Encoder(config, transform=transform, sequence_length=self.sequence_length, dtype=dtype)
        self.pooler = Pooler(config) if task.pooled else None
        self.head = task.head(config)
        if config.tie_word_embeddings:
            for module in self.head.modules():
                if isinstance(module, MaskedLMHead):
                    module.decoder.weight = self.encoder.embeddings.word.weight
        self.to(dtype)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return the outputs in the order of `task.outputs`.

        Inputs are `int64[batch, sequence]`. For multiple-choice they have an axis of choices before the last axis. The mask is for
        models with attention. It is 0 for a token that does not count; without a mask all tokens count.
        """
        given = (input_ids, token_type_ids, attention_mask)
        return self.outputs(self.encoder(*(None if ids is None else ids.flatten(0, -2) for ids in given)), input_ids.shape)

    def outputs(self, hidden: Tensor, input_shape: torch.Size) -> tuple[Tensor, ...]:
        """Return the outputs of an encoded input, `float[batch, sequence, hidden]`. Pooled heads need only its first token."""
        outputs = self.head(hidden, None if self.pooler is None else self.pooler(hidden))
        if len(input_shape) == 3:
            outputs = tuple(output.view(input_shape[:2]) for output in outputs)
        return outputs  # type: ignore[no-any-return]
