"""Answers are those of the pipelines of transformers: the same model, 200 texts, every option."""

import fnet_runtime
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


STRATEGIES = ("simple", "first", "average", "max")


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("labels", [TAGS, ("A", "B", "C", "X-Y")])
def test_entities(labels, tmp_path):
    ours, theirs = both("token-classification", tmp_path, pipeline="token-classification", labels=labels)
    for strategy in STRATEGIES:
        answers = ours.find_entities(TEXTS, aggregation_strategy=strategy)
        for text, answer in zip(TEXTS, answers, strict=True):
            assert_same_entities(text, answer, theirs(text, aggregation_strategy=strategy))
        assert len({entity.label for answer in answers for entity in answer.entities}) > 1


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_entities_of_windows(tmp_path):
    ours, theirs = both("token-classification", tmp_path, pipeline="token-classification", labels=TAGS, padding="max_length")
    long = [text for text in texts(80, longest=60) if len(ours.tokenizer.tokens(text)) > LENGTH - 2]
    assert len(long) > 20
    for options in combinations(aggregation_strategy=STRATEGIES, stride=[0, 5, 20]):
        for text, answer in zip(long, ours.find_entities(long, **options), strict=True):
            assert_same_entities(text, answer, theirs(text, **options))
            assert not answer.truncated


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_entities_of_words(tmp_path):
    ours, theirs = both("token-classification", tmp_path, pipeline="token-classification", labels=TAGS)
    for words in (text.split() for text in TEXTS):
        text = fnet_runtime.text_from_words(words)
        for strategy in STRATEGIES:
            expected = theirs([words], aggregation_strategy=strategy, is_split_into_words=True)[0]
            found = ours.find_entities(text, aggregation_strategy=strategy).entities
            assert [(e.label, e.start) for e in found] == [trimmed(text, e)[:2] for e in expected]
            assert [e.score for e in found] == pytest.approx([e["score"] for e in expected], **CLOSE)
            # a token may be the space before a word alone, to which theirs counts the first character of the word
            assert all(e.end <= trimmed(text, their)[2] for e, their in zip(found, expected, strict=True))


TARGETS = ["fox", "dog", "the", "▁lazy", "quick"]


def test_masks(tmp_path):
    ours, theirs = both("masked-lm", tmp_path, pipeline="fill-mask")
    words = [text.split()[:5] for text in TEXTS]
    asked = [" ".join(["[MASK]", *some] if i % 3 else [*some[:2], "[MASK]", *some[2:], "[MASK]"]) for i, some in enumerate(words)]
    for options in ({}, {"top_k": 3}, {"targets": TARGETS}, {"targets": TARGETS, "top_k": 2}):
        for text, answer in zip(asked, ours.fill_mask(asked, **options), strict=True):
            expected = theirs(text, **options)
            expected = [expected] if isinstance(expected[0], dict) else expected
            assert [[f.token_id for f in fillers] for fillers in answer.masks] == [[e["token"] for e in mask] for mask in expected]
            for fillers, mask in zip(answer.masks, expected, strict=True):
                assert [f.score for f in fillers] == pytest.approx([e["score"] for e in mask], **CLOSE)
