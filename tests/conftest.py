"""The checkpoints and bundles that tests share, each made once, and what holds for every test."""

import functools
import os
import shutil
from pathlib import Path

import pytest
import torch
from support.checkpoints import save_tiny
from support.cpp_build import built_from_preset
from support.exports import stored
from support.paths import CPP
from support.tiers import tiers_not_run
from support.traces import remembered, trace_folder
from torch._export.utils import _materialize_cpp_cia_ops
from torch.onnx._internal.exporter._registration import ONNXRegistry

from fnet_export.engine.sessions.cpp_session import PROGRAM, PROGRAM_VARIABLE
from fnet_export.graph import trace
from fnet_export.parity.report import files
from fnet_export.plan import pipeline

TRACE = trace.program_from_model


def pytest_terminal_summary(terminalreporter):
    """End with a line for each tier that this host could not run."""
    for line in tiers_not_run(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line, red=True, bold=True)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tests run side by side (pytest-xdist), and their models are small."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def one_registry():
    """Tests read the operators of torch once.

    For every trace, torch.onnx reads them again, which takes half a second. torch.export does so 54 times, in a fifth of a second.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
        patch.setattr(torch._export.utils, "_materialize_cpp_cia_ops", functools.cache(_materialize_cpp_cia_ops))
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder that all workers of a run share (pytest-xdist). What one makes there under a lock, the others find."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def remembered_traces():
    """A model is traced once, unless a test asks for `traced_anew`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "program_from_model", remembered(TRACE, trace_folder()))
        yield


@pytest.fixture
def traced_anew(monkeypatch):
    """For tests of the tracer itself, and of what two exports have in common."""
    monkeypatch.setattr(trace, "program_from_model", TRACE)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Ranges of activations are kept here, not in the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FNET_EXPORT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_cpp_row():
    """Exports do not run the C++ runtime: whether it is built yet is another test's affair (tests/cpp/test_cpp_session.py)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROGRAM_VARIABLE, "")
        yield


@pytest.fixture(scope="session", autouse=True)
def no_page():
    """Exports write a short parity.html, because its charts take half the time of a tiny export, unless a test asks for `pages`."""

    def write(folder, values):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "html_from_values", lambda values: "<!DOCTYPE html>\n")
            files.write_evidence(folder, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "write_evidence", write)
        yield


@pytest.fixture
def pages(monkeypatch):
    """For tests of the page of an export."""
    monkeypatch.setattr(pipeline, "write_evidence", files.write_evidence)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def bundles(shared):
    """A function from a task and options to a bundle of the tiny model, to read.

    The parity of the bundle runs the C++ runtime where that is built.
    """
    (shared / "bundles").mkdir(exist_ok=True)
    program = CPP / "build" / "default" / PROGRAM

    def bundle(task, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(PROGRAM_VARIABLE, str(program) if program.is_file() else "")
            return stored(shared / "bundles", task, **options)

    return bundle


@pytest.fixture(scope="session")
def whole_bundle(shared):
    """A bundle to read; tests that change one copy it first."""
    return stored(shared)


@pytest.fixture(scope="session")
def openvino_bundle(shared):
    """A bundle to read, with OpenVINO's files next to the graph."""
    return stored(shared, target="openvino")


@pytest.fixture
def bundle(whole_bundle, tmp_path):
    return Path(shutil.copytree(whole_bundle, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def built():
    """The C++ runtime, where `make build` built it."""
    return built_from_preset("default")
