"""The C++ runtime as a row of parity, for every head: fnet-session on shared inputs."""

import json

import numpy as np
import pytest
from fnet_runtime.bundle.golden import golden_from_file
from fnet_runtime.bundle.manifest import GOLDEN, manifest_from_folder
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.session import run_in_batches
from support.exports import CPP_ROW

from fnet_core.tasks import TASKS
from fnet_export.engine.sessions.cpp_session import PROGRAM_VARIABLE, CppSession


@pytest.fixture
def program(built, monkeypatch):
    monkeypatch.setenv(PROGRAM_VARIABLE, str(built.folder / "fnet-session"))


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("task", TASKS)
def test_every_head_has_the_row_and_equals_python(bundles, task, precision):
    bundle = bundles(task, precision=precision)
    row = next(row for row in json.loads((bundle / "parity.json").read_text())["rows"] if row["name"] == CPP_ROW)
    assert (row["status"], row["precision"]) == ("passed", precision)
    golden, inputs = golden_from_file(bundle / GOLDEN), manifest_from_folder(bundle).inputs
    sessions = [kind(bundle / "model.onnx", inputs) for kind in (CppSession, OrtSession)]
    for case in golden.cases:
        of_cpp, of_python = (run_in_batches(session, case.inputs) for session in sessions)
        for name, output in of_cpp.items():
            np.testing.assert_allclose(output, of_python[name], atol=1e-6)
