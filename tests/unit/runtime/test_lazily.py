"""Texts of an iterator, answered a batch at a time."""

import itertools

import pytest
from fnet_runtime.errors import OptionError
from fnet_runtime.pipeline.model import Question
from fnet_runtime.pipeline.options import AnswerOptions
from support.transformers_pipelines import both


def test_texts_of_an_iterator_are_read_a_batch_at_a_time(tmp_path):
    pipe, _, _ = both("sequence-classification", tmp_path)
    read = []

    def texts():
        for number in itertools.count():
            read.append(number)
            yield Question("a", "b") if number == 1 else 5 if number == 2 else "fox"

    answers = pipe.answer_lazily(texts(), top_k=1)
    assert read == []
    first, second, third, fourth = itertools.islice(answers, 4)
    assert len(read) == pipe.rows_at_once
    for found, alone in ((first, pipe("fox")), (second, pipe("a", "b")), (fourth, pipe("fox"))):
        assert (found.label, found.score, len(found.scores)) == (alone.label, pytest.approx(alone.score, rel=1e-5), 1)
    assert str(third) == "expected a text (str), found int"
    assert list(pipe.answer_lazily([])) == []
    with pytest.raises(OptionError, match="^stride: expected a bundle of"):
        pipe.answer_lazily([], options=AnswerOptions(stride=1))
