"""One layer of an engine: the engine's words for it, what it computes of the checkpoint, and the time that it takes."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Run = Sequence[tuple[str, float]]
"""What a profiler reports of one run: names of layers and milliseconds, in the order of execution. A name may occur again."""


@dataclass(frozen=True, kw_only=True)
class EngineLayer:
    """One layer of an engine.

    `name` and `kind` are the engine's own words. `modules` are the checkpoint's names of what the layer computes. A fused layer
    computes several modules, and several layers may compute one module. `kind` and `precision` are None if the engine does not
    state them. `median_ms` is None if the profiler reports no time of the layer.
    """

    name: str
    modules: tuple[str, ...]
    kind: str | None
    precision: str | None
    median_ms: float | None


@dataclass(frozen=True, kw_only=True)
class ProfiledRun:
    """What an engine ran under its profiler: an input by name, `rounds` times. `median_ms` is the median time of a whole run."""

    input: str
    tokens: int
    batch_size: int
    rounds: int
    median_ms: float


@dataclass(frozen=True, kw_only=True)
class EngineProfile:
    """The layers of an engine in the order of execution, or the `reason` why the engine was not asked. `engine` has its version."""

    engine: str
    reason: str | None = None
    run: ProfiledRun | None = None
    layers: tuple[EngineLayer, ...] = ()


def medians_from_runs(runs: Sequence[Run]) -> dict[str, float]:
    """Return the median time of each layer in milliseconds, to the nanosecond. Times of one name in one run are added.

    A run that does not report a layer counts as zero, because an engine may keep a result that does not depend on the input.
    """
    sums: list[dict[str, float]] = []
    for run in runs:
        sums.append({})
        for name, ms in run:
            sums[-1][name] = sums[-1].get(name, 0.0) + ms
    names = dict.fromkeys(name for times in sums for name in times)
    return {name: round(statistics.median(times.get(name, 0.0) for times in sums), 6) for name in names}


def modules_of_names(names: Iterable[str], places: Mapping[str, str]) -> tuple[str, ...]:
    """Return the checkpoint's names of what nodes or values of the graph are, each once. Names that `places` lacks are left out."""
    return tuple(dict.fromkeys(places[name] for name in names if name in places))
