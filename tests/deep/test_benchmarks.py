"""How subjects take turns, with subjects that do nothing."""

import json
import subprocess
import sys

import pytest
from support.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"
SCRIPT = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(BENCHMARKS)!r})
import turns

turns.RESULTS = Path(__file__).parent
turns.PAUSE_S = 0.0

def build(path, case):
    path.write_bytes(b"12345")

def fail(path, case):
    raise ValueError("cannot be made")

def opened(path, case):
    return lambda ids: ids.sum()

def dies(path, case):
    left = iter(range(3))  # two passes to warm up, and one of a turn
    return lambda ids: next(left)

def build_once(path, case):
    with (Path(__file__).parent / "built").open("a") as file:
        print(case.length, file=file)
    path.write_bytes(b"123")

subjects = {{
    "every": turns.Subject(build_once, opened, (), every_length=True),
    "ours": turns.Subject(build, opened, ()),
    "other": turns.Subject(build, opened, ("json",)),
    "unbuilt": turns.Subject(fail, opened, ()),
    "dying": turns.Subject(build, dies, ()),
}}
turns.main(
    turns.Benchmark(
        name="toy", subjects=subjects, lengths=(4,), batches=(1,), threads=(1,), chart=lambda report, path: path.write_text("drawn")
    )
)
"""


@pytest.fixture
def run(tmp_path):
    script = tmp_path / "toy.py"
    script.write_text(SCRIPT)

    def run(*arguments):
        done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
        return done, json.loads((tmp_path / "toy.json").read_text()) if done.returncode == 0 else None

    return run


def test_subjects_take_turns_and_results_add_up(run, tmp_path):
    done, report = run("--rounds", "3")
    (case,) = report["cases"]
    assert (case["length"], case["batch"], case["threads"]) == (4, 1, 1)
    for name in ("ours", "other"):
        assert len(case["results"][name]["ms"]) == 3
        assert case["results"][name]["file_bytes"] == 5
    assert case["results"]["unbuilt"] == {"failed": "cannot be built: its process ended (exit 1): ValueError: cannot be made"}
    assert case["results"]["dying"]["failed"] == "ended while running: its process ended (exit 1): StopIteration"
    assert "| other | " in done.stdout
    assert (tmp_path / "toy.svg").read_text() == "drawn"
    _, report = run("--rounds", "2", "--subjects", "ours", "unbuilt")
    _, report = run("--rounds", "2", "--subjects", "ours", "--lengths", "8", "4")
    assert [c["length"] for c in report["cases"]] == [4, 8]
    assert [len(report["cases"][0]["results"][name]["ms"]) for name in ("ours", "other")] == [2, 3]


def test_a_file_for_every_length_is_built_once(run, tmp_path):
    _, report = run("--rounds", "2", "--subjects", "every", "--lengths", "8", "4")
    assert [len(case["results"]["every"]["ms"]) for case in report["cases"]] == [2, 2]
    assert (tmp_path / "built").read_text() == "8\n"


def test_nothing_that_runs_is_a_report_too(run):
    _, report = run("--rounds", "2", "--subjects", "unbuilt")
    assert list(report["cases"][0]["results"]) == ["unbuilt"]


def test_one_round_has_no_quartiles(run):
    done, _ = run("--rounds", "1")
    assert done.returncode == 2
    assert "--rounds: expected 2 or more, for quartiles; found 1" in done.stderr
