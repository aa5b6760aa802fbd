"""Many threads ask at once; every answer is compared with the one that a single thread got."""

from concurrent.futures import ThreadPoolExecutor

CALLERS, REQUESTS = 8, 1000
"""Threads, and how often each asks."""


def differing(ask, requests):
    """Return the requests, by index, whose answer was once another than a single thread's. Raises what `ask` raises."""
    expected = [ask(request) for request in requests]

    def caller(number):
        order = ((number + i) % len(requests) for i in range(REQUESTS))
        return [index for index in order if ask(requests[index]) != expected[index]]

    with ThreadPoolExecutor(CALLERS) as pool:
        return sorted({index for wrong in pool.map(caller, range(CALLERS)) for index in wrong})
