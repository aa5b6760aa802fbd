import pytest
from fnet_runtime.sessions.session import ANY_BATCH

from fnet_export.engine.sessions import timing
from fnet_export.engine.sessions.timing import times_ms


class Fake:
    """A session that takes a set time, on a clock of its own; the first run takes longer."""

    batch = ANY_BATCH
    now, order = 0.0, ""

    def __init__(self, name, seconds):
        self.name, self.seconds = name, [10.0, *seconds]

    def run(self, inputs):
        assert inputs == {}
        Fake.now += self.seconds.pop(0)
        Fake.order += self.name
        return {}


def test_in_turns_another_one_first_and_the_median_without_the_warm_up(monkeypatch):
    paused = []
    monkeypatch.setattr(timing.time, "sleep", paused.append)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: Fake.now)
    sessions = {"a": Fake("a", [0.001, 0.5, 0.002]), "b": Fake("b", [0.004, 0.003, 0.9])}
    assert times_ms(sessions, {}, rounds=3) == pytest.approx({"a": 2.0, "b": 4.0})
    assert (Fake.order, len(paused)) == ("abbaabba", 8)
