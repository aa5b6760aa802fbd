"""Find the spans of a context that answer a question, as the question-answering pipeline of transformers 4 does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fnet_runtime.pipeline.answers import Answer
from fnet_runtime.pipeline.encodings import context_overlap
from fnet_runtime.pipeline.model import Model, Request
from fnet_runtime.pipeline.options import AnswerOptions
from fnet_runtime.pipeline.scores import Floats, softmax
from fnet_runtime.pipeline.spans import trimmed, words_from_ids
from fnet_runtime.sessions.session import Outputs
from fnet_runtime.tokenizer.encoding import Encoding, Span

MORE_CANDIDATES = 10
"""With whole words, a window has this many candidates and two for each answer, because spans of the same words are one answer."""


@dataclass
class Candidate:
    """Words that may answer: their characters, the sum of the scores of their spans, and the places of these in the table."""

    span: Span
    score: float = 0.0
    places: list[int] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Window:
    """The tokens of a context in one window: where they are in the row, and how many tokens of the context come before them.

    `starts` and `ends` are the logits of the row, `float64[token]`, and `special` says that the row begins with [CLS].
    """

    encoding: Encoding
    tokens: list[int]
    first: int
    starts: Floats
    ends: Floats

    @property
    def special(self) -> bool:
        """Return whether the row begins with an added special token, which stands for "no answer"."""
        return self.encoding.segments[0] == -1

    def probabilities(self, logits: Floats) -> tuple[float, Floats]:
        """Return the probability of no answer, and those of the tokens of the context."""
        scores = softmax(logits[[0] * self.special + self.tokens])
        return (float(scores[0]), scores[1:]) if self.special else (0.0, scores)


def answer_spans(model: Model, request: Request, outputs: Sequence[Outputs]) -> tuple[Answer, ...]:
    """Find the best spans of the context in all windows, best first.

    The score is the score of transformers: the probability of the start times the probability of the end, each of one window.
    It is summed over the best spans of the same words or of equal words elsewhere. The share is a part of a softmax over all
    allowed spans of all windows.
    """
    assert isinstance(request.second, str)
    options = request.options
    windows = _windows(model, request, outputs)
    width = min(options.answer_tokens, max(len(window.tokens) for window in windows))
    table = np.full((windows[-1].first + len(windows[-1].tokens), width), -math.inf)
    candidates: dict[str, Candidate] = {}
    no_answer = [math.inf, math.inf]  # the lowest score and the lowest sum of logits of any window
    for window in windows:
        if not (window.special or window.tokens):
            continue
        (no_start, starts), (no_end, ends) = window.probabilities(window.starts), window.probabilities(window.ends)
        no_answer[0] = min(no_answer[0], no_start * no_end)
        no_answer[1] = min(no_answer[1], float(window.starts[0] + window.ends[0]))
        if not window.tokens:
            continue
        numbers = np.arange(len(window.tokens))
        first, more = np.nonzero(np.add.outer(numbers, np.arange(width)) < len(numbers))
        last = first + more
        logits = window.starts[window.tokens][first] + window.ends[window.tokens][last]
        places = window.first + first, more
        table[places] = np.maximum(table[places], logits)
        _collect(candidates, model, request.second, window, options, first, last, starts[first] * ends[last], width)
    return _answers(request.second, list(candidates.values()), table.ravel(), no_answer, options)


def _windows(model: Model, request: Request, outputs: Sequence[Outputs]) -> list[Window]:
    windows: list[Window] = []
    first = 0
    for encoding, row in zip(request.encodings, outputs, strict=True):
        tokens = [i for i, segment in enumerate(encoding.segments) if segment == 1]
        starts, ends = (np.asarray(row[name][0], np.float64) for name in ("start_logits", "end_logits"))
        windows.append(Window(encoding, tokens, first, starts, ends))
        first += len(tokens) - context_overlap(model, request.options, len(tokens))
    return windows


def _collect(
    candidates: dict[str, Candidate],
    model: Model,
    context: str,
    window: Window,
    options: AnswerOptions,
    first: npt.NDArray[np.intp],
    last: npt.NDArray[np.intp],
    scores: Floats,
    width: int,
) -> None:
    """Add the best spans of a window to the candidates. The same words, in any case, are one candidate: the first one found."""
    spans = window.encoding.spans
    words = words_from_ids(model, window.encoding.input_ids[window.tokens].tolist()) if options.align_to_words else None
    count = 2 * options.count + MORE_CANDIDATES if words else options.count
    for best in np.argsort(-scores, kind="stable")[:count].tolist():
        i, j = int(first[best]), int(last[best])
        begin, end = (words[i][0], words[j][1]) if words else (i, j)
        span = spans[window.tokens[begin]][0], spans[window.tokens[end]][1]
        candidate = candidates.setdefault(context[slice(*span)].lower(), Candidate(span))
        candidate.score += float(scores[best])
        candidate.places.append((window.first + i) * width + j - i)


def _answers(
    context: str, candidates: list[Candidate], logits: Floats, no_answer: list[float], options: AnswerOptions
) -> tuple[Answer, ...]:
    """Rank the candidates, and the empty answer if it is asked for. `logits` are the sums of all allowed spans."""
    if not (candidates or options.with_empty):
        return ()
    shares = softmax(np.append(logits, no_answer[1]) if options.with_empty else logits)
    answers = []
    for candidate in candidates:
        start, end = trimmed(context, *candidate.span)
        if start < end:  # else a piece of white space only
            share = float(shares[candidate.places].max())
            answers.append(Answer(context[start:end], candidate.score, start, end, share))
    order = np.argsort([-answer.score for answer in answers], kind="stable").tolist()
    ranked = [answers[i] for i in order]
    if options.with_empty:
        empty = Answer("", no_answer[0], 0, 0, float(shares[-1]))
        ranked.insert(_place_of_empty(empty, ranked, no_answer[1] - float(logits.max(initial=-math.inf)), options), empty)
    return tuple(ranked[: options.count])


def _place_of_empty(empty: Answer, ranked: list[Answer], difference: float, options: AnswerOptions) -> int:
    """Return the place of the empty answer: by its score, but a threshold alone decides whether it is the first."""
    place = sum(answer.score >= empty.score for answer in ranked)
    if options.null_threshold is None:
        return place
    return 0 if difference > options.null_threshold else max(place, 1)
