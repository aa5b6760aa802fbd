"""fnet_bench and benchmarks/cpp.py: many threads get the answers of one, and both languages can be timed."""

import json
import os
import subprocess
import sys

import pytest
from support.paths import ROOT

TEXTS = ["", "My [MASK] costs 10,000 euros, isn't it ``fine''? Ünïcödé 😀", "word " * 60, *(f"line {i}" for i in range(9))]


@pytest.fixture
def bench(built):
    def asked(action, job, turns=1):
        lines = json.dumps(job) + "\n" * (1 + turns)
        done = built.run(*([action] if action else []), program="tests/fnet_bench", input=lines.encode())
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    return asked


@pytest.mark.parametrize("threads", [1, 2])
def test_many_threads_get_the_answers_of_one(bench, whole_bundle, threads):
    job = {"bundle": str(whole_bundle), "threads": threads, "texts": TEXTS, "callers": 8, "requests": 1000}
    code, (opened, soaked) = bench("soak", job)
    assert (code, opened) == (0, {})
    assert (soaked["requests"], soaked["errors"], soaked["different"]) == (8000, 0, 0)
    assert len(soaked["memory_kb"]) == 8
    assert min(soaked["memory_kb"]) > 1000


def test_a_turn_for_every_line(bench, whole_bundle):
    spiece = {"file": str(whole_bundle / "spiece.model"), "flavour": "fnet-slow", "length": 16, "texts": TEXTS}
    pipeline = {"bundle": str(whole_bundle), "threads": 1, "texts": TEXTS}
    for action, job in (("open", pipeline), ("answer", pipeline), ("tokenise", spiece)):
        code, (opened, *turns) = bench(action, job, turns=3)
        assert (code, opened) == (0, {})
        assert len(turns) == 3
        assert all(turn["ms"] > 0 for turn in turns)


def test_errors_are_told(bench, tmp_path):
    code, (told,) = bench("answer", {"bundle": str(tmp_path), "threads": 1, "texts": TEXTS})
    assert code == 1
    assert "manifest.json: cannot be read" in told["error"]
    assert bench("other", {}) == (2, [])
    assert bench(None, {}) == (2, [])


def test_the_benchmark_compares_both_languages(built, tmp_path):
    command = ["benchmarks/cpp.py", "--rounds", "2", "--texts", "1", "--threads", "1", "--bundles", "tiny", "--requests", "250"]
    command += ["--program", built.folder / "tests" / "fnet_bench", "--results", tmp_path]
    paths = os.pathsep.join([str(ROOT / "runtimes" / "python"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "cpp.json").read_text())
    assert [list(rows) for rows in report["compared"].values()] == [
        ["tiny"],
        ["tiny, 1 threads"],
        ["sentencepiece", "fnet-slow", "fnet-fast", "fnet-v5"],
    ]
    for rows in report["compared"].values():
        for row in rows.values():
            assert len(row["C++"]["ms"]) == len(row["Python"]["ms"]) == 2
    assert (report["soaked"]["tiny"]["errors"], report["soaked"]["tiny"]["different"]) == (0, 0)
    assert "| tiny | 8 | 2000 | 0 | 0 | " in (tmp_path / "cpp.md").read_text()
