"""Score a filter: accuracy with its 95 % Wilson interval, and F1 of spam."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

Z = 1.959964
"""The two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Score:
    """Accuracy, its interval, and F1 of the positive label, all from 0 to 1; `count` messages."""

    count: int
    accuracy: float
    interval: tuple[float, float]
    f1: float

    def __str__(self) -> str:
        low, high = self.interval
        return f"accuracy {self.accuracy:.2%} (95 % interval {low:.2%} to {high:.2%}), F1 {self.f1:.4f}, {self.count} messages"


def score(predicted: Sequence[str], truth: Sequence[str], *, positive: str = "spam") -> Score:
    """Compare predictions with the truth. (Wilson 1927, doi:10.1080/01621459.1927.10502953.)"""
    n = len(truth)
    p = sum(a == b for a, b in zip(predicted, truth, strict=True)) / n
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    hits = sum(a == b == positive for a, b in zip(predicted, truth, strict=True))
    named = sum(a == positive for a in predicted) + sum(b == positive for b in truth)
    return Score(n, p, (centre - half, centre + half), 2 * hits / named if named else 0.0)
