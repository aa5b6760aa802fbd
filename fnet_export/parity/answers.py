"""What outputs answer, in a few words: for a report that shows two answers side by side."""

import numpy as np
import numpy.typing as npt
from fnet_runtime.sessions.session import Outputs

from fnet_core.config import FNetConfig
from fnet_core.tasks import LABELS, SEQUENCE, Task
from fnet_export.evaluation.decisions import SIGN, decision_of_task, decisions

SHOWN = 8
"""How many tokens or labels an answer shows."""


def texts_from_outputs(task: Task, config: FNetConfig, outputs: Outputs) -> list[str]:
    """Say of `float[row, ...]` outputs what each row answers; NaN and infinite scores are said to be that."""
    parts = [[_text_from_scores(task, config, name, scores) for scores in outputs[name]] for name in task.outputs]
    return ["; ".join(texts) for texts in zip(*parts, strict=True)]


def _text_from_scores(task: Task, config: FNetConfig, name: str, scores: npt.NDArray[np.floating]) -> str:
    label = f"{name.removesuffix('_logits')} " if len(task.outputs) > 1 else ""
    if not np.isfinite(scores).all():
        return f"{label}not finite"
    decision = decision_of_task(task.name, config.problem_type, config.num_labels)
    if task.name == "sequence-classification" and (decision is None or scores.shape[-1] == 1):
        return _listed([f"{float(score):.6g}" for score in scores])
    if decision is None:
        return f"{label}length {float(np.linalg.norm(scores)):.6g}"
    if decision == SIGN:
        return _listed([config.labels[i] for i in np.flatnonzero(decisions(scores, decision))]) or "no label"
    if scores.ndim > 1:
        return f"{label}{_listed([_name(task, config, name, int(i)) for i in scores.argmax(axis=-1)])}"
    best = scores.argmax()
    if scores.shape[-1] == 1:
        return f"{label}{float(scores[0]):.6g}"
    shifted = np.exp(scores.astype(np.float64) - float(scores.max()))
    return f"{label}{_name(task, config, name, int(best))} {float(shifted[best] / shifted.sum()):.4f}"


def _listed(words: list[str]) -> str:
    return ", ".join(words[:SHOWN]) + (", ..." if len(words) > SHOWN else "")


def _name(task: Task, config: FNetConfig, name: str, index: int) -> str:
    """Name a choice: a label, a token's place or id, a number."""
    axes = task.outputs[name]
    if axes[-1] == LABELS:
        return config.labels[index]
    if axes[-1] == 2:
        return ("is next", "is not next")[index]
    return f"token {index}" if axes[-1] == SEQUENCE else str(index)
