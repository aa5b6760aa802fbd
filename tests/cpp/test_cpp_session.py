"""The C++ runtime as a row of parity: fnet-session on shared inputs."""

import json
import signal
import threading

import numpy as np
import pytest
from fnet_runtime.bundle.manifest import BATCH, SEQUENCE, TensorInfo, manifest_from_folder
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.session import run_in_batches
from onnx import TensorProto, helper, save_model
from safetensors.numpy import save
from support.checkpoints import LENGTH, save_tiny
from support.exports import CPP_ROW, export
from support.threads import differing

from fnet_export.engine.sessions.cpp_session import PROGRAM_VARIABLE, CppSession


@pytest.fixture
def program(built, monkeypatch):
    found = built.folder / "fnet-session"
    monkeypatch.setenv(PROGRAM_VARIABLE, str(found))
    return found


def test_the_outputs_of_one_graph(program, whole_bundle):
    inputs = manifest_from_folder(whole_bundle).inputs
    rng = np.random.default_rng(0)
    ids = {tensor.name: rng.integers(0, 4, (11, LENGTH)) for tensor in inputs}  # eleven: more than a batch
    ours, theirs = (run_in_batches(kind(whole_bundle / "model.onnx", inputs), ids) for kind in (CppSession, OrtSession))
    np.testing.assert_allclose(ours["logits"], theirs["logits"], atol=1e-6)


def test_inputs_may_have_another_length_in_each_run(program, tmp_path):
    names, axes = ("input_ids", "token_type_ids"), (BATCH, SEQUENCE)
    tensors = [helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name in names]
    nodes = [helper.make_node("Add", names, ["sum"]), helper.make_node("Cast", ["sum"], ["y"], to=TensorProto.FLOAT)]
    graph = helper.make_graph(nodes, "sum", tensors, [helper.make_tensor_value_info("y", TensorProto.FLOAT, axes)])
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx")
    session = CppSession(tmp_path / "model.onnx", [TensorInfo(name=name, dtype="int64", axes=axes) for name in names])
    rng = np.random.default_rng(0)
    for shape in ((1, 5), (3, 7), (11, 2), (1, 5)):
        ids = {name: rng.integers(0, 100, shape) for name in names}
        np.testing.assert_array_equal(run_in_batches(session, ids)["y"], ids["input_ids"] + ids["token_type_ids"])
    with pytest.raises(SessionError, match=r'expected the inputs input_ids int64\["batch_size", 8\]'):
        CppSession(tmp_path / "model.onnx", [TensorInfo(name=name, dtype="int64", axes=(BATCH, 8)) for name in names])


def test_any_number_of_threads_may_ask(program, whole_bundle):
    inputs = manifest_from_folder(whole_bundle).inputs
    session = CppSession(whole_bundle / "model.onnx", inputs)
    requests = [{tensor.name: np.full((1 + i % 3, LENGTH), i % 4) for tensor in inputs} for i in range(16)]
    assert differing(lambda request: session.run(request)["logits"].tolist(), requests) == []


def test_without_it_the_row_says_what_to_do(tmp_path):
    folder = export(save_tiny(tmp_path / "c"), tmp_path / "b", quick=False).folder
    row = next(row for row in json.loads((folder / "parity.json").read_text())["rows"] if row["name"] == CPP_ROW)
    assert (row["status"], row["outputs"]) == ("not run", {})
    assert row["reason"] == "fnet-session is not built; make cpp builds it, or name its file in FNET_SESSION"


def test_what_it_cannot_open_or_run_is_a_session_error(program, whole_bundle, tmp_path, monkeypatch):
    inputs = manifest_from_folder(whole_bundle).inputs
    model = tmp_path / "model.onnx"
    model.write_bytes(b"no graph")
    with pytest.raises(SessionError, match=r"fnet-session failed: .*model\.onnx: ONNX Runtime .* cannot open it"):
        CppSession(model, inputs)
    with pytest.raises(SessionError, match="expected the inputs"):
        CppSession(whole_bundle / "model.onnx", inputs[:1])
    with pytest.raises(SessionError, match="cannot be started"):
        CppSession(model, inputs, program=model)
    session = CppSession(whole_bundle / "model.onnx", inputs)
    session._process.kill()
    with pytest.raises(SessionError, match="exit code -9"):
        session.run({tensor.name: np.zeros((1, LENGTH), np.int64) for tensor in inputs})
    monkeypatch.setenv("FNET_ONNXRUNTIME", "/nowhere.so")
    with pytest.raises(SessionError, match=r"/nowhere\.so"):
        CppSession(whole_bundle / "model.onnx", inputs)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo I am another program", "program: is not fnet-session; make cpp builds it, or name its file in FNET_SESSION"),
        ("printf '\\0\\0\\0\\0\\0\\0\\0\\0\\3\\0\\0\\0\\0\\0\\0\\0abc'", "its answer is not a safetensors file"),
        ("printf '\\0\\0\\0\\0\\0\\0\\0\\0\\4\\0\\0\\0\\0\\0\\0\\0abc'; kill -9 $$", "exit code -9"),
        ("head -c 200000 /dev/zero >&2; echo error: that was much >&2", "that was much"),
    ],
)
def test_another_program_is_a_session_error(whole_bundle, tmp_path, script, said):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    inputs = manifest_from_folder(whole_bundle).inputs
    with pytest.raises(SessionError, match=said):
        CppSession(whole_bundle / "model.onnx", inputs, program=program).run(
            {tensor.name: np.zeros((1, LENGTH), np.int64) for tensor in inputs}
        )


@pytest.mark.parametrize("script", ["sleep 1000", "printf '\\0\\0\\0\\0\\0\\0\\0\\0'; sleep 1000", "cat >/dev/null"])
def test_a_program_that_hangs_is_ended_with_all_that_it_started(whole_bundle, tmp_path, script):
    """At the opening, after it, and where it reads and says nothing."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    inputs = manifest_from_folder(whole_bundle).inputs
    rows = {tensor.name: np.zeros((8, LENGTH), np.int64) for tensor in inputs}
    with pytest.raises(SessionError, match=r"fnet-session failed: it gave no answer in 0\.3 s, and was ended"):
        CppSession(whole_bundle / "model.onnx", inputs, program=program, patience_s=0.3).run(rows)


SCALAR = save({"x": np.zeros((), np.int64)})


@pytest.mark.parametrize(
    ("words", "fed", "code", "said"),
    [
        ([], b"", 2, "Usage: fnet-session"),
        (["model.onnx", "{"], b"", 1, "INPUTS: not JSON"),
        (["model.onnx", '[{"name": 1}]'], b"", 1, "INPUTS: /0: expected an object with the keys"),
        (None, b"\4\0\0\0\0\0\0\0junk", 1, "standard input: not a safetensors file"),
        (None, len(SCALAR).to_bytes(8, "little") + SCALAR, 1, "expected the inputs input_ids, token_type_ids; found x"),
        (None, b"\xff" * 7, 0, ""),
        (None, b"\xff" * 12, 1, "standard input: not a safetensors file"),
    ],
)
def test_the_program_refuses_what_it_cannot_read(built, whole_bundle, words, fed, code, said):
    if words is None:
        inputs = json.loads((whole_bundle / "manifest.json").read_text())["inputs"]
        words = [whole_bundle / "model.onnx", json.dumps(inputs)]
    done = built.run(*words, program="fnet-session", input=fed)
    assert (done.returncode, done.stderr.decode().startswith(("Usage", f"error: {said}") if said else "")) == (code, True), done


def test_inputs_may_be_of_any_axes(program, bundles):
    folder = bundles("multiple-choice", precision="fp32")
    inputs = manifest_from_folder(folder).inputs
    assert all(len(tensor.axes) == 3 for tensor in inputs)
    outputs = CppSession(folder / "model.onnx", inputs).run({tensor.name: np.ones((2, 5, LENGTH), np.int64) for tensor in inputs})
    assert outputs["logits"].shape == (2, 5)


def test_an_interrupt_ends_the_program_at_once(program, whole_bundle):
    """It would otherwise go on with its answer, and the command would wait for it."""
    inputs = manifest_from_folder(whole_bundle).inputs
    session = CppSession(whole_bundle / "model.onnx", inputs)
    session._process.send_signal(signal.SIGSTOP)  # it takes long
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        session.run({tensor.name: np.zeros((1, LENGTH), np.int64) for tensor in inputs})
    assert session._process.wait(5) == -signal.SIGKILL
