"""What a pool lends, to whom, and what becomes of an item that cannot be made."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.pool import Pool
from support.threads import differing

SECONDS = 30
"""Longer than any of this takes: what waits for ever fails instead."""


def test_an_item_serves_one_caller_at_a_time():
    made = []

    def make():
        made.append(threading.Lock())
        return made[-1]

    pool = Pool(make, size=3)

    def ask(_):
        with pool.borrowed() as item:
            free = item.acquire(blocking=False)
            time.sleep(0)  # lets another thread run
            if free:
                item.release()
            return free

    assert len(made) == 1
    assert differing(ask, [0]) == []
    assert ask(0)
    assert len(made) <= 3


def test_a_caller_waits_for_an_item_and_gets_it_whatever_became_of_the_last_run():
    pool = Pool(lambda: "item", size=1)

    def fails(other):
        with pool.borrowed():
            waiting.append(other.submit(_borrowed, pool))
            with pytest.raises(TimeoutError):
                waiting[0].result(timeout=0.05)
            raise KeyError

    waiting = []
    with ThreadPoolExecutor(1) as other:
        with pytest.raises(KeyError):
            fails(other)
        assert waiting[0].result(timeout=SECONDS) == "item"


def test_the_first_item_must_be_made_and_the_others_need_not():
    def never():
        raise SessionError("no room")

    with pytest.raises(SessionError, match="no room"):
        Pool(never, size=2)
    numbers = count()

    def first():
        if next(numbers):
            raise SessionError("no room")
        return "first"

    pool = Pool(first, size=8)
    with ThreadPoolExecutor(8) as callers:
        assert list(callers.map(lambda _: _borrowed(pool), range(100), timeout=SECONDS)) == ["first"] * 100
    assert next(numbers) <= 9


def test_another_error_of_making_is_raised_and_the_next_caller_tries_again():
    numbers = count()

    def make():
        number = next(numbers)
        if number == 1:
            raise KeyboardInterrupt
        return number

    pool = Pool(make, size=2)
    with pool.borrowed() as held:
        with pytest.raises(KeyboardInterrupt), pool.borrowed():
            pass
        assert (held, _borrowed(pool)) == (0, 2)


def test_a_closed_pool_lends_nothing_and_gives_up_every_item():
    pool = Pool(count().__next__, size=2)
    with ThreadPoolExecutor(2) as other:
        with pool.borrowed(), pool.borrowed():
            waiting = other.submit(_borrowed, pool)
            closing = other.submit(pool.close)
            with pytest.raises(SessionError, match="the session is closed; open the bundle again"):
                waiting.result(timeout=SECONDS)
            assert not closing.done()
        assert sorted(closing.result(timeout=SECONDS)) == [0, 1]
    assert pool.close() == []
    with pytest.raises(SessionError, match="closed"):
        _borrowed(pool)


def _borrowed(pool):
    with pool.borrowed() as item:
        return item
