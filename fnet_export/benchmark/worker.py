"""Run as the process of one bundle: open it, then time a turn for every line of input. Only the runtime is imported.

The first line is the job: `{"bundle", "runtime", "provider", "allow_partial", "threads", "batch_size", "requests"}`. The answers
are `{"load_ms", "libraries_bytes"}`, then `{"text_ms", "engine_ms"}` for each turn, and `{"peak_bytes"}` at the end. An error is
`{"error"}`.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fnet_runtime.errors import FNetRuntimeError
from fnet_runtime.pipeline.open import load
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.sessions.session import Ids, run_in_batches

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
    texts, pairs = [text for text, _ in job["requests"]], [pair for _, pair in job["requests"]]
    before_bytes = peak_bytes()
    start = time.perf_counter()
    opened = {name: job[name] for name in ("runtime", "provider", "allow_partial", "threads")}
    pipeline = load(job["bundle"], **opened)
    pipeline(texts[0], pairs[0])
    load_ms = 1e3 * (time.perf_counter() - start)
    batches = _batches(pipeline, job)
    for _ in range(WARM_UP_TURNS):
        _turn(pipeline, batches, texts, pairs)
    _say({"load_ms": load_ms, "libraries_bytes": before_bytes})
    for _ in sys.stdin:
        _say(_turn(pipeline, batches, texts, pairs))
    _say({"peak_bytes": peak_bytes()})


def _batches(pipeline: Pipeline, job: dict[str, Any]) -> list[Inputs]:
    """Return the model's inputs of one batch of texts. Rows of different lengths are batches of their own."""
    rows = [row for text, pair in job["requests"] for row in pipeline.inputs(text, pair)]
    by_shape: dict[tuple[int, ...], list[Inputs]] = {}
    for row in rows:
        by_shape.setdefault(row["input_ids"].shape, []).append(row)
    return [{name: np.concatenate([row[name] for row in alike]) for name in alike[0]} for alike in by_shape.values()]


def _turn(pipeline: Pipeline, batches: list[Inputs], texts: list[str], pairs: list[Any]) -> dict[str, float]:
    """Time the engine, and texts to answers, after one run that fills the caches again."""

    def run() -> None:
        for inputs in batches:
            run_in_batches(pipeline.session, inputs)

    run()
    return {"engine_ms": _timed_ms(run), "text_ms": _timed_ms(lambda: pipeline(texts, pairs))}


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
