"""Answers are those of the pipelines of transformers: the same model, 200 texts, every option."""

import pytest
from support.transformers_pipelines import CLOSE, LENGTH, both, combinations, texts

TEXTS = texts()


@pytest.mark.parametrize("problem_type", [None, "multi_label_classification", "regression"])
@pytest.mark.parametrize("labels", [("A",), ("A", "B", "C")])
def test_text_classification(problem_type, labels, tmp_path):
    ours, theirs = both(
        "sequence-classification", tmp_path, pipeline="text-classification", labels=labels, problem_type=problem_type
    )
    outputs = [theirs.forward(theirs.preprocess(text, truncation=True)) for text in TEXTS]
    for options in combinations(top_k=[None, 1, 2], function_to_apply=[None, "softmax", "sigmoid", "none"]):
        _, _, how = theirs._sanitize_parameters(**{"top_k": None} | options)
        for answer, output in zip(ours.classify(TEXTS, **options), outputs, strict=True):
            expected = theirs.postprocess(output, **how)
            assert [s.label for s in answer.scores] == [e["label"] for e in expected]
            assert [s.score for s in answer.scores] == pytest.approx([e["score"] for e in expected], **CLOSE)
            assert (answer.label, answer.score) == (answer.scores[0].label, answer.scores[0].score)


TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def trimmed(text, found):
    """Return an entity of transformers as we print it: without the white space at its ends."""
    start, end = found["start"], found["end"]
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    return found["entity_group"], start, start + len(part.strip())


def assert_same_entities(text, answer, expected):
    assert [(e.label, e.start, e.end) for e in answer.entities] == [trimmed(text, e) for e in expected]
    assert [e.score for e in answer.entities] == pytest.approx([e["score"] for e in expected], **CLOSE)
    assert [e.text for e in answer.entities] == [text[e.start : e.end] for e in answer.entities]


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("labels", [TAGS, ("A", "B", "C", "X-Y")])
@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
def test_entities(labels, strategy, tmp_path):
    ours, theirs = both("token-classification", tmp_path, pipeline="token-classification", labels=labels)
    answers = ours.find_entities(TEXTS, aggregation_strategy=strategy)
    for text, answer in zip(TEXTS, answers, strict=True):
        assert_same_entities(text, answer, theirs(text, aggregation_strategy=strategy))
    assert len({entity.label for answer in answers for entity in answer.entities}) > 1


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
@pytest.mark.parametrize("stride", [0, 5, 20])
def test_entities_of_windows(strategy, stride, tmp_path):
    ours, theirs = both("token-classification", tmp_path, pipeline="token-classification", labels=TAGS, padding="max_length")
    long = [text for text in texts(60, longest=60) if len(ours.tokenizer.tokens(text)) > LENGTH - 2]
    assert len(long) > 20
    for text, answer in zip(long, ours.find_entities(long, aggregation_strategy=strategy, stride=stride), strict=True):
        assert_same_entities(text, answer, theirs(text, aggregation_strategy=strategy, stride=stride))
        assert not answer.truncated
