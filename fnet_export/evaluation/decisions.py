"""What the last axis of an output decides, by task, and how little of an error is enough to decide otherwise."""

from typing import Any

import numpy as np
import numpy.typing as npt
from fnet_runtime.pipeline.scores import BINARY, MULTI_LABEL, REGRESSION, problem_of_labels

HIGHEST = "highest"
"""One decision: which of the scores is the highest."""
SIGN = "sign"
"""One decision a score: whether it is above zero, where its sigmoid is a half. Labels one by one, and one label alone."""

Floats = npt.NDArray[np.floating]


def decision_of_task(task: str, problem_type: str | None, labels: int) -> str | None:
    """Return HIGHEST or SIGN, or None where nothing is decided, of a task's name and a configuration's problem and labels."""
    problem = problem_of_labels(problem_type, labels) if task == "sequence-classification" else None
    if task == "feature-extraction" or problem == REGRESSION:
        return None
    return SIGN if problem in (MULTI_LABEL, BINARY) else HIGHEST


def decisions(scores: Any, kind: str) -> Any:
    """Return what `[..., n]` scores decide, of numpy or torch: `bool[..., n]` by sign, else the number of the highest, `[...]`."""
    return scores > 0 if kind == SIGN else scores.argmax(-1)


def differing(got: Floats, want: Floats, kind: str) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Return for each decision whether it differs from the reference's, and the smallest error of a score that makes it differ.

    If two scores change places, each moves by half of their distance. A score that changes its sign moves alone.
    """
    chosen, right = decisions(got, kind), decisions(want, kind)
    if kind == SIGN:
        return chosen != right, np.abs(want, dtype=np.float64)
    chosen_score, right_score = (np.take_along_axis(want, place[..., None], axis=-1)[..., 0] for place in (chosen, right))
    return chosen != right, (right_score - chosen_score).astype(np.float64) / 2
