"""The C++ runtime cross-built for aarch64 and emulated: the golden tokens, the self-test, the answers of x86-64."""

import json
import os
import re
import subprocess

import pytest
from click.testing import CliRunner
from fnet_runtime.command.cli import main
from fnet_runtime.tokenizer.tokenizer import TOKENIZER_JSON, TokenizerOptions
from support.cpp_build import require_build
from support.exports import export
from support.golden_tokenizer import COLUMNS, GOLDEN, LINES, pipeline
from support.paths import CPP

LIBRARY = CPP / "build" / "onnxruntime-aarch64" / "lib" / "libonnxruntime.so.1"
RULES = ("do_lower_case", "keep_accents", "remove_space")
TEXTS = ["My [MASK] costs 10,000 euros, isn't it ``fine''? Ünïcödé 😀", "", "spam " * 40]


@pytest.fixture(scope="session")
def emulated():
    """Runs a program of the build folder: its name and its words."""
    require_build("aarch64")
    environment = os.environ | {"FNET_ONNXRUNTIME": str(LIBRARY)}
    folder = CPP / "build" / "aarch64"
    emulator = re.search(r"^CMAKE_CROSSCOMPILING_EMULATOR:STRING=(.*)", (folder / "CMakeCache.txt").read_text(), re.M)[1].split(";")

    def run(program, *words, **options):
        done = subprocess.run([*emulator, folder / program, *words], env=environment, capture_output=True, text=True, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


@pytest.mark.parametrize("index", range(len(COLUMNS)), ids=lambda i: f"{i}-{COLUMNS[i]['model']}-{COLUMNS[i]['flavour']}")
def test_ids_types_and_spans_are_those_of_the_golden_file(emulated, tmp_path, index):
    column = COLUMNS[index]
    path = GOLDEN / column["model"]
    if TokenizerOptions(flavour=column["flavour"]).file == TOKENIZER_JSON:
        path = tmp_path / TOKENIZER_JSON
        path.write_bytes(pipeline(column["model"].removesuffix(".model"), column["flavour"], *(column[r] for r in RULES[:2])))
    rules = [str(int(column[r])) for r in RULES] if column["flavour"] == "fnet-slow" else ["0", "1", "1"]
    tried = [(line, line.column(index)) for line in LINES if line.column(index) is not None]
    requests = "".join(json.dumps({"texts": line.texts, "length": line.length}) + "\n" for line, _ in tried)
    answers = emulated("tests/fnet_tokens", path, column["flavour"], *rules, input=requests)
    different = [
        line.texts
        for (line, (ids, types, _, spans)), (*found, _, places, _) in zip(tried, answers, strict=True)
        if (found, list(zip(places[::2], places[1::2], strict=True))) != ([ids, types], spans)
    ]
    assert different == []
    assert len(tried) > 500


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_bundle_passes_its_self_test_and_answers_as_on_x86_64(emulated, checkpoint, tmp_path, precision):
    bundle = export(checkpoint, tmp_path / "bundle", precision=precision).folder
    assert [check["passed"] for check in emulated("fnet-run", bundle, "--self-test", "--json")] == [True]
    words = [str(bundle), "--json", *(word for text in TEXTS for word in ("--text", text))]
    here = [json.loads(line) for line in CliRunner().invoke(main, words).stdout.splitlines()]
    there = emulated("fnet-run", *words)
    assert len(here) == len(there) == len(TEXTS)
    for ours, theirs in zip(there, here, strict=True):
        assert [score["label"] for score in ours["scores"]] == [score["label"] for score in theirs["scores"]]
        assert [score["score"] for score in ours["scores"]] == pytest.approx([s["score"] for s in theirs["scores"]], abs=1e-5)
