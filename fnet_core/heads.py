"""Define one head per task: from (hidden, pooled) to the task's outputs, in the order of TASKS.

hidden: `float[batch, sequence, hidden]`. pooled: `float[batch, hidden]`, or None for the heads that read every token.
"""

from torch import Tensor, nn

from fnet_core.config import FNetConfig
from fnet_core.model import ACTIVATIONS


class FeatureExtractionHead(nn.Module):
    """Return the encoder's outputs unchanged."""

    def __init__(self, config: FNetConfig) -> None:
        """Accept the common argument of every head. There is nothing to make."""
        super().__init__()

    def forward(self, hidden: Tensor, pooled: Tensor) -> tuple[Tensor, ...]:
        """Return last_hidden_state and pooler_output."""
        return hidden, pooled


class MaskedLMHead(nn.Module):
    """Compute vocabulary logits of every token: dense, activation, LayerNorm, decoder."""

    def __init__(self, config: FNetConfig) -> None:
        """Make the layers. A tied decoder shares its weight with the word embeddings (see `FNet`)."""
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.masked_lm_act or config.hidden_act]
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.masked_lm_norm_eps or config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, hidden: Tensor, pooled: Tensor | None) -> tuple[Tensor, ...]:
        """Return logits `float[batch, sequence, vocab]`."""
        return (self.decoder(self.norm(self.activation(self.dense(hidden)))),)


class NextSentenceHead(nn.Module):
    """Compute two logits of the pooled token. Index 0 means that the second text follows the first."""

    def __init__(self, config: FNetConfig) -> None:
        """Make the linear layer."""
        super().__init__()
        self.seq_relationship = nn.Linear(config.hidden_size, 2)

    def forward(self, hidden: Tensor, pooled: Tensor) -> tuple[Tensor, ...]:
        """Return logits `float[batch, 2]`."""
        return (self.seq_relationship(pooled),)


class PretrainingHead(nn.Module):
    """Compute the outputs of both heads of pre-training."""

    def __init__(self, config: FNetConfig) -> None:
        """Make both heads."""
        super().__init__()
        self.masked_lm = MaskedLMHead(config)
        self.next_sentence = NextSentenceHead(config)

    def forward(self, hidden: Tensor, pooled: Tensor) -> tuple[Tensor, ...]:
        """Return prediction_logits `float[batch, sequence, vocab]` and seq_relationship_logits `float[batch, 2]`."""
        return *self.masked_lm(hidden, pooled), *self.next_sentence(hidden, pooled)


class SequenceClassificationHead(nn.Module):
    """Compute one logit per label of the pooled token."""

    def __init__(self, config: FNetConfig) -> None:
        """Make the classifier."""
        super().__init__()
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, hidden: Tensor, pooled: Tensor) -> tuple[Tensor, ...]:
        """Return logits `float[batch, num_labels]`."""
        return (self.classifier(self.dropout(pooled)),)


class MultipleChoiceHead(nn.Module):
    """Compute one logit of the pooled token of each choice."""

    def __init__(self, config: FNetConfig) -> None:
        """Make the classifier."""
        super().__init__()
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, 1)

    def forward(self, hidden: Tensor, pooled: Tensor) -> tuple[Tensor, ...]:
        """Return logits `float[batch * num_choices]`."""
        return (self.classifier(self.dropout(pooled)).squeeze(-1),)


class TokenClassificationHead(nn.Module):
    """Compute one logit per label of every token."""

    def __init__(self, config: FNetConfig) -> None:
        """Make the classifier."""
        super().__init__()
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, hidden: Tensor, pooled: Tensor | None) -> tuple[Tensor, ...]:
        """Return logits `float[batch, sequence, num_labels]`."""
        return (self.classifier(self.dropout(hidden)),)


class QuestionAnsweringHead(nn.Module):
    """Logits of every token being the first or the last of the answer."""

    def __init__(self, config: FNetConfig) -> None:
        """Make the linear layer."""
        super().__init__()
        self.qa_outputs = nn.Linear(config.hidden_size, 2)

    def forward(self, hidden: Tensor, pooled: Tensor | None) -> tuple[Tensor, ...]:
        """Return start_logits and end_logits, each `float[batch, sequence]`."""
        start, end = self.qa_outputs(hidden).unbind(dim=-1)
        return start, end
