"""Answers as fnet-run prints them: one JSON value, or rows of tab-separated columns for people (docs/run.md)."""

import dataclasses
import json
from typing import Any

import numpy as np

from fnet_runtime.pipeline.answers import (
    Answer,
    Choice,
    Classification,
    Embedding,
    Filler,
    Fillers,
    NextSentence,
    Pretraining,
    TokenLabel,
    TokenLabels,
)

TASKS_OF_ROWS = ("pretraining", "masked-lm", "token-classification", "question-answering")
"""Tasks whose answers are any number of rows; those of the others are one row each."""
NOTHING = "(nothing)"


def json_from_answer(answer: Any) -> str:
    """Return an answer, or what else stands in place of one, as one line of JSON."""
    return json.dumps(_plain(answer), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return an answer as JSON's own types; NaN and infinity, which JSON lacks, as null."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, TokenLabels | Fillers):
        name = "tokens" if isinstance(value, TokenLabels) else "masks"
        return {name: [_plain(item) for item in value], "truncated": value.truncated}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def text_from_answer(answer: Any, *, multi_label: bool) -> str:
    """Return an answer as rows; `multi_label` tells that every label above a score of 0.5 is part of it."""
    return "\n".join("\t".join(row) for row in _rows(answer, multi_label)) or NOTHING


def escaped(text: str) -> str:
    """Return a text as one column of one row: characters that do not print, and backslashes, are escaped as Python does it."""
    return "".join(c if c.isprintable() and c != "\\" else repr(c)[1:-1] for c in text)


def _rows(answer: Any, multi_label: bool) -> list[list[str]]:
    match answer:
        case Classification():
            return [_labels(answer, multi_label)]
        case NextSentence():
            follows = answer.follows
            return [["follows" if follows else "does not follow", _score(answer.score if follows else 1 - answer.score)]]
        case Choice():
            return [[str(answer.index), repr(answer.text), _score(answer.score)]]
        case Embedding():
            return [[f"{name} float32{list(getattr(answer, name).shape)}" for name in ("tokens", "pooled")]]
        case Pretraining():
            return [*_rows(answer.fillers, multi_label), *_rows(answer.next_sentence, multi_label)]
        case TokenLabel():
            return [[escaped(answer.label), _score(answer.score), repr(answer.text), str(answer.start), str(answer.end)]]
        case Answer():
            return [[repr(answer.text), _score(answer.score), str(answer.start), str(answer.end)]]
        case Filler():
            return [[escaped(answer.token), str(answer.token_id), _score(answer.score), repr(answer.text)]]
    return [row for item in answer for row in _rows(item, multi_label)]


def _labels(answer: Classification, multi_label: bool) -> list[str]:
    """Return the decided labels, each before its score."""
    decided = [s for s in answer.scores if s.score > 0.5] if multi_label else answer.scores[:1]
    return [column for s in decided for column in (escaped(s.label), _score(s.score))] or [NOTHING]


def _score(score: float) -> str:
    return f"{score:.4f}"
