"""Compares the versions on docs/support.md with those that the packages accept and those that the tests install."""

import re
import tomllib

import pytest
from support.paths import GOLDEN, ROOT

PAGE = (ROOT / "docs" / "support.md").read_text("utf-8")
EXPORTER, RUNTIME = (
    tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))["project"] for folder in (".", "runtimes/python")
)
PINS = (ROOT / "constraints.txt").read_text("utf-8")


def row(what):
    """Return the versions that a row of the page accepts and those that it calls tested."""
    accepted, tested = re.search(rf"^\| {re.escape(what)} \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE).groups()
    return accepted.removesuffix(" or newer"), tested.split(", ")


def pinned(name, pins):
    """Return the version that a file of pins has of a library."""
    return re.search(rf"^{name}==(.+)$", pins, re.MULTILINE)[1]


@pytest.mark.parametrize(
    ("what", "name", "project", "extra"),
    [
        ("ONNX Runtime of the Python runtime", "onnxruntime", RUNTIME, None),
        ("OpenVINO of the Python runtime", "openvino", RUNTIME, "openvino"),
        ("PyTorch, for the exporter", "torch", EXPORTER, None),
        ("transformers, for the exporter's comparison", "transformers", EXPORTER, "dev"),
    ],
)
def test_libraries(what, name, project, extra):
    accepted, tested = row(what)
    required = project["dependencies"] if extra is None else project["optional-dependencies"][extra]
    assert f"{name}>={accepted}" in required
    (version,) = tested
    assert f"{pinned(name, PINS)}.".startswith(f"{version}.")


@pytest.mark.parametrize(
    ("what", "files"),
    [
        ("ONNX Runtime that runs a bundle's graph, `--opset 20`", ["onnxruntime-1.17"]),
        ("ONNX Runtime that runs a bundle's graph, `--opset 18`", ["onnxruntime-1.16", "onnxruntime-1.17"]),
        ("OpenVINO that runs a bundle's graph", ["openvino-2024.6"]),
        ("checkpoints and tokenizers of transformers", ["transformers-4"]),
    ],
)
def test_old_releases(what, files):
    accepted, tested = row(what)
    assert tested[0].startswith(accepted)
    name = files[0].partition("-")[0]
    versions = [*(pinned(name, (GOLDEN / f"{file}.txt").read_text("utf-8")) for file in files), pinned(name, PINS)]
    assert len(versions) == len(tested)
    assert all(f"{version}.".startswith(f"{short}.") for version, short in zip(versions, tested, strict=True))


def test_python():
    assert {project["requires-python"] for project in (EXPORTER, RUNTIME)} == {f">={row('Python')[0]}"}
