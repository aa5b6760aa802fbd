"""Run as the process of one bundle: open it, then time a turn for every line of input. Only the runtime is imported.

The first line is the job: `{"bundle", "runtime", "provider", "allow_partial", "cuda_graph", "threads", "batch_size", "batches"}`.
A batch is a list of requests, and each turn takes the next batch. The first answer is `{"load_ms", "libraries_bytes", "notes"}`.
Each turn answers `{"text_ms", "engine_ms"}`, and `{"peak_bytes"}` is the last answer. An error is `{"error"}`.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from fnet_runtime.errors import FNetRuntimeError
from fnet_runtime.pipeline.open import load
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.sessions.session import Ids, notes_from_session, run_in_batches

STATUS = Path("/proc/self/status")
WARM_UP_TURNS = 2
Inputs = dict[str, Ids]


def main() -> None:
    """Do the job that standard input describes."""
    try:
        _work(json.loads(sys.stdin.readline()))
    except FNetRuntimeError as error:
        _say({"error": str(error)})


def _work(job: dict[str, Any]) -> None:
    before_bytes = peak_bytes()
    start = time.perf_counter()
    opened = {name: job[name] for name in ("runtime", "provider", "allow_partial", "cuda_graph", "threads")}
    pipeline = load(job["bundle"], **opened)
    pipeline(*job["batches"][0][0])
    load_ms = 1e3 * (time.perf_counter() - start)
    batches = [_Batch(pipeline, requests) for requests in job["batches"]]
    for _ in range(WARM_UP_TURNS):
        batches[0].turn()
    _say({"load_ms": load_ms, "libraries_bytes": before_bytes, "notes": notes_from_session(pipeline.session)})
    for batch, _ in zip(itertools.cycle(batches), sys.stdin, strict=False):
        _say(batch.turn())
    _say({"peak_bytes": peak_bytes()})


class _Batch:
    """Requests that are asked at once, and the model's inputs of them."""

    def __init__(self, pipeline: Pipeline, requests: list[Any]) -> None:
        self._pipeline = pipeline
        self._texts, self._pairs = [text for text, _ in requests], [pair for _, pair in requests]
        self._inputs = _inputs_by_shape(row for text, pair in requests for row in pipeline.inputs(text, pair))

    def turn(self) -> dict[str, float]:
        """Time the engine, and texts to answers, after one run that fills the caches again."""
        self._run()
        return {"engine_ms": _timed_ms(self._run), "text_ms": _timed_ms(lambda: self._pipeline(self._texts, self._pairs))}

    def _run(self) -> None:
        for inputs in self._inputs:
            run_in_batches(self._pipeline.session, inputs)


def _inputs_by_shape(rows: Iterable[Inputs]) -> list[Inputs]:
    """Join rows of one shape. Rows of different lengths run one after the other."""
    by_shape: dict[tuple[int, ...], list[Inputs]] = {}
    for row in rows:
        by_shape.setdefault(row["input_ids"].shape, []).append(row)
    return [{name: np.concatenate([row[name] for row in alike]) for name in alike[0]} for alike in by_shape.values()]


def _timed_ms(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def peak_bytes() -> int | None:
    """Return the largest memory of this process so far, from Linux. `getrusage` would include its parent."""
    if not STATUS.exists():
        return None
    peaks = (int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * next(peaks)


def _say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
