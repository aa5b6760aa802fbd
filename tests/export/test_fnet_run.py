import io
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import MANIFEST
from fnet_runtime.command.answer_text import text_from_answer
from fnet_runtime.command.cli import _standard_input, main
from fnet_runtime.command.texts import Place, batches_of_lines, whole_text
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.answers import (
    Answer,
    Choice,
    Classification,
    Filler,
    Fillers,
    LabelScore,
    NextSentence,
    Pretraining,
    TokenLabel,
    TokenLabels,
)
from support.bundles import replaced
from support.checkpoints import LENGTH, save_tiny
from support.exports import export
from support.paths import ROOT

from fnet_export.commands import cli as fnet_export_cli

RUN = [sys.executable, "-c", "from fnet_runtime.command.cli import main; main(prog_name='fnet-run')"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "runtimes" / "python")}
CP1252 = {"PYTHONIOENCODING": "cp1252"}
PLAIN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""Surroundings whose standard output cannot hold every character."""


def run(*arguments, stdin=None):
    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)


def test_texts_files_and_standard_input(bundle, tmp_path):
    (tmp_path / "mail.txt").write_text("the lazy dog\nand the fox")
    result = run(bundle, "-", "--text", "fox", "--text", "dog", "--file", tmp_path / "mail.txt", "--json", stdin="the fox")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, len(answers)) == (0, 4)
    assert answers[0]["label"] in ("A", "B", "C")
    lines = run(bundle, "--file", tmp_path / "mail.txt", "--lines")
    assert [len(line.split("\t")) for line in lines.stdout.splitlines()] == [2, 2]
    (tmp_path / "odd.txt").write_bytes("one\x0btwo\u2028three\r\nfour\n\n".encode())
    assert len(run(bundle, "--file", tmp_path / "odd.txt", "--lines").stdout.splitlines()) == 3


def test_self_test(bundle):
    shown = run(bundle, "--self-test")
    assert (shown.exit_code, shown.stdout.startswith("passed  logits: largest error")) == (0, True)
    values = json.loads(run(bundle, "--self-test", "--json").stdout)
    assert values["passed"] is True
    assert values["outputs"][0]["output"] == "logits"


def test_a_failed_self_test_is_exit_3(tmp_path):
    first = export(save_tiny(tmp_path / "c"), tmp_path / "first").folder
    other = export(save_tiny(tmp_path / "d", hidden_act="relu"), tmp_path / "other").folder
    replaced(first, "model.onnx", (other / "model.onnx").read_bytes())
    shown = run(first, "--self-test")
    assert (shown.exit_code, "FAILED  logits" in shown.stdout) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "nothing to do: expected --text, --file, - or --self-test"),
        (["--self-test", "--text", "a"], 2, "--self-test runs alone"),
        (["--self-test", "--pair", "a"], 2, "--self-test runs alone"),
        (["--text", "a", "--threads", "100000"], 2, "--threads"),
        (["--text", "a", "--pair", "b", "--pair", "c"], 1, "--pair: expected once"),
        (["--file", "nowhere.txt"], 1, "nowhere.txt: cannot be read"),
        (["--text", "a", "--runtime", "tensorrt"], 1, "has no engine for tensorrt"),
        (["--text", "a", "--top-k", "0"], 2, "top-k"),
        (["--text", "a", "--max-text-bytes", "0"], 2, "--max-text-bytes"),
        (["--text", "é", "--max-text-bytes", "1"], 1, "UTF-8, found 2; max_text_bytes (fnet-run: --max-text-bytes) sets the bound"),
    ],
)
def test_bad_usage(bundle, arguments, code, message):
    result = run(bundle, *arguments)
    assert (result.exit_code, message in result.stderr) == (code, True), result.stderr


def test_invalid_utf8_and_empty_input(bundle, tmp_path):
    result = run(bundle, "-", stdin=b"caf\xe9")
    assert (result.exit_code, "-: not UTF-8 (byte 3); convert it first" in result.stderr) == (1, True)
    (tmp_path / "mail").write_bytes(b"\xff")
    assert run(bundle, "--file", tmp_path / "mail").exit_code == 1
    assert run(bundle, "-", stdin="").exit_code == 0
    assert run(bundle, "-", "--lines", stdin="").stdout == ""


# ---- answers as rows


SCORES = (LabelScore("A\tx", 0.75), LabelScore("B\\\n", 0.5625), LabelScore("é\u2028", 0.25))
FILLERS = ((Filler("\t", 7, 0.5, "a\nb"),), (Filler("▁x", 8, 0.25, "x"),))


@pytest.mark.parametrize(
    ("answer", "multi_label", "rows"),
    [
        (Classification("A\tx", 0.75, SCORES), False, "A\\tx\t0.7500"),
        (Classification("A\tx", 0.75, SCORES), True, "A\\tx\t0.7500\tB\\\\\\n\t0.5625"),
        (Classification("é", 0.25, SCORES[2:]), True, "(nothing)"),
        (Classification("é\u2028", 0.25, SCORES[2:]), False, "é\\u2028\t0.2500"),
        (Classification("a", math.nan, (LabelScore("a", math.nan),)), False, "a\tnan"),
        (NextSentence(True, 0.75), False, "follows\t0.7500"),
        (NextSentence(False, 0.25), False, "does not follow\t0.7500"),
        (Choice(1, "a\tb", 0.5, (0.5, 0.5)), False, "1\t'a\\tb'\t0.5000"),
        (Fillers(FILLERS), False, "\\t\t7\t0.5000\t'a\\nb'\n▁x\t8\t0.2500\t'x'"),
        (Pretraining(FILLERS[1:], NextSentence(False, 0.25)), False, "▁x\t8\t0.2500\t'x'\ndoes not follow\t0.7500"),
        (Pretraining((), NextSentence(True, 0.75)), False, "follows\t0.7500"),
        (TokenLabels((TokenLabel("B\t", 0.5, "x", 0, 1),)), False, "B\\t\t0.5000\t'x'\t0\t1"),
        (TokenLabels(()), False, "(nothing)"),
        ((Answer("a\t", 0.5, 3, 5, 0.75), Answer("b", 0.25, 6, 7, 0.125)), False, "'a\\t'\t0.5000\t3\t5\n'b'\t0.2500\t6\t7"),
        ((), False, "(nothing)"),
    ],
)
def test_rows_for_people(answer, multi_label, rows):
    assert text_from_answer(answer, multi_label=multi_label) == rows


def test_every_label_of_several_is_printed(tmp_path):
    changes = {"problem_type": "multi_label_classification", "labels": ("A\tx", "B\ny", "C")}
    folder = export(save_tiny(tmp_path / "c", **changes), tmp_path / "b").folder
    scores = json.loads(run(folder, "--text", "the fox", "--json").stdout)["scores"]
    expected = [
        f"{s['label']}\t{s['score']:.4f}".replace("A\tx", "A\\tx").replace("\ny", "\\ny") for s in scores if s["score"] > 0.5
    ]
    assert (len(scores), len(expected)) == (3, 2)
    assert run(folder, "--text", "the fox").stdout == "\t".join(expected) + "\n"


# ---- texts that are cut


def test_a_text_that_is_cut_is_told_of(bundles):
    folder = bundles("token-classification")
    long = "the lazy dog and the quick fox " * 10
    shown = run(folder, "--text", "fox", "--text", long, "--json")
    answers = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [answer["truncated"] for answer in answers] == [False, True]
    assert 0 < answers[1]["tokens"][-1]["end"] < len(long) - 100
    told = f"note: the sequence length of {LENGTH} tokens cut 1 of 2 texts (the first is --text 2); the answer does not depend on"
    assert (shown.exit_code, shown.stderr.startswith(told), shown.stderr.count("\n")) == (0, True, 1)
    assert f"note: the sequence length of {LENGTH} tokens cut the text; the answer" in run(folder, "--text", long).stderr
    lines = run(folder, "-", "--lines", stdin=f"fox\n{long}\nfox\n{long}\n")
    assert "cut 2 of 4 texts (the first is -, line 2); the answer" in lines.stderr
    blocks = lines.stdout.split("\n\n")
    assert [block.count("\n") + 1 for block in blocks[:2]] == [len(answer["tokens"]) for answer in answers]
    assert run(folder, "--text", "fox").stderr == ""


# ---- lines


def test_a_bad_line_has_an_error_in_its_place(tmp_path, bundles):
    folder = bundles("masked-lm")
    (tmp_path / "texts").write_bytes(b"a [MASK]\r\ncaf\xe9 [MASK]\n\n[MASK] b\n")
    words = [folder, "--lines", "--text", "no mask", "--file", tmp_path / "texts", "--top-k", "1"]
    shown = run(*words, "--json")
    answers = [json.loads(line) for line in shown.stdout.splitlines()]
    error, filled = ["error", "source", "line"], ["masks", "truncated"]
    assert [list(answer) for answer in answers] == [error, filled, error, error, filled]
    source = str(tmp_path / "texts")
    assert [(answers[i]["source"], answers[i]["line"]) for i in (0, 2, 3)] == [("--text", 1), (source, 2), (source, 3)]
    assert answers[2]["error"] == "not UTF-8 (byte 3); convert it first, with iconv for example"
    assert "found no [MASK]" in answers[3]["error"]
    told = "error: 3 of 5 texts could not be answered; the first is --text 1: masked-lm: found no [MASK]"
    assert (shown.exit_code, shown.stderr.startswith(told)) == (1, True)
    blocks = run(*words).stdout.split("\n\n")
    assert [block.startswith("(error)\t") for block in blocks] == [True, False, True, True, False]
    assert blocks[2] == f"(error)\t{source}, line 2: not UTF-8 (byte 3); convert it first, with iconv for example"
    refused = run(folder, "--lines", "--text", "[MASK]", "--pair", "b", "--json")
    assert (refused.exit_code, refused.stdout, refused.stderr) == (
        1,
        "",
        "error: masked-lm: expected one text, found a pair\n",
    )
    whole = run(folder, "--text", "[MASK]", "--text", "none")
    assert (whole.exit_code, whole.stdout) == (1, "")
    assert whole.stderr.startswith("error: --text 2: masked-lm: found no [MASK]")


class Arriving:
    """A file whose parts arrive one after another."""

    def __init__(self, *parts):
        self.parts = [*parts, b""]

    def read1(self, size):
        return self.parts.pop(0)

    def fileno(self):
        return Path("/dev/null").open().fileno()


def test_lines_are_batched_as_they_arrive(monkeypatch):
    def numbers(*parts, more):
        monkeypatch.setattr("fnet_runtime.command.texts._has_more", lambda file: more)
        batches = batches_of_lines(Arriving(*parts), "-", 3, 99)
        return [[(place.number, text) for place, text in batch] for batch in batches]

    parts = [b"a\nb", b"b\r\nc\n", b"", b"d"]
    assert numbers(b"a\nb", b"b\r\nc\nd\n", b"e", more=True) == [[(1, "a"), (2, "bb"), (3, "c")], [(4, "d"), (5, "e")]]
    assert numbers(*parts[:2], more=False) == [[(1, "a")], [(2, "bb"), (3, "c")]]
    assert numbers(more=True) == []
    assert numbers(b"\n\n", more=True) == [[(1, ""), (2, "")]]
    assert str(Place("x", 3)) == "x, line 3"


def test_of_a_long_line_only_the_beginning_is_kept(monkeypatch):
    monkeypatch.setattr("fnet_runtime.command.texts._has_more", lambda file: True)
    batches = list(batches_of_lines(Arriving(b"ab\xc3", b"\xa9\r\n", b"abc", b"de\r", b"\nf\n", b"x" * 9), "-", 4, 4))
    assert [len(batch) for batch in batches] == [1, 1, 2]  # no more bytes wait than a text may have
    (fits,), (long,), (next_one, last) = batches
    assert (fits[1], next_one[1]) == ("abé", "f")
    refused = "expected a text of at most 4 bytes of UTF-8, found {}; max_text_bytes (fnet-run: --max-text-bytes) sets the bound"
    assert [str(text) for _, text in (long, last)] == [refused.format(5), refused.format(9)]
    assert last[0] == Place("-", 4, 9)


class Huge:
    """A file without an end: whoever reads more than `most` bytes fails the test."""

    def __init__(self, most):
        self.most = most

    def fileno(self):
        raise io.UnsupportedOperation

    def read(self, size):
        assert 0 <= size <= self.most
        return b"a" * size


def test_no_more_of_a_huge_file_is_read_than_the_bound(bundle, tmp_path):
    with pytest.raises(InputError, match="^-: expected a text of at most 9 bytes of UTF-8, found more; max_text_bytes"):
        whole_text(Huge(10), "-", 9)
    sparse = tmp_path / "huge"
    with sparse.open("wb") as file:
        file.truncate(1 << 40)
    shown = run(bundle, "--file", sparse)
    told = f"error: {sparse}: expected a text of at most 33554432 bytes of UTF-8, found {1 << 40}; max_text_bytes"
    assert (shown.exit_code, shown.stdout, shown.stderr.startswith(told)) == (1, "", True)


def test_quiet_does_not_say_which_texts_were_cut(bundle):
    words = [bundle, "--text", "the lazy dog and the quick fox " * 10]
    loud, quiet = run(*words), run(*words, "--quiet")
    assert (loud.stdout, loud.exit_code) == (quiet.stdout, quiet.exit_code)
    assert ("note: " in loud.stderr, quiet.stderr) == (True, "")
    failed = run(bundle, "-", "--lines", "--quiet", stdin=b"\xff\n")
    assert (failed.exit_code, failed.stderr.startswith("error: 1 of 1 texts could not be answered")) == (1, True)


def answering(bundle, *words, **options):
    command = [*RUN, str(bundle), "-", "--lines", *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT, **options)


def test_an_answer_comes_before_the_input_ends(whole_bundle):
    with answering(whole_bundle, "--json") as process:
        for text in ("the fox", "caf\xe9", "a dog"):
            process.stdin.write(text.encode("latin-1") + b"\n")
            process.stdin.flush()
            assert ("error" in json.loads(process.stdout.readline())) == (text == "caf\xe9")
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 1


def test_a_reader_that_leaves_ends_the_run_quietly(whole_bundle):
    with answering(whole_bundle, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"fox\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        for _ in itertools.takewhile(lambda _: process.poll() is None, range(10_000)):
            try:
                process.stdin.write(b"dog\n")
                process.stdin.flush()
            except BrokenPipeError:
                break
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_memory_does_not_grow_with_the_lines(whole_bundle):
    def peak_kb(lines):
        with answering(whole_bundle, "--threads", "1", "--json", stderr=subprocess.DEVNULL) as process:
            write = lambda: (process.stdin.write(b"the lazy dog\n" * lines), process.stdin.flush())  # noqa: E731
            writer = threading.Thread(target=write)
            writer.start()
            for _ in range(lines):
                assert process.stdout.readline()
            peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
            writer.join()
        return int(peak[1])

    assert peak_kb(5000) - peak_kb(100) < 8_000


@pytest.mark.parametrize("words", [["--text", "fox"], ["--help"], ["--version"]])
def test_output_that_cannot_be_written(whole_bundle, words):
    with Path("/dev/full").open("wb") as full:
        command = [*RUN, str(whole_bundle), *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True)
    assert (done.returncode, done.stderr) == (1, "error: standard output: cannot be written (No space left on device)\n")


# ---- an output that cannot hold every character


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """Labels with characters beyond Latin-1, and beyond the first plane."""
    folder = tmp_path_factory.mktemp("foreign")
    labels = ("Ωmega→", "Ω \U0001f98a", "Ωé")
    return export(save_tiny(folder / "c", "token-classification", labels=labels), folder / "b", task="token-classification").folder


@pytest.mark.parametrize("surroundings", [CP1252, PLAIN_C])
def test_standard_output_that_cannot_hold_an_answer(foreign, surroundings):
    command = [*RUN, str(foreign), "--text", "the Ωmega → fox é \U0001f98a and more of it"]
    plain = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True, encoding="utf-8")
    done = subprocess.run(command, env=ENVIRONMENT | surroundings, capture_output=True, check=True, encoding="cp1252")
    assert (done.stderr, "Ω" in plain.stdout, "\\u03a9" in done.stdout) == ("", True, True)
    escaped = [json.loads('"' + row.split("\t")[0] + '"') for row in done.stdout.splitlines()]
    assert escaped == [row.split("\t")[0] for row in plain.stdout.splitlines()]
    for values in (subprocess.check_output([*command, "--json"], env=ENVIRONMENT | e) for e in ({}, surroundings)):
        assert values == subprocess.check_output([*command, "--json"], env=ENVIRONMENT)


@pytest.mark.parametrize("surroundings", [CP1252, PLAIN_C])
@pytest.mark.parametrize("words", [["inspect"], ["inspect", "--json"], ["verify"], ["--dry-run"]])
def test_fnet_export_prints_where_standard_output_cannot_hold_it(foreign, surroundings, words, tmp_path):
    if words == ["--dry-run"]:
        checkpoint = Path(foreign.parent / "c")
        words = ["--task", "ner", "--target", "onnx", "--model", str(checkpoint), "--output", str(tmp_path / "Ω"), *words]
    else:
        words = [*words, str(foreign)]
    command = [sys.executable, "-c", "from fnet_export.commands.cli import main; main()", *words]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | surroundings
    done = subprocess.run(command, env=environment, capture_output=True, cwd=Path(fnet_export_cli.__file__).parents[1])
    assert (done.returncode, done.stderr.count(b"Error")) == (0, 0), done.stderr
    if words[1] == "--json":
        labels = json.loads(done.stdout.decode("utf-8" if surroundings is PLAIN_C else "cp1252"))["manifest"]["labels"]
        assert labels == ["Ωmega→", "Ω \U0001f98a", "Ωé"]


def test_closed_standard_input(bundle, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        _standard_input()


def test_damaged_bundles_and_engines_without_a_gpu(bundle, tmp_path):
    (bundle / MANIFEST).write_text("{}")
    assert run(bundle, "--text", "a").exit_code == 1
    engine = export(save_tiny(tmp_path / "c"), tmp_path / "engine", target="tensorrt-rtx").folder
    assert run(engine, "--text", "a", "--runtime", "onnxruntime").exit_code == 0
    result = run(engine, "--text", "a")
    if result.exit_code:
        assert result.exit_code == 4
        assert "no NVIDIA GPU on this host" in result.stderr
        assert "--runtime onnxruntime runs model.onnx on the CPU" in result.stderr


@pytest.mark.parametrize(
    ("task", "arguments", "key"),
    [
        ("multiple-choice", ["--pair", "x", "--pair", "y"], "index"),
        ("feature-extraction", [], "pooled"),
        ("next-sentence-prediction", ["--pair", "b"], "follows"),
        ("pretraining", ["--pair", "b"], "fillers"),
    ],
)
def test_answers_of_other_tasks(task, arguments, key, bundles):
    folder = bundles(task)
    assert key in json.loads(run(folder, "--text", "the [MASK] fox", *arguments, "--json").stdout)
    assert run(folder, "--text", "the [MASK] fox", *arguments).stdout.strip()


@pytest.mark.parametrize(
    ("task", "arguments"), [("masked-lm", []), ("token-classification", []), ("question-answering", ["--pair", "a fox"])]
)
def test_answers_that_are_lists(task, arguments, bundles):
    folder = bundles(task)
    assert json.loads(run(folder, "--text", "the [MASK] fox", *arguments, "--json").stdout)
    assert run(folder, "--text", "the [MASK] fox", *arguments).stdout.count("\n") > 1
