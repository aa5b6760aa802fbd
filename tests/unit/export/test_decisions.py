import numpy as np
import pytest
import torch

from fnet_core.tasks import TASKS
from fnet_export.evaluation.decisions import HIGHEST, SIGN, decision_of_task, decisions, differing

CLASSIFIER = "sequence-classification"


@pytest.mark.parametrize(
    ("task", "problem", "labels", "decision"),
    [
        (CLASSIFIER, None, 3, HIGHEST),
        (CLASSIFIER, "single_label_classification", 3, HIGHEST),
        (CLASSIFIER, None, 1, SIGN),
        (CLASSIFIER, "single_label_classification", 1, SIGN),
        (CLASSIFIER, "multi_label_classification", 3, SIGN),
        (CLASSIFIER, "regression", 1, None),
        (CLASSIFIER, "regression", 3, None),
        ("feature-extraction", None, 2, None),
        *((task, "regression", 2, HIGHEST) for task in TASKS if task not in (CLASSIFIER, "feature-extraction")),
    ],
)
def test_what_is_decided_is_the_tasks_and_the_problems(task, problem, labels, decision):
    assert decision_of_task(task, problem, labels) == decision


@pytest.mark.parametrize("decision", [HIGHEST, SIGN])
def test_an_error_below_the_margin_decides_alike_and_one_above_it_otherwise(decision):
    want = np.array([[0.5, -0.25]])
    moved = np.array([[-1.0, 1.0]])
    _, margins = differing(want + moved, want, decision)
    assert margins.max() == (0.375 if decision == HIGHEST else 0.5)
    for factor, differ in ((0.99, False), (1.01, True)):
        got = want + moved * margins.max() * factor
        assert differing(got, want, decision)[0][0, ...].flat[0] == differ
        assert (decisions(torch.from_numpy(got), decision).numpy() == decisions(got, decision)).all()
