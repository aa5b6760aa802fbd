import numpy as np
import pytest
from support.checkpoints import tiny_config

from fnet_core.tasks import TASKS
from fnet_export.parity.answers import texts_from_outputs

CONFIG = tiny_config()
HALVES = np.log(np.array([[0.25, 0.75]]))


@pytest.mark.parametrize(
    ("task", "outputs", "said"),
    [
        ("sequence-classification", {"logits": np.log([[0.25, 0.5, 0.25]])}, "B 0.5000"),
        ("next-sentence-prediction", {"logits": HALVES}, "is not next 0.7500"),
        ("multiple-choice", {"logits": HALVES}, "1 0.7500"),
        ("token-classification", {"logits": np.eye(3)[None, [0, 2, 1]]}, "A, C, B"),
        ("masked-lm", {"logits": np.eye(12)[None]}, "0, 1, 2, 3, 4, 5, 6, 7, ..."),
        ("question-answering", {"start_logits": HALVES, "end_logits": -HALVES}, "start token 1 0.7500; end token 0 0.7500"),
        ("sequence-classification", {"logits": np.array([[np.nan, 1.0, 2.0]])}, "not finite"),
    ],
)
def test_answers_in_words(task, outputs, said):
    assert texts_from_outputs(TASKS[task], CONFIG, outputs) == [said]


def test_a_vector_and_a_number():
    outputs = {"last_hidden_state": np.ones((1, 2, 2)), "pooler_output": np.array([[3.0, 4.0]])}
    (text,) = texts_from_outputs(TASKS["feature-extraction"], CONFIG, outputs)
    assert text == "last_hidden_state length 2; pooler_output length 5"
    (text,) = texts_from_outputs(TASKS["sequence-classification"], tiny_config(labels=("x",)), {"logits": np.array([[1.5]])})
    assert text == "1.5"


@pytest.mark.parametrize(
    ("problem", "logits", "said"),
    [
        ("multi_label_classification", [1.0, -1.0, 2.0], "A, C"),
        ("multi_label_classification", [-1.0, -1.0, -2.0], "no label"),
        ("regression", [1.5, -1.0, 2.0], "1.5, -1, 2"),
    ],
)
def test_labels_one_by_one_and_several_numbers(problem, logits, said):
    config = tiny_config(problem_type=problem)
    assert texts_from_outputs(TASKS["sequence-classification"], config, {"logits": np.array([logits])}) == [said]
