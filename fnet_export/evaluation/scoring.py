"""How each kind of task is scored: what a record holds, how it is answered, and the counts and decisions that come of an answer."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from fnet_runtime.errors import SessionError
from fnet_runtime.pipeline.answers import Answer, Choice, Classification, NextSentence, TokenLabel, TokenLabels
from fnet_runtime.pipeline.options import DEFAULT_OPTIONS, AnswerOptions
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.pipeline.scores import BINARY, MULTI_LABEL, REGRESSION, problem_of_labels

from fnet_export.base.errors import EvaluationError
from fnet_export.evaluation import labelled
from fnet_export.evaluation.fields import Fields
from fnet_export.evaluation.labelled import Parts, Record
from fnet_export.evaluation.masking import Guesses, guesses_from_record
from fnet_export.evaluation.metrics import (
    Metric,
    entities_from_tags,
    f1,
    label_counts,
    macro_f1,
    matthews,
    mean_error,
    micro_f1,
    normalised,
    pearson,
    perplexity,
    root_mean_square_error,
    share,
    spearman,
    words_f1,
)

OUTSIDE = "O"
FOLLOWS = ("does not follow", "follows")

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """What one answer decided, and its counts, which the metrics read from sums; `unread`: words past the sequence length."""

    decisions: tuple[Hashable, ...]
    counts: tuple[float, ...]
    unread: int = 0


SQUAD_ANSWER_LEN = 30
"""How many tokens an answer has at most in the scripts that score SQuAD."""
SQUAD_THRESHOLD = 0.0
"""How far the logits of no answer must exceed those of the best span in these scripts, for a question to have no answer."""


def asked(pipeline: Pipeline, records: Sequence[Record], options: AnswerOptions) -> list[Any]:
    """Answer records with the shipped pipeline."""
    answers: list[Any] = pipeline([record.text for record in records], [record.second for record in records], options=options)
    return answers


def default_options(pipeline: Pipeline, records: Sequence[Record]) -> AnswerOptions:
    """Return the options of a task that is scored as the runtime answers without any."""
    return DEFAULT_OPTIONS


def question_options(pipeline: Pipeline, records: Sequence[Record]) -> AnswerOptions:
    """Return the options of SQuAD's scripts. If some question of the data has no answer, an empty answer is possible.

    It is not if the tokenizer adds no [CLS], whose score it has.
    """
    options = AnswerOptions(top_k=1, max_answer_len=SQUAD_ANSWER_LEN)
    if all(map(_is_answerable, records)) or not pipeline.tokenizer.added(pair=False):
        return options
    return replace(options, null_threshold=SQUAD_THRESHOLD)


def guessed(pipeline: Pipeline, records: Sequence[Record], options: AnswerOptions) -> list[Any]:
    """Guess masked tokens of records, one record at a time: vocabulary logits are large."""
    return [guesses_from_record(pipeline, record) for record in records]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """One kind of task. `metrics` are made for the model's labels, the main one first; `decision` says what one decision is.

    `options` returns the options of the answers, given the pipeline and all records. `limited` is true if the main metric is a
    share, which can have a limit in points.
    """

    read: Callable[[Fields], Parts]
    score: Callable[[Record, Any, Labels], Score]
    metrics: Callable[[Labels], tuple[Metric, ...]]
    decision: str
    answer: Callable[[Pipeline, Sequence[Record], AnswerOptions], list[Any]] = asked
    options: Callable[[Pipeline, Sequence[Record]], AnswerOptions] = default_options
    limited: bool = True


def kind_from_pipeline(pipeline: Pipeline) -> str:
    """Return the key of SCORINGS. Raises EvaluationError for a task that has nothing to score."""
    return kind_from_task(pipeline.manifest.task, pipeline.problem_type, len(pipeline.manifest.labels))


def kind_from_task(task: str, problem_type: str | None, labels: int) -> str:
    """Return the key of SCORINGS, of a task and a configuration's problem_type and number of labels.

    Raises EvaluationError as above.
    """
    problem = problem_of_labels(problem_type, labels) if task == "sequence-classification" else None
    if problem is not None:
        return problem
    if task not in SCORINGS:
        raise EvaluationError(
            f"{task}: its vectors have no right answer that data could hold, so there is nothing to evaluate; parity.json of the "
            f"bundle says how close they are to the reference. Expected a bundle of {', '.join(SCORINGS)}"
        )
    return task


# ---- counts and decisions of one answer; the metrics below name the places of the counts


def _classification(record: Record, answer: Classification, labels: Labels) -> Score:
    _check_finite(record, answer.score)
    return _label_score(answer.label, record.truth, labels)


def _next_sentence(record: Record, answer: NextSentence, labels: Labels) -> Score:
    _check_finite(record, answer.score)
    return _label_score(FOLLOWS[answer.follows], FOLLOWS[record.truth], FOLLOWS)


def _label_score(label: str, truth: str, labels: Labels) -> Score:
    counts = label_counts([name == label for name in labels], [name == truth for name in labels])
    return Score((label,), (float(label == truth), 1.0, *counts))


def _label_metrics(labels: Labels) -> tuple[Metric, ...]:
    """Accuracy, macro F1 and, for two labels, the F1 of the second, the positive one; Matthews correlation."""
    positive = (f1(f"F1 of {labels[1]}", 3, 5, 7),) if len(labels) == 2 else ()
    return share("accuracy", 0, 1), macro_f1(2, len(labels)), *positive, matthews(2, len(labels))


def _binary(record: Record, answer: Classification, labels: Labels) -> Score:
    """One label, which a text has where its score is above 0.5."""
    _check_finite(record, answer.score)
    names = _absent_and_present(labels)
    return _label_score(names[answer.score > 0.5], names[record.truth], names)


def _absent_and_present(labels: Labels) -> Labels:
    return f"not {labels[0]}", labels[0]


def _multi_label(record: Record, answer: Classification, labels: Labels) -> Score:
    scores = {entry.label: entry.score for entry in answer.scores}
    _check_finite(record, *scores.values())
    chosen = [scores[name] > 0.5 for name in labels]
    actual = [name in record.truth for name in labels]
    return Score(tuple(chosen), (float(chosen == actual), 1.0, *label_counts(chosen, actual)))


def _multi_label_metrics(labels: Labels) -> tuple[Metric, ...]:
    return share("accuracy", 0, 1), micro_f1(2, len(labels)), macro_f1(2, len(labels))


def _regression(record: Record, answer: Classification, labels: Labels) -> Score:
    scores = {entry.label: entry.score for entry in answer.scores}
    _check_finite(record, *scores.values())
    values = np.array([scores[name] for name in labels])
    errors = values - record.truth
    counts = (float(np.abs(errors).sum()), float((errors**2).sum()), float(len(labels)))
    return Score((), (*counts, float(values[0]), record.truth[0]))


def _regression_metrics(labels: Labels) -> tuple[Metric, ...]:
    """Errors over all outputs and, for one output, its correlations with the truth."""
    errors = mean_error(0, 2), root_mean_square_error(1, 2)
    return (*errors, pearson(3, 4), spearman(3, 4)) if len(labels) == 1 else errors


def _question(record: Record, answers: tuple[Answer, ...], labels: Labels) -> Score:
    """Score the best answer as the script of SQuAD 2.0 does: where no text answers the question, only an empty answer is right."""
    best = answers[0] if answers else None
    _check_finite(record, best.score if best else 0.0)
    text = best.text if best else ""
    truths = _truths(record)
    exact = float(max(normalised(text) == normalised(truth) for truth in truths or [""]))
    overlap = max(words_f1(text, truth) for truth in truths or [""])
    answerable = float(bool(truths))
    counts = (exact, overlap, 1.0, exact * answerable, overlap * answerable, answerable, exact * (1 - answerable), 1 - answerable)
    return Score(((best.start, best.end) if best and text else None,), counts)


def _truths(record: Record) -> list[str]:
    return [truth for truth in record.truth if normalised(truth)]


def _is_answerable(record: Record) -> bool:
    return bool(_truths(record))


def _question_metrics(labels: Labels) -> tuple[Metric, ...]:
    """Exact match and F1 of all questions; if some have no answer, of those with and without one."""
    unanswerable = 7
    return (
        share("exact match", 0, 2),
        share("F1", 1, 2),
        share("exact match if answerable", 3, 5, needs=unanswerable),
        share("F1 if answerable", 4, 5, needs=unanswerable),
        share("exact match if unanswerable", 6, 7, needs=unanswerable),
    )


def _tagged(record: Record, answer: TokenLabels, labels: Labels) -> Score:
    """Return the label of each word: the label of its first piece, as in training, or outside past the sequence length."""
    pieces = answer.tokens
    _check_finite(record, *(piece.score for piece in pieces))
    actual, spans = record.truth
    word_labels = [_label_of_word(pieces, span) for span in spans]
    tags = tuple(OUTSIDE if tag is None else tag for tag in word_labels)
    predicted, expected = entities_from_tags(tags), entities_from_tags(actual)
    right = sum(tag == truth for tag, truth in zip(tags, actual, strict=True))
    counts = (len(predicted & expected), len(predicted), len(expected), right, len(actual))
    return Score(tags, tuple(float(count) for count in counts), unread=word_labels.count(None))


def _label_of_word(pieces: Sequence[TokenLabel], span: tuple[int, int]) -> str | None:
    """Label of the first piece that is not wholly before or after the word; one of nothing but the space before it counts."""
    start, end = span
    return next((piece.label for piece in pieces if piece.start < end and (piece.end > start or piece.start >= start)), None)


def _tagged_metrics(labels: Labels) -> tuple[Metric, ...]:
    return f1("entity F1", 0, 1, 2), share("word accuracy", 3, 4)


def _choice(record: Record, answer: Choice, labels: Labels) -> Score:
    _check_finite(record, *answer.scores)
    return Score((answer.index,), (float(answer.index == record.truth), 1.0))


def _choice_metrics(labels: Labels) -> tuple[Metric, ...]:
    return (share("accuracy", 0, 1),)


def _masked(record: Record, guesses: Guesses, labels: Labels) -> Score:
    _check_finite(record, *guesses.nats)
    right = float((guesses.tokens == guesses.guesses).sum())
    return Score(tuple(guesses.guesses.tolist()), (right, float(guesses.nats.sum()), float(len(guesses.tokens))))


def _masked_metrics(labels: Labels) -> tuple[Metric, ...]:
    return share("masked token accuracy", 0, 2), perplexity(1, 2)


def _pretraining(record: Record, guesses: Guesses, labels: Labels) -> Score:
    masked = _masked(record, guesses, labels)
    assert guesses.follows is not None
    _check_finite(record, *guesses.follows)
    follows = bool(guesses.follows[0] > guesses.follows[1])
    return Score((*masked.decisions, follows), (*masked.counts, float(follows == record.truth), 1.0))


def _pretraining_metrics(labels: Labels) -> tuple[Metric, ...]:
    return (*_masked_metrics(labels), share("next sentence accuracy", 3, 4))


def _check_finite(record: Record, *scores: float) -> None:
    if not np.isfinite(scores).all():
        raise SessionError(f"{record.where}: the model answers with scores that are not finite; its numbers overflow")


SCORINGS: Mapping[str, Scoring] = {
    "sequence-classification": Scoring(
        read=labelled.classification, score=_classification, metrics=_label_metrics, decision="the label of a text"
    ),
    BINARY: Scoring(
        read=labelled.binary,
        score=_binary,
        metrics=lambda labels: _label_metrics(_absent_and_present(labels)),
        decision="whether a text has the label",
    ),
    MULTI_LABEL: Scoring(
        read=labelled.multi_label, score=_multi_label, metrics=_multi_label_metrics, decision="whether a text has a label"
    ),
    REGRESSION: Scoring(
        read=labelled.regression, score=_regression, metrics=_regression_metrics, decision="none in a regression", limited=False
    ),
    "question-answering": Scoring(
        read=labelled.question,
        score=_question,
        metrics=_question_metrics,
        decision="the span that answers a question",
        options=question_options,
    ),
    "token-classification": Scoring(read=labelled.tagged, score=_tagged, metrics=_tagged_metrics, decision="the label of a word"),
    "masked-lm": Scoring(
        read=labelled.plain, score=_masked, metrics=_masked_metrics, decision="the guess at a masked token", answer=guessed
    ),
    "next-sentence-prediction": Scoring(
        read=labelled.next_sentence,
        score=_next_sentence,
        metrics=lambda labels: _label_metrics(FOLLOWS),
        decision="whether a text follows another",
    ),
    "pretraining": Scoring(
        read=labelled.next_sentence,
        score=_pretraining,
        metrics=_pretraining_metrics,
        decision="the guess at a masked token, or whether a text follows another",
        answer=guessed,
    ),
    "multiple-choice": Scoring(read=labelled.choice, score=_choice, metrics=_choice_metrics, decision="the choice taken"),
}
