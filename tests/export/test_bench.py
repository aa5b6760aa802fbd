"""Bundles timed in turns: what is told of them, what the rounds cannot tell, and processes that die."""

import json
import os
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import MANIFEST, Manifest
from fnet_runtime.errors import InputError
from support.bundles import replaced
from support.engines import BUILD

from fnet_core.tasks import TASKS
from fnet_export.base.errors import BenchError, OptionError
from fnet_export.benchmark import benchmark
from fnet_export.benchmark.benchmark import Case, cases_from_options, result_from_case, subjects_from_bundles
from fnet_export.benchmark.child import child_from_arguments
from fnet_export.benchmark.latency import percentiles_ms, rounds_needed, speed_ratio, texts_per_second
from fnet_export.benchmark.report import notes_from_benchmark
from fnet_export.benchmark.requests import requests_from_texts, timed_texts
from fnet_export.benchmark.worker import peak_bytes
from fnet_export.commands.cli import main

ENGINE = {
    "file": "model.engine",
    "library": "tensorrt_rtx",
    "version": "1.7",
    "compute_capabilities": ["1.0"],
    "profiles": [{"batch_size": {"min": 2, "opt": 2, "max": 4}}],
    "build": BUILD,
}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr("fnet_export.engine.sessions.timing.time.sleep", lambda _: None)


def run(*arguments):
    return CliRunner().invoke(main, ["bench", *map(str, arguments)], env={"COLUMNS": "200"})


def with_engine(bundle):
    values = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps(values | {"target": "tensorrt-rtx", "engine": ENGINE}))
    return replaced(bundle, "model.engine", b"no engine")


# ---- figures


def test_percentiles_need_rounds():
    assert [rounds_needed(p) for p in (50.0, 90.0, 95.0, 99.0, 99.9)] == [2, 10, 20, 100, 1000]
    times = np.random.default_rng(0).exponential(size=1000)
    assert percentiles_ms(times) == {p: pytest.approx(np.percentile(times, p)) for p in (50.0, 90.0, 95.0, 99.0, 99.9)}
    assert [p for p, value in percentiles_ms(times[:999]).items() if value is None] == [99.9]
    assert [p for p, value in percentiles_ms(times[:19]).items() if value is None] == [95.0, 99.0, 99.9]


def test_throughput_and_ratio():
    assert texts_per_second([10.0, 30.0], 8) == 400
    draw = np.random.default_rng(1)
    first = draw.normal(10, 0.5, 60)
    found = speed_ratio(first / 2, first)
    assert (found.value, found.low, found.high) == (pytest.approx(2), pytest.approx(2), pytest.approx(2, rel=0.1))
    found = speed_ratio(draw.normal(10, 0.5, 60), first)
    assert found.low < 1 < found.high


def test_a_ratio_is_that_of_the_same_rounds():
    """Noise that falls on both at once cancels in no ratio of medians drawn apart, but does when rounds are drawn together."""
    slow = np.where(np.arange(40) % 4 == 0, 10.0, 1.0)
    found = speed_ratio(slow * 3, slow)
    assert (found.low, found.high) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


@pytest.mark.parametrize("task", TASKS)
def test_requests_of_every_task(task):
    first, second, again = requests_from_texts(task, ["a b\n\nc d", "e"], 3)
    assert first == again
    (text, pair), mask = first, "[MASK] " if task in ("masked-lm", "pretraining") else ""
    if task in ("pretraining", "next-sentence-prediction", "question-answering"):
        assert (text, pair, second[1]) == (f"{mask}a b", "c d", "")
    elif task == "multiple-choice":
        assert (text, pair, second[1]) == ("a b", ["c", " d"], ["", ""])
    else:
        assert (text, pair) == (f"{mask}a b\n\nc d", None)


def test_a_text_of_the_user(tmp_path):
    path = tmp_path / "mail"
    path.write_bytes("größer\n".encode())
    assert timed_texts(path) == ("größer\n",)
    path.write_bytes(b"gr\xf6sser")
    with pytest.raises(InputError, match="mail: is not UTF-8 \\(byte 2\\)"):
        timed_texts(path)
    with pytest.raises(InputError, match="nowhere: cannot be read .* expected a file with the text to answer"):
        timed_texts(tmp_path / "nowhere")
    assert len(timed_texts(None)) > 8


# ---- processes


def test_a_child_answers_and_its_end_is_told():
    code = "import sys; print('noise'); print('{\"n\": 1}', flush=True); sys.stdin.readline(); sys.exit('no more')"
    with child_from_arguments(["-c", code]) as child:
        assert child.answer() == {"n": 1}
        with pytest.raises(BenchError, match=r"its process ended \(exit 1\): no more"):
            child.ask()
        with pytest.raises(BenchError, match=r"its process ended \(exit 1\): no more"):
            child.ask()
        with pytest.raises(BenchError, match="its process ended"):
            child.last_answer()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            r"^its process ended \(SIGKILL; usually the host is out of memory\)$",
        ),
        ('print(\'{"error": "it is too much"}\')', "^it is too much$"),
    ],
)
def test_a_child_that_is_killed_or_says_why(code, reason):
    with child_from_arguments(["-c", code]) as child, pytest.raises(BenchError, match=reason):
        child.answer()


def test_a_child_ends_with_its_block():
    with child_from_arguments(["-c", "import time; print('{}', flush=True); time.sleep(1000)"]) as child:
        assert child.answer() == {}
    assert child._process.returncode is not None


def test_the_peak_is_of_this_process_alone():
    held = bytearray(300_000_000)
    held[::4096] = b"x" * len(held[::4096])
    with child_from_arguments(
        ["-c", "import json; from fnet_export.benchmark.worker import peak_bytes; print(json.dumps({'n': peak_bytes()}))"]
    ) as child:
        assert 10_000_000 < child.answer()["n"] < len(held) < peak_bytes()


def test_without_proc_the_peak_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr("fnet_export.benchmark.worker.STATUS", tmp_path / "none")
    assert peak_bytes() is None


def test_a_subject_that_dies_while_running_leaves_the_others(whole_bundle, monkeypatch, tmp_path):
    """The worker of one subject ends at its third turn."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import json, sys\n"
        "job = json.loads(sys.stdin.readline())\n"
        "print(json.dumps({'load_ms': 1.0, 'libraries_bytes': 5, 'notes': []}), flush=True)\n"
        "for turn, _ in enumerate(sys.stdin):\n"
        "    if turn == 2 and job['runtime'] == 'dying':\n"
        "        sys.exit('Killed by the test')\n"
        "    print(json.dumps({'text_ms': 2.0 + turn, 'engine_ms': 1.0 + turn}), flush=True)\n"
        "print(json.dumps({'peak_bytes': None}), flush=True)\n"
    )
    monkeypatch.setattr(benchmark, "WORKER", [str(script)])
    (subject,) = subjects_from_bundles([whole_bundle], ["auto"])
    subjects = [benchmark.Subject(**(vars(subject) | {"runtime": runtime})) for runtime in ("dying", "well")]
    told = []
    found = result_from_case(
        Case(batch_size=1, threads=None), subjects, [[[("a", None)]]] * 2, rounds=4, on_progress=lambda *step: told.append(step)
    )
    dead, well = found.results
    assert dead == "its process ended (exit 1): Killed by the test"
    assert (well.text_ms, well.engine_ms, well.load_ms) == ((2.0, 3.0, 4.0, 5.0), (1.0, 2.0, 3.0, 4.0), 1.0)
    assert (well.libraries_bytes, well.peak_bytes) == (5, None)
    assert told[-1] == (8, 8)


# ---- the command


@pytest.fixture
def several(bundles, tmp_path):
    """Bundles of tasks whose requests differ, next to `whole_bundle`. The chart has room for short names of folders."""
    options = {"masked-lm": {"predict_positions": 2}, "multiple-choice": {}, "question-answering": {}}
    return [shutil.copytree(bundles(task, **chosen), tmp_path / task) for task, chosen in options.items()]


def test_bundles_side_by_side(whole_bundle, several, tmp_path):
    (tmp_path / "text").write_text("the fox\n\nthe quick dog and the quick fox")
    sizes = ("--batch-size", 1, "--batch-size", 3, "--threads", 1)
    files = ("--text", tmp_path / "text", "--chart", tmp_path / "b.svg")
    shown = run(whole_bundle, *several, "--rounds", 10, *sizes, *files, "--json")
    assert shown.exit_code == 0, shown.stderr
    values = json.loads(shown.stdout)
    assert (values["complete"], values["rounds"], len(values["bundles"])) == (True, 10, 4)
    assert [(case["batch_size"], case["threads"]) for case in values["cases"]] == [(1, 1), (3, 1)]
    for case in values["cases"]:
        for i, result in enumerate(case["results"]):
            assert result["status"] == "measured"
            assert result["load_ms"] > 0
            assert result["peak_bytes"] > result["libraries_bytes"] > 10_000_000
            for kind in ("text", "engine"):
                times, figures = result[kind]["times_ms"], result[kind]["percentiles_ms"]
                assert len(times) == 10
                assert figures["p50"] == pytest.approx(np.median(times))
                assert (figures["p95"], figures["p99.9"]) == (None, None)
                assert result[kind]["texts_per_second"] == pytest.approx(1e3 * case["batch_size"] / np.mean(times))
                ratio = result[kind]["speed_ratio"]
                assert (ratio is None) == (i == 0)
                assert ratio is None or ratio["low"] <= ratio["value"] <= ratio["high"]
    assert "p95 needs 20 rounds; 10 were run" in values["notes"]
    tasks = "sequence-classification, masked-lm, multiple-choice, question-answering"
    assert f"the bundles do different tasks ({tasks}): their times can be compared, their answers cannot" in values["notes"]
    assert values["environment"]["host"]["cores"] >= 1
    root = ElementTree.fromstring((tmp_path / "b.svg").read_text())
    assert (
        f"batch 1, threads 1, bundle, onnxruntime: text {values['cases'][0]['results'][0]['text']['percentiles_ms']['p50']:.2f} ms"
        in root.attrib["aria-label"]
    )


def test_one_that_cannot_be_opened_is_a_row_that_says_so(bundle, tmp_path):
    files = ("--chart", tmp_path / "b.svg")
    runtimes = ("--runtime", "auto", "--runtime", "onnxruntime")
    shown = run(with_engine(bundle), *runtimes, "--rounds", 2, "--batch-size", 2, *files)
    assert shown.exit_code == 4
    assert "not everything could be measured" in shown.stderr
    assert "not measured: bundle, tensorrt-rtx, batch 2, all cores: " in shown.stdout
    for text in ("threads do not limit a GPU engine", "p99.9 needs 1000 rounds; 2 were run", "batch 2, all cores: milliseconds"):
        assert text in shown.stdout
    again = run(bundle, *runtimes, "--rounds", 2, "--batch-size", 2, "--json")
    assert again.exit_code == 4
    values = json.loads(again.stdout)
    engine, cpu = values["cases"][0]["results"]
    assert (values["complete"], engine["status"], cpu["status"]) == (False, "not measured", "measured")
    assert engine["reason"]
    assert cpu["text"]["speed_ratio"] is None  # there is nothing to compare with
    assert "not measured" in ElementTree.fromstring((tmp_path / "b.svg").read_text()).attrib["aria-label"]


def test_cuda_graphs_are_for_engines_of_tensorrt(bundle):
    folder = with_engine(bundle)
    subjects = subjects_from_bundles([folder], ["auto", "onnxruntime"], cuda_graph=True)
    assert [subject.cuda_graph for subject in subjects] == [True, False]
    assert [subject.opener for subject in subjects] == ["tensorrt-rtx, CUDA graphs", "onnxruntime"]
    values = json.loads(run(folder, "--cuda-graph", "--rounds", 2, "--batch-size", 2, "--json").stdout)
    assert [subject["cuda_graph"] for subject in values["bundles"]] == [True]
    refused = run(folder, "--cuda-graph", "--runtime", "onnxruntime", "--rounds", 2)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--cuda-graph: is for engines of TensorRT, and no bundle opens with TensorRT here. Leave it out" in refused.stderr


def test_an_engine_takes_only_its_batches(bundle):
    subjects = subjects_from_bundles([with_engine(bundle)], ["auto", "onnxruntime"])
    assert [case.batch_size for case in cases_from_options(subjects, [2, 4], [])] == [2, 4]
    for size in (1, 8):
        with pytest.raises(
            OptionError, match=f"--batch-size {size}: the engine of .* takes 2 to 4; choose such a size, measure it with"
        ):
            cases_from_options(subjects, [size], [])
    assert run(bundle, "--batch-size", 8).exit_code == 2
    assert cases_from_options(subjects[1:], [8], [1, 2]) == (Case(batch_size=8, threads=1), Case(batch_size=8, threads=2))


def test_names_tell_bundles_apart(whole_bundle, tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / whole_bundle.name).symlink_to(whole_bundle)
    folders = [tmp_path / place / whole_bundle.name for place in ("a", "b")]
    assert [subject.name for subject in subjects_from_bundles(folders, ["auto"])] == [
        f"{folder}, onnxruntime" for folder in folders
    ]
    assert [subject.name for subject in subjects_from_bundles([folders[0]] * 2, ["auto"])] == ["bundle, onnxruntime"] * 2


def test_different_lengths_are_told(whole_bundle):
    (subject,) = subjects_from_bundles([whole_bundle], ["auto"])
    values = json.loads((whole_bundle / MANIFEST).read_text()) | {"sequence_length": 64}
    longer = benchmark.Subject(**(vars(subject) | {"manifest": Manifest.from_json(json.dumps(values))}))
    notes = notes_from_benchmark(benchmark.Benchmark(subjects=(subject, longer), rounds=1000, cases=()))
    assert "the bundles read different lengths (32 tokens, 64 tokens): the longer one does more work" in notes
    values |= {"sequence_length": 32, "padding": "none"}
    own = benchmark.Subject(**(vars(subject) | {"manifest": Manifest.from_json(json.dumps(values))}))
    notes = [*notes, *notes_from_benchmark(benchmark.Benchmark(subjects=(subject, own), rounds=1000, cases=()))]
    assert any("(32 tokens, each text's own, up to 32 tokens)" in note for note in notes)
    assert not any("needs" in note for note in notes)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument 'BUNDLE...'"),
        (["BUNDLE", "--runtime", "webgpu"], 2, "'webgpu' is not one of"),
        (["BUNDLE", "--runtime", "openvino"], 1, "has no engine for openvino; it opens with onnxruntime"),
        (["BUNDLE", "--rounds", "1"], 2, "1 is not in the range x>=2"),
        (["BUNDLE", "--batch-size", "0"], 2, "0 is not in the range"),
        (["BUNDLE", "--allow-partial"], 2, "--allow-partial: is for a provider of a GPU; add --provider, or leave it out"),
        (["BUNDLE", "--chart", "b.png"], 2, "--chart b.png: expected a name that ends in .svg, the format that is written"),
        (["BUNDLE", "--chart", "nowhere/b.svg"], 1, "nowhere/b.svg: nowhere is not a folder; make it first, or name another"),
        (["BUNDLE", "--text", "nowhere.txt"], 1, "nowhere.txt: cannot be read"),
        (["BUNDLE", "--text", os.devnull], 1, f"{os.devnull}: is empty; expected a file with the text to answer"),
        (["nowhere"], 1, "expected the folder that fnet-export wrote"),
    ],
)
def test_bad_usage(whole_bundle, arguments, code, message):
    shown = run(*(whole_bundle if argument == "BUNDLE" else argument for argument in arguments))
    assert (shown.exit_code, message in shown.stderr) == (code, True), shown.stderr


def test_a_file_that_cannot_be_written(whole_bundle, tmp_path):
    (tmp_path / "b.svg").symlink_to(tmp_path / "nowhere" / "b.svg")
    shown = run(whole_bundle, "--rounds", 2, "--chart", tmp_path / "b.svg")
    assert (shown.exit_code, "b.svg: cannot be written (No such file or directory); name another file" in shown.stderr) == (
        1,
        True,
    )
    assert "batch 1, all cores" in shown.stdout  # what was measured is not lost
    shown = run(whole_bundle, "--rounds", 2, "--chart", tmp_path / "b.svg", "--json")
    assert (shown.exit_code, json.loads(shown.stdout)["complete"]) == (1, True)
