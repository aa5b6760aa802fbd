"""The sources of the C++ runtime: which folder includes which, where JSON is read, and that generated files are up to date."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

CPP = Path(__file__).parents[2] / "runtimes" / "cpp"
SRC = CPP / "src"
FOLDERS = ("base", "json", "tokenizer", "bundle", "engine", "pipeline", "api")
"""Each may include itself and those before it; generated/ is included by base/ and tokenizer/."""
JSON_HEADERS = ("nlohmann/json.hpp", "json/reader.h", "json/serde.h", "json/builder.h")
READS_JSON = ("src/json", "src/tokenizer/huggingface", "src/bundle", "tools/questions.cpp")
"""The folders and files that read or write JSON values."""
SOURCES = sorted(path for path in SRC.rglob("*") if path.suffix in (".h", ".cpp"))


def includes(path):
    return re.findall(r'^#include ["<]([^">]+)[">]', path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SRC)))
def test_a_file_includes_no_folder_above_its_own(path):
    folder = FOLDERS.index(path.relative_to(SRC).parts[0])
    own = [name for name in includes(path) if (SRC / name).exists()]
    above = [name for name in own if name.split("/")[0] != "generated" and FOLDERS.index(name.split("/")[0]) > folder]
    assert above == []


def test_every_folder_has_its_place():
    assert {path.name for path in SRC.iterdir()} == {*FOLDERS, "generated"}
    assert not [path for path in SOURCES if path.parent == SRC]


@pytest.mark.parametrize("path", [*SOURCES, *(CPP / "tools").iterdir()], ids=lambda path: path.name)
def test_json_is_included_where_it_is_read(path):
    reads = [name for name in includes(path) if name in JSON_HEADERS]
    allowed = str(path.relative_to(CPP)).startswith(READS_JSON)
    assert allowed or reads == []


def test_no_file_is_long():
    assert {str(path.relative_to(CPP)): lines for path in SOURCES if (lines := path.read_text().count("\n")) > 320} == {}


def test_the_facts_are_those_of_the_python_runtime():
    generate = _script("generate")
    assert generate.OUTPUT.read_text() == generate.facts(), "run python runtimes/cpp/scripts/generate.py"


def test_a_build_without_onnx_runtime_compiles(built):
    """Only one file is another one in such a build, and it includes no header of ONNX Runtime."""
    conditional = [path.relative_to(SRC) for path in SOURCES if "FNET_WITH_ONNXRUNTIME" in path.read_text()]
    assert conditional == [Path("engine/open.cpp")]
    command = ["g++", "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-I{CPP / 'include'}", f"-I{SRC}"]
    done = subprocess.run([*command, SRC / conditional[0]], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def _script(name):
    spec = importlib.util.spec_from_file_location(name, CPP / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
