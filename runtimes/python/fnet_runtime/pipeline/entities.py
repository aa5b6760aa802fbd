"""Group the tokens of a text to entities, as the token-classification pipeline of transformers does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fnet_runtime.pipeline.model import Model
from fnet_runtime.pipeline.options import AVERAGE, FIRST, SIMPLE
from fnet_runtime.pipeline.scores import Floats
from fnet_runtime.tokenizer.encoding import Encoding, Span

OUTSIDE = "O"
"""The label of tokens that are not part of an entity."""


@dataclass(frozen=True)
class Piece:
    """A token with the scores of its labels. `continues` says that it goes on with the word of the token before it."""

    scores: Floats
    span: Span
    continues: bool


@dataclass(frozen=True)
class Labelled:
    """A token, a word or an entity with one label."""

    label: str
    score: float
    span: Span


def entities_from_scores(model: Model, text: str, encoding: Encoding, scores: Floats, strategy: str) -> list[Labelled]:
    """Group the tokens of one row, `scores[token, label]`, and leave out what is outside of entities.

    `simple` gives each token its best label. The other strategies give all tokens of a word the label of the word.
    """
    pieces = _pieces(model, text, encoding, scores)
    words = [[piece] for piece in pieces] if strategy == SIMPLE else _words(pieces)
    labelled = [_labelled(word, strategy, model.manifest.labels) for word in words]
    return [entity for entity in _grouped(labelled) if entity.label != OUTSIDE]


def without_overlaps(entities: Sequence[Labelled]) -> list[Labelled]:
    """Keep the longer of two entities that two windows found in one place, or the one with the higher score if both are as long."""
    kept: list[Labelled] = []
    for entity in sorted(entities, key=lambda entity: entity.span[0]):
        if not kept or not kept[-1].span[0] <= entity.span[0] < kept[-1].span[1]:
            kept.append(entity)
        elif _rank(entity) > _rank(kept[-1]):
            kept[-1] = entity
    return kept


def _rank(entity: Labelled) -> tuple[int, float]:
    return entity.span[1] - entity.span[0], entity.score


def _pieces(model: Model, text: str, encoding: Encoding, scores: Floats) -> list[Piece]:
    """Only a space ends a word, and an unknown token begins a word."""
    pieces = []
    for token, span, segment, row in zip(encoding.input_ids, encoding.spans, encoding.segments, scores, strict=True):
        if segment == 0:
            start = span[0]
            continues = start > 0 and " " not in text[start - 1 : start + 1] and int(token) != model.tokenizer.unk_id
            pieces.append(Piece(row, span, continues))
    return pieces


def _words(pieces: Sequence[Piece]) -> list[list[Piece]]:
    words: list[list[Piece]] = []
    for piece in pieces:
        if words and piece.continues:
            words[-1].append(piece)
        else:
            words.append([piece])
    return words


def _labelled(word: Sequence[Piece], strategy: str, labels: Sequence[str]) -> Labelled:
    """Give a word the label of its first token, of its mean scores, or of the token with the highest score."""
    scores = word[0].scores
    if strategy == AVERAGE:
        for piece in word[1:]:
            scores = scores + piece.scores
        scores = scores / len(word)
    elif strategy not in (SIMPLE, FIRST):
        for piece in word[1:]:
            scores = piece.scores if piece.scores.max() > scores.max() else scores
    best = int(scores.argmax())
    return Labelled(labels[best], float(scores[best]), (word[0].span[0], word[-1].span[1]))


def _grouped(words: Sequence[Labelled]) -> list[Labelled]:
    """Join neighbours of one tag. A label `B-tag` begins an entity; `I-tag` and a label without such a beginning go on with it."""
    groups: list[list[Labelled]] = []
    for word in words:
        if groups and not word.label.startswith("B-") and _tag(word.label) == _tag(groups[-1][-1].label):
            groups[-1].append(word)
        else:
            groups.append([word])
    return [_joined(group) for group in groups]


def _joined(group: Sequence[Labelled]) -> Labelled:
    """Return an entity with the mean score. Its label is what follows the first dash of the first word's label."""
    score = float(np.array([word.score for word in group]).mean())
    return Labelled(group[0].label.split("-", 1)[-1], score, (group[0].span[0], group[-1].span[1]))


def _tag(label: str) -> str:
    return label[2:] if label.startswith(("B-", "I-")) else label
