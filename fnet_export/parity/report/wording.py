"""What is written alike in several places: figures of a parity report, and what a head without weights means."""

from collections.abc import Iterable, Mapping
from typing import Any

NOT_FINITE = "not finite"
QUICK = (
    "This was a quick check (--quick): few inputs, and only the reference, torch and what is shipped. It is not the full verdict."
)


def figure(value: float | None) -> str:
    """Write an error or a limit; None stands for an infinite one."""
    return NOT_FINITE if value is None else "0" if value == 0 else f"{value:.1e}"


def percent(share: float) -> str:
    """Write a share of 1 with three digits, and `100 %` for nothing less than all."""
    return "100 %" if share == 1 else f"{min(100 * share, 99.9):.3g} %" if share < 1 else f"{100 * share:.3g} %"


def milliseconds(value: float) -> str:
    """Write a time in milliseconds with three digits, and whole ones from 1,000 on."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def size(size_bytes: int) -> str:
    """Write a size in the unit that gives it one to three digits before the point."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    amount, unit = float(size_bytes), 0
    while amount >= 999.5 and unit < len(units) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{size_bytes} bytes" if unit == 0 else f"{amount:.3g} {units[unit]}"


def note_of_random_head(task: str) -> str:
    """Say what the outputs of a task mean whose head the checkpoint lacks, and --random-head drew."""
    part, means = f"the {task} head", "outputs mean"
    if task == "feature-extraction":
        part, means = "the pooler", "last_hidden_state is the checkpoint's, and pooler_output means"
    return f"{part} is random (--random-head): {means} nothing until it is trained"


def interval(metric: Mapping[str, Any]) -> str:
    """Write a metric's value with its interval: two decimals where it has a unit, points of 100, else four digits."""
    value, low, high = (_plain(metric[key], "%.2f" if metric["unit"] is not None else "%.4g") for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def note_of_flat_intervals(metrics: Iterable[Mapping[str, Any]]) -> str | None:
    """Say which metrics have an interval without width, so that nobody takes them for certain; None where all have one."""
    flat = [metric["name"] for metric in metrics if metric["low"] is not None and metric["low"] == metric["high"]]
    return f"the bootstrap has no interval for {', '.join(flat)}: no resample differs from the records" if flat else None


def notes_of_flat_intervals(evaluation: Mapping[str, Any]) -> list[str]:
    """Say the same of `evaluation` of parity.json, once for all the runs that it is true of."""
    names: dict[str, list[str]] = {}
    for run in evaluation["runs"]:
        note = note_of_flat_intervals(run["metrics"])
        if note is not None:
            names.setdefault(note, []).append(run["name"])
    return [f"{'; '.join(runs)}: {note}" for note, runs in names.items()]


def _plain(value: float | None, form: str) -> str:
    return NOT_FINITE if value is None else form % value
