"""Summarise the times of rounds: percentiles, throughput, and the ratio of two medians."""

import math
from collections.abc import Sequence

import numpy as np

from fnet_export.evaluation.metrics import Figure, figure_from_values, resamples

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


def rounds_needed(percentile: float) -> int:
    """Return how many rounds put at least one round above a percentile: 1,000 for the 99.9th."""
    return math.ceil(round(100 / (100 - percentile), 6))


def percentiles_ms(times_ms: Sequence[float]) -> dict[float, float | None]:
    """Return PERCENTILES, interpolated linearly. A percentile that needs more rounds is None."""
    enough = {p: len(times_ms) >= rounds_needed(p) for p in PERCENTILES}
    return {p: float(np.percentile(times_ms, p)) if enough[p] else None for p in PERCENTILES}


def texts_per_second(times_ms: Sequence[float], batch_size: int) -> float:
    """Return how many texts are answered per second, one batch after another."""
    return 1e3 * batch_size / float(np.mean(times_ms))


def speed_ratio(times_ms: Sequence[float], first_ms: Sequence[float]) -> Figure:
    """Return how many times as fast as the first: the ratio of medians, with a bootstrap interval over the shared rounds."""
    these, first = np.asarray(times_ms), np.asarray(first_ms)
    drawn = np.stack(list(resamples(len(these))))
    ratios = np.median(first[drawn], axis=1) / np.median(these[drawn], axis=1)
    return figure_from_values(float(np.median(first) / np.median(these)), ratios)


def median_ms(times_ms: Sequence[float]) -> Figure:
    """Return the median, with a bootstrap interval over the rounds."""
    times = np.asarray(times_ms)
    drawn = np.stack(list(resamples(len(times))))
    return figure_from_values(float(np.median(times)), np.median(times[drawn], axis=1))
