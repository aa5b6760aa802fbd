"""README.md of the bundle of every task: its examples run, and transformers reads the configuration next to it."""

import shutil
import subprocess
from pathlib import Path

import pytest
import transformers
from support.cards import blocks_of, card_of
from support.paths import ROOT

from fnet_core.config import FNetConfig
from fnet_core.tasks import TASKS

INCLUDE = ROOT / "runtimes" / "cpp" / "include"


@pytest.mark.parametrize("task", TASKS)
def test_its_examples_run(task, bundles, tmp_path, monkeypatch, capsys):
    folder = Path(shutil.copytree(bundles(task), tmp_path / "b"))
    card = card_of(folder)
    assert f"| task | `{task}` |" in card
    assert "The export **passed**" in card
    python, in_optimum = blocks_of(card, "python")
    monkeypatch.chdir(folder)
    exec(compile(python, "card", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out
    compile(in_optimum, "card", "exec")
    for block in blocks_of(card, "bash"):
        assert subprocess.run(["bash", "-n"], input=block, text=True, check=False).returncode == 0


def test_its_examples_in_cpp_compile(bundles):
    programs = []
    for number, task in enumerate(TASKS):
        (cpp,) = blocks_of(card_of(bundles(task)), "cpp")
        assert "int main(" in cpp
        programs.append(cpp.replace("int main(", f"int main_{number}("))
    words = ["g++", "-std=c++17", "-xc++", "-fsyntax-only", "-I", str(INCLUDE), "-"]
    done = subprocess.run(words, input="\n".join(programs), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_transformers_reads_the_configuration(bundles):
    for task in TASKS:
        folder = bundles(task)
        read = transformers.AutoConfig.from_pretrained(folder)
        assert isinstance(read, transformers.FNetConfig)
        ours = FNetConfig.from_json((folder / "config.json").read_text())
        for name in ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "layer_norm_eps", "pad_token_id"):
            assert getattr(read, name) == getattr(ours, name)
        assert tuple(read.id2label.values()) == ours.labels
