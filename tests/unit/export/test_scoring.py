"""Scores of answers that a test writes down itself."""

import re
import string
from collections import Counter

import numpy as np
import pytest
from fnet_runtime.pipeline.answers import Answer

from fnet_export.evaluation.labelled import Record
from fnet_export.evaluation.metrics import figure_of_metric, resampled_sums, wilson_interval
from fnet_export.evaluation.scoring import SCORINGS

QUESTION = SCORINGS["question-answering"]


def scored(answer, truths):
    answers = () if answer is None else (Answer(answer, 0.5, 0, len(answer), 0.75),)
    return QUESTION.score(Record(where="data, line 1", line=1, text="q", second="c", truth=truths), answers, ())


def script_of_squad_2(answer, truths):
    """Exact match and F1 as evaluate-v2.0.py of SQuAD 2.0 computes them of one question."""

    def words(text):
        text = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text).split()

    def f1(truth):
        got, want = words(answer), words(truth)
        same = sum((Counter(got) & Counter(want)).values())
        if not got or not want:
            return int(got == want)
        return 0 if same == 0 else 2 * (same / len(got)) * (same / len(want)) / (same / len(got) + same / len(want))

    gold = [truth for truth in truths if words(truth)] or [""]
    return max(int(words(truth) == words(answer)) for truth in gold), max(f1(truth) for truth in gold)


@pytest.mark.parametrize("answer", [None, "", "the", "the cat", "Cat!", "a cat sat", "dog"])
@pytest.mark.parametrize("truths", [(), ("",), ("the",), ("cat",), ("the", "cat sat"), ("dog", "A cat.")])
def test_answers_as_the_script_of_squad_2(answer, truths):
    score = scored(answer, truths)
    exact, f1, one, *_ = score.counts
    assert (exact, f1, one) == (*map(pytest.approx, script_of_squad_2(answer or "", truths)), 1)
    assert score.decisions == (((0, len(answer)) if answer else None),)


def test_metrics_of_questions_with_and_without_an_answer():
    given = [("cat", ("cat",)), ("dog", ("cat",)), ("the big cat", ("cat",)), (None, ()), ("cat", ()), ("dog", ())]
    counts = np.array([scored(*each).counts for each in given])
    metrics = {metric.name: metric for metric in QUESTION.metrics(()) if metric.is_about(counts)}
    values = {name: metric.of_counts(counts) for name, metric in metrics.items()}
    assert values == pytest.approx(
        {
            "exact match": 100 * 2 / 6,
            "F1": 100 * (1 + 2 / 3 + 1) / 6,
            "exact match if answerable": 100 / 3,
            "F1 if answerable": 100 * (1 + 2 / 3) / 3,
            "exact match if unanswerable": 100 / 3,
        }
    )
    figure = figure_of_metric(metrics["exact match if unanswerable"], counts, resampled_sums(counts))
    assert (figure.low, figure.high) == tuple(100 * end for end in wilson_interval(1, 3))
    answerable = [metric.name for metric in QUESTION.metrics(()) if metric.is_about(counts[:3])]
    assert answerable == ["exact match", "F1"]
