"""The program as a whole: commands by name, --quiet and --json of all, completion, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from fnet_runtime.command import cli as runtime_cli

from fnet_core.tasks import TASKS
from fnet_export.base.errors import is_out_of_memory
from fnet_export.commands import cli
from fnet_export.commands import inspect as inspect_module

EXPORT = ["--task", "sequence-classification", "--target", "onnx"]


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def test_help_lists_every_command():
    shown = run("--help").stdout
    for name, entry in cli.COMMANDS.items():
        assert f"\n  {name} " in shown
        assert entry.summary in shown
    assert run("help").stdout == shown
    assert shown in run().output
    assert "--task" in run("help", "export").stdout
    assert "version 0." in run("--version").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["veriffy", "b"], "No such command 'veriffy'. Did you mean 'verify'?"),
        (["inspct", "--json"], "No such command 'inspct'. Did you mean 'inspect'?"),
        (["frobnicate"], "No such command 'frobnicate'. Expected one of export, choose, convert,"),
        (["--tsk", "x"], "No such option '--tsk'"),
        (["export"], "Missing option '--target'"),
    ],
)
def test_an_unknown_word_gets_the_nearest(arguments, message):
    shown = run(*arguments)
    assert (shown.exit_code, message in shown.stderr) == (2, True), shown.stderr


def completed(words):
    """What bash is offered after some words, the last of which is not finished."""
    environment = {"_FNET_EXPORT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    shown = CliRunner().invoke(cli.main, env=environment, prog_name="fnet-export").stdout
    return [line.partition(",")[2] for line in shown.splitlines()]


def test_a_shell_is_offered_commands_tasks_and_targets():
    assert completed("fnet-export ") == list(cli.COMMANDS)
    assert completed("fnet-export b") == ["bench", "bisect"]
    assert completed("fnet-export --task ") == ["auto", *TASKS]
    assert completed("fnet-export export --task mas") == ["masked-lm"]
    assert completed("fnet-export --task x --target tensor") == ["tensorrt", "tensorrt-rtx"]
    assert {"--target", "--task", "--version", "--help"} <= set(completed("fnet-export --"))
    assert completed("fnet-export bisect --m") == ["--model"]


@pytest.mark.parametrize("package", ["fnet_export", "fnet_runtime"])
def test_packages_are_programs(package):
    done = subprocess.run([sys.executable, "-m", package, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"Usage: {'fnet-export' if package == 'fnet_export' else 'fnet-run'} ")


def arguments_of(name, bundle, checkpoint, folder):
    """What makes each command do its work on a tiny bundle."""
    if name in ("eval", "choose"):
        label = '{"text": "the fox", "label": "A"}\n'
        (folder / "data.jsonl").write_text(label * 3)
    return {
        "export": [
            "--task",
            "sequence-classification",
            "--target",
            "onnx",
            "--model",
            checkpoint,
            "--output",
            folder / "e",
            "--dry-run",
        ],
        "choose": [
            *(
                "--model",
                checkpoint,
                "--task",
                "sequence-classification",
                "--data",
                folder / "data.jsonl",
                "--output",
                folder / "c",
            ),
            *("--target", "onnx", "--precision", "fp32", "--padding", "max_length", "--rounds", 2, "--quick", "--force"),
        ],
        "convert": ["--model", checkpoint, "--to", "flax", "--output", folder / "flax", "--force"],
        "eval": [bundle, "--data", folder / "data.jsonl"],
        "padding": [bundle, "--length", 16],
        "bench": [bundle, "--rounds", 2],
        "triton": [bundle, "--repository", folder / "models", "--force"],
    }.get(name, [bundle])


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name != "rebuild"])  # it needs a GPU: test_rebuild.py
def test_every_command_is_quiet_and_prints_one_json_object(name, whole_bundle, checkpoint, tmp_path):
    arguments = [name, *arguments_of(name, whole_bundle, checkpoint, tmp_path)]
    quiet, both = run(*arguments, "--quiet"), run(*arguments, "--quiet", "--json")
    assert (quiet.exit_code, quiet.output) == (0, "")
    assert (both.exit_code, both.stderr) == (0, "")
    assert isinstance(json.loads(both.stdout), dict)
    where = ["--model", tmp_path / "nowhere"] if name in ("export", "choose", "convert") else []
    bad = [*arguments, *where] if where else [name, tmp_path / "nowhere", *arguments[2:]]
    failed = run(*bad, "--quiet", "--json")
    told = json.loads(failed.stdout)
    assert (failed.exit_code, told["exit_code"]) == (1, 1)
    assert failed.stderr == f"error: {told['error']}\n"


@pytest.mark.parametrize("words", [["inspect", "BUNDLE"], ["inspect", "BUNDLE", "--json"], ["inspect", "--help"], ["--help"]])
def test_output_that_cannot_be_written(whole_bundle, words):
    command = [sys.executable, "-m", "fnet_export", *(str(whole_bundle) if word == "BUNDLE" else word for word in words)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "error: standard output: cannot be written (No space left on device)\n")


def test_output_that_nobody_reads(whole_bundle):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "fnet_export", "inspect", str(whole_bundle)], stdout=closed, stderr=subprocess.PIPE
        )
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json"], "Missing option '--target'."),
        (["verify", "--json"], "Missing argument 'BUNDLE'."),
        (["veriffy", "--json"], "No such command 'veriffy'. Did you mean 'verify'?"),
        (["bench", "x", "--threads", "0", "--json"], "Invalid value for '--threads': 0 is not in the range 1<=x<=1024."),
        (["eval", "x", "--data", "y", "--max-accuracy-drop", "1", "--json"], "--max-accuracy-drop: expected --baseline as well"),
        ([*EXPORT, "--min-accuracy", "nan", "--json"], "--min-accuracy: expected points of 100, 0 to 100; found nan"),
        ([*EXPORT, "--min-agreement", "nan", "--json"], "--min-agreement: expected points of 100, from 0 to 100; found nan"),
    ],
)
def test_errors_of_usage_are_json_as_well(words, message):
    shown = run(*words)
    values = json.loads(shown.stdout)
    assert (shown.exit_code, values["exit_code"], message in values["error"], message in shown.stderr) == (2, 2, True, True)


def test_json_is_one_line_without_what_json_lacks(monkeypatch, whole_bundle):
    class Found:
        def values(self):
            return {"a": float("nan"), "b": [1.5, float("inf")]}

    monkeypatch.setattr(inspect_module, "description_from_bundle", lambda _: Found())
    monkeypatch.setattr(inspect_module, "table_from_description", lambda _: "")
    shown = run("inspect", whole_bundle, "--json").stdout
    assert json.loads(shown) == {"bundle": str(whole_bundle), "a": None, "b": [1.5, None]}


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (MemoryError(), 4, "error: out of memory"),
    ],
)
def test_both_programs_end_in_words(monkeypatch, whole_bundle, error, code, said):
    def ended(*_args, **_options):
        raise error

    monkeypatch.setattr(inspect_module, "description_from_bundle", ended)
    monkeypatch.setattr(runtime_cli, "load", ended)
    for shown in (run("inspect", whole_bundle), CliRunner().invoke(runtime_cli.main, [str(whole_bundle), "--text", "a"])):
        assert (shown.exit_code, shown.stderr.startswith(said), shown.stderr.count("\n")) == (code, True, 1)


def test_torchs_own_word_for_too_little_memory(monkeypatch, checkpoint, tmp_path):
    def too_much(*_args, **_options):
        torch.empty(10**15)

    monkeypatch.setattr("fnet_export.graph.trace.program_from_model", too_much)
    arguments = ["--task", "sequence-classification", "--target", "onnx", "--model", checkpoint, "--output", tmp_path / "b"]
    shown = run(*arguments, "--quiet")
    assert (shown.exit_code, shown.stderr.startswith("error: out of memory; "), shown.stderr.count("\n")) == (4, True, 1)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(inspect_module, "description_from_bundle", too_much)
    assert run("inspect", tmp_path).exit_code == 4
    assert not is_out_of_memory(ValueError("x"))


def test_ctrl_c_ends_bench_and_its_processes(whole_bundle):
    """The keyboard sends the signal to the whole group: the command and the process of each bundle."""
    command = [sys.executable, "-m", "fnet_export", "bench", str(whole_bundle), "--rounds", "100000"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stderr is not None
    assert "batch 1" in child.stderr.readline()
    os.killpg(child.pid, signal.SIGINT)
    with child.stderr as stderr:
        assert (stderr.read(), child.wait(60)) == ("interrupted\n", 130)
    end = time.monotonic() + 60
    while running_in_group(child.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert running_in_group(child.pid) == []


def running_in_group(group):
    """Processes of a group that have not ended; one that has ended stays listed until its parent, here init, has taken note."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(its_group) == group and state != "Z":
            found.append(stat.parent.name)
    return found
