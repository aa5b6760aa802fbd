"""A step of the run: a process of its own with a budget, whose results are kept as they come."""

import importlib
import multiprocessing
import time
import traceback
from dataclasses import dataclass
from typing import Any

GRACE_S = 2.0
SHOWN = 300
"""Characters of an error."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A part of the run.

    `results` is `file:function` of this folder: a generator of results, which is imported in the process of the step, so that what
    cannot be imported fails this step alone. `arguments` are those of the function, and `needs` name what it cannot do without.
    `reason` says why the step cannot run, if that is known.
    """

    name: str
    budget_s: float
    results: str
    arguments: tuple[Any, ...] = ()
    needs: tuple[str, ...] = ()
    reason: str = ""


def reason_of(error):
    """Return the class and the first words of an error, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:SHOWN]}"


def _child(connection, step):
    try:
        file, _, function = step.results.partition(":")
        for result in getattr(importlib.import_module(f"on_gpu.{file}"), function)(*step.arguments):
            connection.send(result)
        connection.send({"end": "done"})
    except BaseException as error:
        connection.send({"end": f"failed: {reason_of(error)}", "traceback": traceback.format_exc(limit=-4)})


def run_step(step, *, seconds, on_result):
    """Run a step in a forked process for at most so many seconds; return how it ended.

    `on_result` hears of every result at once. The parent must not have used the GPU, since a fork cannot share it. A step that
    crashes or is cut off keeps the results that it had.
    """
    receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_child, args=(sender, step))
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
