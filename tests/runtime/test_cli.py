import json
import sys

import pytest
from click.testing import CliRunner
from conftest import export, replaced, save_tiny
from fnet_runtime.cli import _standard_input, main
from fnet_runtime.errors import InputError
from fnet_runtime.manifest import MANIFEST


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
        (["--text", "é", "--max-text-bytes", "1"], 1, "expected a text of at most 1 bytes of UTF-8, found 2; max_text_bytes sets"),
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
def test_answers_of_other_tasks(tmp_path, task, arguments, key):
    folder = export(save_tiny(tmp_path / "c", task), tmp_path / "b", task=task).folder
    assert key in json.loads(run(folder, "--text", "the [MASK] fox", *arguments, "--json").stdout)
    assert run(folder, "--text", "the [MASK] fox", *arguments).stdout.strip()


@pytest.mark.parametrize(
    ("task", "arguments"), [("masked-lm", []), ("token-classification", []), ("question-answering", ["--pair", "a fox"])]
)
def test_answers_that_are_lists(tmp_path, task, arguments):
    folder = export(save_tiny(tmp_path / "c", task), tmp_path / "b", task=task).folder
    assert json.loads(run(folder, "--text", "the [MASK] fox", *arguments, "--json").stdout)
    assert run(folder, "--text", "the [MASK] fox", *arguments).stdout.count("\n") > 1
