"""The answers of pipelines, one small dataclass per task. `truncated` says that tokens of a text did not fit and were cut."""

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
    """The best label of a text, its score, and the scores of all labels, best first."""

    label: str
    score: float
    scores: tuple[LabelScore, ...]
    truncated: bool = False


@dataclass(frozen=True)
class TokenLabel:
    """The label of one token, and the characters [start, end) of the text that the token covers."""

    label: str
    score: float
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class TokenLabels:
    """The labels of the tokens of a text, in their order. A token that was cut has no label."""

    tokens: tuple[TokenLabel, ...]
    truncated: bool = False


@dataclass(frozen=True)
class Entity:
    """A label, the mean score of its tokens or words, and the characters [start, end) of the text."""

    label: str
    score: float
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Entities:
    """The entities of a text, in their order. `O` is not an entity."""

    entities: tuple[Entity, ...]
    truncated: bool = False


@dataclass(frozen=True)
class Answer:
    """A span [start, end) of the context that answers the question; an empty text from 0 to 0 says that there is no answer.

    `score` is the score of transformers' pipeline: the probability of the start times the probability of the end, each of one
    window. `share` is the part of the span among all allowed spans of all windows (docs/run.md, Answers to questions).
    """

    text: str
    score: float
    start: int
    end: int
    share: float


@dataclass(frozen=True)
class Filler:
    """A token for a [MASK], its probability, and the text with the token in place of that [MASK]."""

    token: str
    token_id: int
    score: float
    text: str


@dataclass(frozen=True)
class Fillers:
    """The fillers of every [MASK] of a text, in the order of the text, best first. A [MASK] that was cut has no fillers."""

    masks: tuple[tuple[Filler, ...], ...]
    truncated: bool = False


@dataclass(frozen=True)
class NextSentence:
    """Whether the second text follows the first, and the probability that it does."""

    follows: bool
    score: float
    truncated: bool = False


@dataclass(frozen=True)
class Choice:
    """The index, text and probability of the best choice, and the probabilities of all choices in the order of the request."""

    index: int
    text: str
    score: float
    scores: tuple[float, ...]
    truncated: bool = False


@dataclass(frozen=True, eq=False)
class Embedding:
    """One vector per token of the text (`float32[token, hidden]`), and the pooled vector.

    Special tokens have vectors, padding does not.
    """

    tokens: Floats
    pooled: Floats
    truncated: bool = False


@dataclass(frozen=True)
class Pretraining:
    """The fillers of every [MASK] of the first text, and whether the second text follows."""

    fillers: tuple[tuple[Filler, ...], ...]
    next_sentence: NextSentence
    truncated: bool = False


AnyAnswer = Embedding | Pretraining | Fillers | NextSentence | Classification | Choice | TokenLabels | Entities | tuple[Answer, ...]
"""The answer of any task. question-answering answers with spans, best first; no token of a question or context is cut."""
