"""What pipelines return: one small dataclass per kind of answer. `truncated` tells that tokens of a text did not fit."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LabelScore:
    """A label and its score: a probability from 0 to 1, or the plain output of a regression."""

    label: str
    score: float


@dataclass(frozen=True)
class Classification:
    """The best label of a text, its score, and all labels, best first."""

    label: str
    score: float
    scores: tuple[LabelScore, ...]
    truncated: bool = False


@dataclass(frozen=True)
class TokenLabel:
    """The label of one token, and the characters [start, end) of the text that it covers."""

    label: str
    score: float
    text: str
    start: int
    end: int


class TokenLabels(tuple[TokenLabel, ...]):
    """The labels of the tokens of a text, in their order. Tokens that were cut have no label."""

    truncated: bool

    def __new__(cls, tokens: Iterable[TokenLabel], *, truncated: bool = False) -> "TokenLabels":
        """Hold the labels."""
        made = super().__new__(cls, tokens)
        made.truncated = truncated
        return made


@dataclass(frozen=True)
class Answer:
    """A span [start, end) of the context that answers the question, and its probability among all allowed spans of all windows.

    The score is a softmax over spans, not transformers' product of the probabilities of start and end (docs/bundle.md, Scores).
    """

    text: str
    score: float
    start: int
    end: int


@dataclass(frozen=True)
class Filler:
    """A token for a [MASK], its probability, and the text with it in place of that [MASK]."""

    token: str
    token_id: int
    score: float
    text: str


class Fillers(tuple[tuple[Filler, ...], ...]):
    """The fillers of every [MASK] of a text, in their order, best first. A [MASK] that was cut has no fillers."""

    truncated: bool

    def __new__(cls, masks: Iterable[tuple[Filler, ...]], *, truncated: bool = False) -> "Fillers":
        """Hold the fillers."""
        made = super().__new__(cls, masks)
        made.truncated = truncated
        return made


@dataclass(frozen=True)
class NextSentence:
    """Whether the second text follows the first, and the probability that it does."""

    follows: bool
    score: float
    truncated: bool = False


@dataclass(frozen=True)
class Choice:
    """The best choice: its index, text and probability, and the probabilities of all, in the order given.

    `truncated` tells that the text or a choice was cut.
    """

    index: int
    text: str
    score: float
    scores: tuple[float, ...]
    truncated: bool = False


@dataclass(frozen=True, eq=False)
class Embedding:
    """One vector per token of the text (`float32[token, hidden]`, special tokens included, padding not), and the pooled one."""

    tokens: Floats
    pooled: Floats
    truncated: bool = False


@dataclass(frozen=True)
class Pretraining:
    """Both answers of pre-training: fillers per [MASK] of the first text, and whether the second follows."""

    fillers: tuple[tuple[Filler, ...], ...]
    next_sentence: NextSentence
    truncated: bool = False
