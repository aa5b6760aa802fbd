"""A step of the run: a process of its own with a budget, whose results are kept as they come."""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

GRACE_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step is called, the seconds it may take, what gives its results, and what must be importable for it."""

    name: str
    budget_s: float
    results: Callable[..., Iterator[dict[str, Any]]]
    needs: tuple[str, ...] = ()


def _child(connection, results, arguments):
    try:
        for result in results(*arguments):
            connection.send(result)
        connection.send({"end": "done"})
    except Exception as error:
        connection.send({"end": f"failed: {error}", "traceback": traceback.format_exc(limit=-4)})


def run_step(step, arguments, *, seconds, on_result):
    """Run a step in a forked process for at most so many seconds; return how it ended.

    `on_result` hears of every result at once. The parent must not have used the GPU, since a fork cannot share it. A step that
    crashes or is cut off keeps the results that it had.
    """
    receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_child, args=(sender, step.results, arguments))
    start = time.monotonic()
    process.start()
    sender.close()
    outcome = {"status": f"cut off after its {seconds:.0f} s"}
    try:
        while (left := start + seconds - time.monotonic()) > 0:
            if not receiver.poll(left):
                continue
            result = receiver.recv()
            if "end" in result:
                outcome = {"status": result.pop("end"), **result}
                break
            on_result(result)
    except EOFError:
        process.join(GRACE_S)
        outcome = {"status": f"failed: its process ended with code {process.exitcode}"}
    finally:
        process.terminate()
        process.join(GRACE_S)
        if process.is_alive():
            process.kill()
            process.join()
    return outcome | {"seconds": round(time.monotonic() - start, 1)}
