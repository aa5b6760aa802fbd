"""Sessions timed in turns, so that what else the host does falls on all of them alike."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fnet_runtime.sessions.session import Ids, Session

PAUSE_S = 0.05
"""Before each turn: the threads of one library spin for a while after its run, and would take time from the next."""

Name = TypeVar("Name")


def in_turns(names: Sequence[Name], *, rounds: int, pause_s: float = PAUSE_S) -> Iterator[Name]:
    """Give every name once a round, another one first each round, and pause before each."""
    for turn in range(rounds):
        for i in range(len(names)):
            time.sleep(pause_s)
            yield names[(turn + i) % len(names)]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The median of some rounds, in milliseconds."""

    median_ms: float
    rounds: int


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long one row takes, by what runs it, that of the bundle last; and why others were not timed."""

    rows: Mapping[str, Timing]
    not_timed: Mapping[str, str]


def times_ms(sessions: Mapping[str, Session], inputs: Mapping[str, Ids], *, rounds: int) -> dict[str, float]:
    """Run sessions in turns, another one first each round, and return the median of each in milliseconds; one round warms up."""
    names = list(sessions)
    times: dict[str, list[float]] = {name: [] for name in names}
    for name in in_turns(names, rounds=rounds + 1):
        start = time.perf_counter()
        sessions[name].run(inputs)
        times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(session_times[1:]) for name, session_times in times.items()}
