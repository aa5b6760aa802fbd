"""Answers are those of the pipelines of transformers: the same model, 200 texts, every option."""

import pytest
from support.transformers_pipelines import CLOSE, both, combinations, texts

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
