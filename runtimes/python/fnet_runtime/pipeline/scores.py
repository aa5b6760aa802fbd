"""Scores of logits, in float64, and the rule that says which score a classifier of texts uses."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.pipeline.exponential import exponential
from fnet_runtime.pipeline.options import NO_FUNCTION, SIGMOID, SOFTMAX

MULTI_LABEL, REGRESSION = "multi_label_classification", "regression"
BINARY = "binary_classification"
"""Our name for a classifier of one label that is not a regression: a text has the label, or does not have it."""

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
    """Return REGRESSION, MULTI_LABEL or BINARY, or None when exactly one of several labels is right.

    transformers' text-classification pipeline has the same rule. A regression has plain scores. A sigmoid scores several labels
    at once and a single label. A softmax scores everything else.
    """
    if problem_type in (REGRESSION, MULTI_LABEL):
        return problem_type
    return BINARY if labels == 1 else None


def function_of_labels(problem_type: str | None, labels: int) -> str:
    """Return the function that makes scores of logits, unless the caller names one."""
    problem = problem_of_labels(problem_type, labels)
    if problem == REGRESSION:
        return NO_FUNCTION
    return SOFTMAX if problem is None else SIGMOID


def scores_of_labels(logits: npt.NDArray[Any], problem_type: str | None, function: str | None = None) -> Floats:
    """Return the score of each label of a text from its logits, `float[label]`."""
    function = function or function_of_labels(problem_type, len(logits))
    if function == NO_FUNCTION:
        return np.asarray(logits, np.float64)
    return softmax(logits) if function == SOFTMAX else sigmoid(logits)
