"""Scores of logits, in float64: the functions, and which of them a classifier of texts means."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.pipeline.exponential import exponential

MULTI_LABEL, REGRESSION = "multi_label_classification", "regression"
BINARY = "binary_classification"
"""Our name for a classifier of one label that is no regression: a text has the label, or has it not."""

Floats = npt.NDArray[np.float64]


def softmax(logits: npt.NDArray[Any]) -> Floats:
    """Return probabilities along the last axis."""
    wide = np.asarray(logits, np.float64)
    powers = exponential(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def sigmoid(logits: npt.NDArray[Any]) -> Floats:
    """Return a probability for each logit."""
    return np.asarray(1 / (1 + exponential(-np.asarray(logits, np.float64))))


def problem_of_labels(problem_type: str | None, labels: int) -> str | None:
    """Return REGRESSION, MULTI_LABEL or BINARY, or None where one label of several is right.

    The rule is that of transformers' text-classification pipeline: a regression has plain scores, several labels at once and one
    label alone have a sigmoid, everything else has a softmax.
    """
    if problem_type in (REGRESSION, MULTI_LABEL):
        return problem_type
    return BINARY if labels == 1 else None


def scores_of_labels(logits: npt.NDArray[Any], problem_type: str | None) -> Floats:
    """Return the score of each label of a text from `float[label]`."""
    problem = problem_of_labels(problem_type, len(logits))
    if problem == REGRESSION:
        return np.asarray(logits, np.float64)
    return softmax(logits) if problem is None else sigmoid(logits)
