"""How often two ways of running a model decide alike: counted as it is, and ties apart."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fnet_export.base.errors import OptionError

Z = 1.959964
"""95 % of a normal distribution lie within so many standard deviations."""
FEW = 0.99
"""An agreement whose whole interval lies below this is said in the verdict."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How many decisions were compared, how many differ from the reference's, and how many of these are ties.

    A tie is a decision that float32 cannot distinguish from the reference's: an error of the scores within the limit makes it
    differ. Ties count as differing in `share`.
    """

    decisions: int
    differ: int
    ties: int

    @property
    def share(self) -> float:
        """Return the share of decisions that are the reference's, ties not forgiven."""
        return 1.0 - self.differ / self.decisions

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the share (Wilson 1927)."""
        n, share = self.decisions, self.share
        middle, spread = share + Z**2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
        low, high = (middle - spread) / (1 + Z**2 / n), (middle + spread) / (1 + Z**2 / n)
        return (0.0 if self.differ == n else max(0.0, low), 1.0 if self.differ == 0 else min(1.0, high))

    def values(self) -> dict[str, Any]:
        """Return JSON's own types."""
        low, high = self.interval
        return {
            "share": self.share,
            "decisions": self.decisions,
            "differ": self.differ,
            "ties": self.ties,
            "low": low,
            "high": high,
        }


def attentions(agreements: Mapping[str, Agreement | None]) -> list[str]:
    """Say in words which outputs, by name, agree too rarely with the reference."""
    texts = (text_of_few(agreement.values(), name) for name, agreement in agreements.items() if agreement is not None)
    return [f"Attention: {text}." for text in texts if text is not None]


def check_min_agreement(points: float | None) -> None:
    """Raise OptionError unless `--min-agreement` is left out or in points of 100."""
    if points is not None and not 0 <= points <= 100:
        raise OptionError(f"--min-agreement: expected points of 100, from 0 to 100; found {points:g}")


def points_of(share: float) -> str:
    """Write a share in points with two digits, and `100.00 %` for nothing less than all."""
    return f"{math.floor(1e4 * share + 1e-9) / 100:.2f} %"


def text_of_agreement(values: Mapping[str, Any], what: str) -> str:
    """Say how many of the `what` are the reference's, from `Agreement.values`."""
    if values["differ"] == 0:
        return f"all {values['decisions']:,} {what} agree with the reference"
    apart = f"{values['differ']:,} of {values['decisions']:,} differ, {values['ties']:,} of them are ties"
    return f"{points_of(values['share'])} of the {what} agree with the reference ({apart})"


def text_of_few(values: Mapping[str, Any], name: str) -> str | None:
    """Say that too few decisions of an output are the reference's, from `Agreement.values`; None when they are enough."""
    if values["high"] >= FEW:
        return None
    return (
        f"{name}: more than one decision in a hundred differs from the reference. {points_of(values['share'])} of "
        f"{values['decisions']:,} decisions agree (95 % interval {points_of(values['low'])} to {points_of(values['high'])})"
    )
