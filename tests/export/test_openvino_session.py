import importlib
import sys
from types import SimpleNamespace

import numpy as np
import openvino
import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import IR, IR_DATA, MODEL, TensorInfo, manifest_from_folder
from fnet_runtime.command.cli import main
from fnet_runtime.errors import InputError, LibraryError, SessionError
from fnet_runtime.pipeline.open import load
from fnet_runtime.sessions.openvino_session import OpenVinoSession
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.runtimes import OpenOptions, session_from_bundle
from support.checkpoints import save_tiny
from support.exports import export
from support.processor import needs_vnni
from support.threads import differing

CPU_HAS = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.fixture(scope="module")
def folder(openvino_bundle):
    return openvino_bundle


@pytest.fixture(scope="module")
def inputs(folder):
    return manifest_from_folder(folder).inputs


def ids(rows, length=32, *, seed=0):
    drawn = np.random.default_rng(seed).integers(5, 900, (rows, length))
    return {"input_ids": drawn, "token_type_ids": drawn % 2}


def imported(**changes):
    """OpenVINO with some of its names replaced."""
    return lambda name: SimpleNamespace(**(vars(importlib.import_module(name)) | changes))


class Core:
    """OpenVINO's core, with other answers to what the CPU can, what a compiled model computes in, and how many it runs at once."""

    def __init__(self, capabilities=(), runs_in=None, requests=1, request=None):
        self.core, self.capabilities, self.runs_in, self.options = openvino.Core(), list(capabilities), runs_in, {}
        self.requests, self.request, self.made = requests, request, 0

    def get_property(self, device, name):
        assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
        return self.capabilities

    def read_model(self, path):
        return self.core.read_model(path)

    def compile_model(self, model, device, options):
        self.options = dict(options)
        hint = options["INFERENCE_PRECISION_HINT"]
        floats = SimpleNamespace(to_string=lambda: self.runs_in or hint)
        properties = {"INFERENCE_PRECISION_HINT": floats, "OPTIMAL_NUMBER_OF_INFER_REQUESTS": self.requests}
        compiled = self.core.compile_model(model, device, options | {"INFERENCE_PRECISION_HINT": "f32"})

        def create_infer_request():
            self.made += 1
            return (self.request or compiled.create_infer_request)()

        return SimpleNamespace(
            create_infer_request=create_infer_request,
            get_property=properties.__getitem__,
            inputs=compiled.inputs,
            outputs=compiled.outputs,
        )


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_agrees_with_onnx_runtime_at_any_batch(folder, inputs, rows):
    fed = ids(rows)
    found = OpenVinoSession(folder / IR, inputs, threads=1).run(fed)
    wanted = OrtSession(folder / MODEL, inputs, threads=1).run(fed)
    assert {name: (a.shape, a.dtype) for name, a in found.items()} == {"logits": ((rows, 3), np.float32)}
    np.testing.assert_allclose(found["logits"], wanted["logits"], rtol=1e-4, atol=1e-5)


def test_results_outlive_the_next_run(folder, inputs):
    session = OpenVinoSession(folder / IR, inputs)
    first = session.run(ids(2))["logits"]
    kept = first.copy()
    session.run(ids(2, seed=1))
    np.testing.assert_array_equal(first, kept)


def test_choices_are_open_too(tmp_path):
    folder = export(save_tiny(tmp_path / "c", "multiple-choice"), tmp_path / "b", task="multiple-choice", target="openvino").folder
    pipe = load(folder)
    assert isinstance(pipe.session._session, OpenVinoSession)
    assert [len(answer.scores) for answer in pipe(["a fox"] * 3, [["x", "y"], ["x", "y", "z"], ["x", "y"]])] == [2, 3, 2]


def test_it_is_the_runtime_of_its_bundles(folder, bundle):
    manifest = manifest_from_folder(folder)
    for runtime, kind in (("auto", OpenVinoSession), ("openvino", OpenVinoSession), ("onnxruntime", OrtSession)):
        assert isinstance(session_from_bundle(folder, manifest, OpenOptions(runtime=runtime, threads=1)), kind)
    with pytest.raises(InputError, match="has no engine for tensorrt; it opens with openvino and onnxruntime"):
        session_from_bundle(folder, manifest, OpenOptions(runtime="tensorrt"))
    with pytest.raises(InputError, match="has no engine for openvino; it opens with onnxruntime"):
        session_from_bundle(bundle, manifest_from_folder(bundle), OpenOptions(runtime="openvino"))


def test_on_the_command_line(folder, monkeypatch):
    for runtime in ("auto", "openvino"):
        result = CliRunner().invoke(main, [str(folder), "--self-test", "--runtime", runtime, "--threads", "1"])
        assert (result.exit_code, result.stdout.startswith("passed  logits")) == (0, True), result.output
    monkeypatch.setitem(sys.modules, "openvino", None)
    result = CliRunner().invoke(main, [str(folder), "--text", "a fox"])
    assert (result.exit_code, "pip install 'openvino>=2026.0'" in result.stderr) == (4, True)


@pytest.mark.parametrize("precision", ["fp32", pytest.param("int8", marks=needs_vnni)])
def test_nothing_of_a_fp32_graph_runs_in_less(folder, inputs, precision):
    session = OpenVinoSession(folder / IR, inputs, precision=precision)
    assert session.precision == precision
    assert {operation.precision for operation in session.operations()} <= {"f32", "i32", "i64", "u8", "dynamic"}


@pytest.mark.parametrize(("precision", "capability", "floats"), [("bf16", "BF16", "bf16"), ("fp16", "FP16", "f16")])
def test_half_precision_runs_where_the_cpu_has_it_and_is_told_where_not(folder, inputs, precision, capability, floats):
    session = OpenVinoSession(folder / IR, inputs, precision=precision)
    products = {o.precision for o in session.operations() if o.kind == "FullyConnected"}
    expected = (precision, {floats}) if capability in CPU_HAS else ("fp32", {"f32"})
    assert (session.precision, products) == expected


@pytest.mark.parametrize(
    ("precision", "capabilities", "hint", "runs"),
    [
        ("fp32", ["FP16", "BF16"], "f32", "fp32"),
        ("int8", ["FP16", "BF16"], "f32", "int8"),
        ("fp16", ["FP16", "BF16"], "f16", "fp16"),
        ("fp16", ["BF16"], "f32", "fp32"),  # OpenVINO itself would take bf16
        ("bf16", ["BF16"], "bf16", "bf16"),
        ("bf16", ["FP16"], "f32", "fp32"),
    ],
)
def test_openvino_is_always_told_what_to_compute_in(folder, inputs, precision, capabilities, hint, runs, monkeypatch):
    monkeypatch.setattr("fnet_runtime.sessions.openvino_session.saturates_int8", lambda: False)
    core = Core(capabilities)
    session = OpenVinoSession(folder / IR, inputs, precision=precision, threads=2, importer=imported(Core=lambda: core))
    assert session.precision == runs
    assert core.options == {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 2}


def test_another_precision_than_it_was_told_is_an_error(folder, inputs):
    with pytest.raises(
        SessionError, match=r"model\.xml: expected OpenVINO .* to compute in f32, found bf16; install another version"
    ):
        OpenVinoSession(folder / IR, inputs, importer=imported(Core=lambda: Core(runs_in="bf16")))


def test_operations(folder, inputs):
    operations = OpenVinoSession(folder / IR, inputs).operations()
    kinds = {operation.kind for operation in operations}
    assert {"Input", "Const", "Output", "FullyConnected"} <= kinds
    (weight,) = (o for o in operations if o.name.endswith("word.weight"))
    assert (weight.kind, weight.precision, weight.shape) == ("Const", "f32", (1000, 12))


def test_without_openvino(folder, inputs):
    def importer(name):
        raise ImportError(f"no {name}")

    with pytest.raises(LibraryError, match=r"openvino cannot be imported \(no openvino\); pip install 'openvino>=2026\.0'"):
        OpenVinoSession(folder / IR, inputs, importer=importer)


@pytest.mark.parametrize("spoil", ["no graph", "no weights", "short weights", "nothing"])
def test_files_that_it_cannot_open(folder, inputs, tmp_path, spoil):
    (tmp_path / IR).write_bytes(b"no graph" if spoil == "no graph" else (folder / IR).read_bytes())
    if spoil != "no weights":
        (tmp_path / IR_DATA).write_bytes((folder / IR_DATA).read_bytes()[: 100 if spoil == "short weights" else None])
    if spoil == "nothing":
        (tmp_path / IR).unlink()
    with pytest.raises(SessionError, match=r"model\.xml: OpenVINO \S+ cannot open it \("):
        OpenVinoSession(tmp_path / IR, inputs)


def test_other_inputs_than_the_manifests(folder, inputs):
    other = TensorInfo(name="mask", dtype="int64", axes=("batch_size", 32))
    said = r"expected the inputs input_ids int64\['\?', 32\], mask .*, found input_ids .*, token_type_ids int64\['\?', 32\]"
    with pytest.raises(SessionError, match=said):
        OpenVinoSession(folder / IR, [inputs[0], other])
    with pytest.raises(InputError, match="input_ids: expected int64, found int32"):
        OpenVinoSession(folder / IR, inputs).run({name: a.astype(np.int32) for name, a in ids(1).items()})


def test_as_many_requests_as_it_runs_at_once_serve_all_threads(folder, inputs):
    core = Core(requests=3)
    session = OpenVinoSession(folder / IR, inputs, threads=1, importer=imported(Core=lambda: core))
    assert core.made == 1
    assert differing(lambda fed: session.run(fed)["logits"].tolist(), [ids(1 + seed % 3, seed=seed) for seed in range(16)]) == []
    assert core.made == 3


def test_a_failing_run(folder, inputs):
    def fails(*_, **__):
        raise RuntimeError("out of\nmemory")

    def opened(request):
        return OpenVinoSession(folder / IR, inputs, importer=imported(Core=lambda: Core(request=request)))

    session = opened(lambda: SimpleNamespace(infer=fails))
    for _ in range(2):  # what failed serves the next caller
        with pytest.raises(SessionError, match="OpenVINO failed: out of memory"):
            session.run(ids(1))
    with pytest.raises(SessionError, match="OpenVINO cannot make an infer request: out of memory"):
        opened(fails)


def test_int8_is_refused_on_a_cpu_whose_products_overflow(folder, inputs, monkeypatch):
    monkeypatch.setattr("fnet_runtime.sessions.openvino_session.saturates_int8", lambda: True)
    with pytest.raises(SessionError, match=r"model.xml: this CPU has no VNNI.*Open the bundle with ONNX Runtime, or on a CPU with"):
        OpenVinoSession(folder / IR, inputs, precision="int8")
    assert OpenVinoSession(folder / IR, inputs).precision == "fp32"
