"""What runtimes/cpp/tests/bench.cpp does, in Python: the other process of benchmarks/cpp.py. Imports the runtime alone."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fnet_runtime.pipeline.open import load
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer, TokenizerOptions

Job = dict[str, Any]


def open_turn(job: Job) -> Callable[[], object]:
    return lambda: load(job["bundle"], threads=job["threads"])


def answer_turn(job: Job) -> Callable[[], object]:
    pipeline = load(job["bundle"], threads=job["threads"])
    return lambda: [pipeline(text) for text in job["texts"]]


def tokenise_turn(job: Job) -> Callable[[], object]:
    tokenizer = Tokenizer.from_file(Path(job["file"]), TokenizerOptions(flavour=job["flavour"]))
    return lambda: [tokenizer.encode(text, padding=Padding(job["length"])) for text in job["texts"]]


TURNS = {"open": open_turn, "answer": answer_turn, "tokenise": tokenise_turn}


def main(name: str) -> None:
    job = json.loads(sys.stdin.readline())
    turn, texts = TURNS[name](job), len(job.get("texts", [""]))
    print("{}", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        turn()
        print(json.dumps({"ms": 1e3 * (time.perf_counter() - start) / texts}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
