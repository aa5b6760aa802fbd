"""Answers as fnet-run prints them for people: rows of columns with tabs between them (docs/run.md)."""

from fnet_runtime.pipeline.answers import (
    Answer,
    AnyAnswer,
    Choice,
    Classification,
    Embedding,
    Entities,
    Entity,
    Filler,
    Fillers,
    NextSentence,
    Pretraining,
    TokenLabel,
    TokenLabels,
)
from fnet_runtime.pipeline.options import DEFAULT_OPTIONS, DEFAULT_THRESHOLD, AnswerOptions

TASKS_OF_ROWS = ("pretraining", "masked-lm", "token-classification", "question-answering")
"""The tasks whose answer is any number of rows. The answer of every other task is one row."""
NOTHING = "(nothing)"
Row = list[str]


def text_from_answer(answer: AnyAnswer, *, multi_label: bool, options: AnswerOptions = DEFAULT_OPTIONS) -> str:
    """Return an answer as rows. With `multi_label` a text has every label whose score is above the threshold, or 0.5."""
    return "\n".join("\t".join(row) for row in _rows(answer, multi_label, options)) or NOTHING


def escaped(text: str) -> str:
    """Return a text as one column of one row: Python's escapes replace backslashes and characters that do not print."""
    return "".join(c if c.isprintable() and c != "\\" else repr(c)[1:-1] for c in text)


def _rows(answer: AnyAnswer, multi_label: bool, options: AnswerOptions) -> list[Row]:
    match answer:
        case Classification():
            return [_labels(answer, multi_label, options)]
        case NextSentence():
            return [_follows(answer)]
        case Choice():
            return [[str(answer.index), repr(answer.text), _score(answer.score)]]
        case Embedding():
            return [[f"tokens float32{list(answer.tokens.shape)}", f"pooled float32{list(answer.pooled.shape)}"]]
        case Pretraining():
            return [*_fillers(answer.fillers), _follows(answer.next_sentence)]
        case Fillers():
            return _fillers(answer.masks)
        case TokenLabels():
            return [_token(token) for token in answer.tokens]
        case Entities():
            return [_token(entity) for entity in answer.entities]
        case _:
            return [_span(span) for span in answer]


def _labels(answer: Classification, multi_label: bool, options: AnswerOptions) -> Row:
    """Return the decided labels, each with its score: all that the options ask for, or the best."""
    decided = answer.scores
    if multi_label and options.threshold is None:
        decided = tuple(s for s in decided if s.score > DEFAULT_THRESHOLD)
    elif options.threshold is None and options.top_k is None:
        decided = decided[:1]
    return [column for s in decided for column in (escaped(s.label), _score(s.score))] or [NOTHING]


def _follows(answer: NextSentence) -> Row:
    return ["follows", _score(answer.score)] if answer.follows else ["does not follow", _score(1 - answer.score)]


def _fillers(masks: tuple[tuple[Filler, ...], ...]) -> list[Row]:
    return [[escaped(f.token), str(f.token_id), _score(f.score), repr(f.text)] for fillers in masks for f in fillers]


def _token(token: TokenLabel | Entity) -> Row:
    return [escaped(token.label), _score(token.score), repr(token.text), str(token.start), str(token.end)]


def _span(span: Answer) -> Row:
    return [repr(span.text), _score(span.score), str(span.start), str(span.end)]


def _score(score: float) -> str:
    return f"{score:.4f}"
