"""Providers of ONNX Runtime: what this host refuses, and the nodes that a provider does not take.

AzureExecutionProvider is in ONNX Runtime's wheel for CPUs. It takes no node of these graphs, and stands in for a provider of a GPU.
"""

import json
import pickle
import sys
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import BF16, FP16, FP32, MODEL, manifest_from_folder
from fnet_runtime.command.cli import main
from fnet_runtime.engine import copies
from fnet_runtime.engine.cuda import Gpu, imported
from fnet_runtime.engine.driver import gpus_of_driver
from fnet_runtime.errors import LibraryError, NoDeviceError, OptionError, SessionError
from fnet_runtime.pipeline.open import load
from fnet_runtime.sessions import ort_session, providers
from fnet_runtime.sessions.devices import devices_of_host
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.providers import PROVIDERS, Node, Provider, check_provider, not_taken_in_words
from fnet_runtime.sessions.runtimes import SessionOptions, runtime_from_name, session_from_options
from support.cuda_driver import driver_library
from support.fake_cuda import importer_of

AZURE = Provider(name="cuda", ort_name="AzureExecutionProvider")
L4 = Gpu(name="NVIDIA L4", compute_capability="8.9", driver="13.0")
RTX = PROVIDERS["nv-tensorrt-rtx"]
NOT_IN_BUILD = "has no CUDAExecutionProvider in this build; it has .*CPUExecutionProvider. Run pip uninstall onnxruntime, and then"

if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
    pytest.skip("this ONNX Runtime has the providers of GPUs", allow_module_level=True)


@pytest.fixture(autouse=True)
def no_plugin(monkeypatch):
    """Forget the plugins that a test registers."""
    monkeypatch.setattr(copies, "_PLUGINS", [])


@pytest.fixture
def azure(monkeypatch):
    """A provider that is called `cuda` and takes no node."""
    assert AZURE.ort_name in onnxruntime.get_available_providers()
    monkeypatch.setitem(providers.PROVIDERS, "cuda", AZURE)


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


# ---- names


def test_providers_are_named_once(whole_bundle):
    manifest = manifest_from_folder(whole_bundle)
    assert list(PROVIDERS) == ["cpu", "cuda", "tensorrt", "nv-tensorrt-rtx"]
    with pytest.raises(OptionError, match="unknown provider 'gpu'; expected one of cpu, cuda, tensorrt, nv-tensorrt-rtx"):
        load(whole_bundle, provider="gpu")
    with pytest.raises(
        OptionError, match="provider: cuda belongs to ONNX Runtime, and the runtime is openvino; leave one of them out"
    ):
        load(whole_bundle, provider="cuda", runtime="openvino")
    with pytest.raises(OptionError, match="allow_partial: is for a provider of a GPU, and the provider is cpu"):
        load(whole_bundle, allow_partial=True)
    assert runtime_from_name("auto", manifest, whole_bundle, provider="cuda") == "onnxruntime"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": 1}, "device: is the number of a GPU; {} opens with onnxruntime on the CPU. Leave it out"),
        ({"contexts": 3}, "contexts: is for engines of TensorRT; {} opens with onnxruntime. Leave it out"),
        ({"cuda_graph": True}, "cuda_graph: is for engines of TensorRT; {} opens with onnxruntime. Leave it out"),
        (
            {"cuda_graph": True, "provider": "cuda", "device": 1},
            "cuda_graph: is for engines of TensorRT; {} opens with onnxruntime. Leave it out",
        ),
        ({"device": -1}, "device: expected the number of a GPU, from 0; found -1"),
        ({"contexts": 65}, "contexts: expected 1 to 64, found 65"),
        ({"threads": 0}, "threads: expected 1 to 1024, found 0"),
    ],
)
def test_options_that_the_runtime_does_not_have(whole_bundle, options, message):
    with pytest.raises(OptionError) as refused:
        load(whole_bundle, **options)
    assert str(refused.value) == message.format(whole_bundle)


def test_openvino_has_no_options_of_a_gpu(openvino_bundle):
    with pytest.raises(OptionError, match="cuda_graph: is for engines of TensorRT; .* opens with openvino. Leave it out"):
        load(openvino_bundle, cuda_graph=True)


def test_a_bundle_with_an_engine_opens_its_graph_by_a_provider(openvino_bundle, azure):
    manifest = manifest_from_folder(openvino_bundle)
    assert runtime_from_name("auto", manifest, openvino_bundle) == "openvino"
    assert runtime_from_name("auto", manifest, openvino_bundle, provider="cuda") == "onnxruntime"
    with load(openvino_bundle, provider="cuda", allow_partial=True) as pipeline:
        assert all(check.passed for check in pipeline.self_test())


def test_options_depend_on_the_precision_of_the_graph():
    cuda, tensorrt = PROVIDERS["cuda"], PROVIDERS["tensorrt"]
    assert [cuda.options_of(precision) for precision in (FP32, BF16)] == [{"use_tf32": "0"}] * 2
    assert [tensorrt.options_of(p) for p in (FP32, FP16, BF16)] == [{}, {"trt_fp16_enable": "1"}, {"trt_bf16_enable": "1"}]


# ---- nodes that a provider does not take


def test_a_provider_that_leaves_nodes_to_the_cpu_is_refused(whole_bundle, azure):
    with pytest.raises(SessionError) as refused:
        load(whole_bundle, provider="cuda")
    words = str(refused.value)
    assert "model.onnx: AzureExecutionProvider did not take 64 of 64 nodes: " in words
    assert "11 MatMul" in words
    assert words.endswith("Let the CPU run them with --allow-partial (allow_partial=True), or open the bundle without a provider")


def test_nodes_that_are_left_run_on_the_cpu_if_that_is_allowed(whole_bundle, azure):
    on_cpu = load(whole_bundle)
    with load(whole_bundle, provider="cuda", allow_partial=True) as pipeline:
        (note,) = pipeline.session.notes
        assert note.startswith("AzureExecutionProvider did not take 64 of 64 nodes: ")
        assert pipeline("the fox") == on_cpu("the fox")
        again = pickle.loads(pickle.dumps(pipeline))
        assert (again.session.options.provider, again.session.options.allow_partial) == ("cuda", True)
    assert on_cpu.session.notes == ()
    assert pipeline.session.notes == ()


def test_words_for_nodes_that_are_left():
    nodes = [("AzureExecutionProvider", Node(name="a", operator="MatMul"))] * 3
    assert not_taken_in_words(AZURE, nodes) == ""
    nodes += [("CPUExecutionProvider", Node(name=name, operator="Range")) for name in ("r1", "", "r3", "r4")]
    nodes += [("CPUExecutionProvider", Node(name="s", operator="Shape"))]
    expected = "AzureExecutionProvider did not take 5 of 8 nodes: 4 Range, 1 Shape (such as r1, (no name), r3)"
    assert not_taken_in_words(AZURE, nodes) == expected
    assert not_taken_in_words(AZURE, None).endswith(f"and ONNX Runtime {onnxruntime.__version__} cannot list the others")
    assert providers.nodes_from_session(SimpleNamespace()) is None


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_not_replaced(whole_bundle, monkeypatch):
    """ONNX Runtime itself warns, and opens the graph on the CPU."""
    monkeypatch.setattr(ort_session, "check_provider", lambda provider: None)
    with pytest.raises(SessionError, match="could not start CUDAExecutionProvider, and opened the graph with CPUExecutionProvider"):
        load(whole_bundle, provider="cuda")
    with pytest.raises(SessionError, match="could not start CUDAExecutionProvider"):
        load(whole_bundle, provider="cuda", allow_partial=True)


def test_a_damaged_graph_is_refused_in_the_words_of_onnx_runtime(whole_bundle, azure, tmp_path):
    (tmp_path / MODEL).write_bytes(b"no graph")
    for allow_partial in (False, True):
        with pytest.raises(SessionError, match=r"model\.onnx: ONNX Runtime .* cannot open it"):
            OrtSession(tmp_path / MODEL, manifest_from_folder(whole_bundle).inputs, provider=AZURE, allow_partial=allow_partial)


def test_half_precision_opens_where_a_provider_has_it(whole_bundle, azure):
    inputs = manifest_from_folder(whole_bundle).inputs
    options = {"file": whole_bundle / MODEL, "inputs": inputs, "precision": BF16}
    with pytest.raises(SessionError, match="ONNX Runtime cannot multiply in bf16 on CPUs"):
        session_from_options(SessionOptions(**options))
    session = session_from_options(SessionOptions(**options, provider="cuda", allow_partial=True))
    length = inputs[0].axes[-1]
    assert session.run({tensor.name: np.ones((1, length), np.int64) for tensor in inputs})["logits"].shape == (1, 3)


def test_a_child_process_cannot_use_the_provider_of_its_parent(whole_bundle, azure):
    pipeline = load(whole_bundle, provider="cuda", allow_partial=True)
    pipeline.session.forked()
    with pytest.raises(SessionError, match="the provider cuda cannot be used in a child process that was forked"):
        pipeline("a")


# ---- what this host lacks


@pytest.mark.parametrize("name", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_in_this_build(whole_bundle, name):
    with pytest.raises(
        LibraryError, match=NOT_IN_BUILD.replace("CUDA", PROVIDERS[name].ort_name.removesuffix("ExecutionProvider"))
    ):
        load(whole_bundle, provider=name)


def test_a_library_that_cannot_be_loaded():
    missing = Provider(name="tensorrt", ort_name=AZURE.ort_name, library="providers_tensorrt_of_a_test")
    imported = []
    with pytest.raises(LibraryError, match=r"cannot be loaded \(.*providers.*\. Run pip install 'onnx.*, and install TensorRT 10"):
        check_provider(missing, importer=imported.append)
    assert imported == ["tensorrt_libs"]  # which loads the libraries that TensorRT's packages bring


def test_a_library_without_a_gpu(monkeypatch):
    monkeypatch.setattr(providers, "_load", lambda provider, importer: None)
    monkeypatch.setattr(providers, "gpus_of_driver", lambda: gpus_of_driver(library="libcuda-of-no-host.so"))
    with pytest.raises(NoDeviceError, match=r"no NVIDIA GPU on this host \(libcuda-of-no-host\.so"):
        check_provider(Provider(name="cuda", ort_name=AZURE.ort_name, library="providers_cuda"))
    monkeypatch.setattr(providers, "gpus_of_driver", lambda: (L4,))
    check_provider(Provider(name="cuda", ort_name=AZURE.ort_name, library="providers_cuda"))


def test_a_plugin_that_is_missing(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorrt_rtx", raising=False)
    with pytest.raises(
        LibraryError, match=r"onnxruntime_ep_nv_tensorrt_rtx cannot be imported \(No module.*pip install 'onnxruntime-ep-nv"
    ):
        check_provider(RTX, importer=importer_of())


def test_a_plugin_on_a_host_without_a_gpu(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorrt_rtx", raising=False)
    monkeypatch.setattr(providers, "gpus_of_driver", lambda: gpus_of_driver(library="libcuda-of-no-host.so"))
    with pytest.raises(NoDeviceError, match="no NVIDIA GPU on this host"):
        check_provider(RTX, importer=plugin("/nowhere.so"))


def test_a_plugin_whose_library_cannot_be_registered(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "tensorrt_rtx", raising=False)
    monkeypatch.setattr(providers, "gpus_of_driver", lambda: (L4,))
    with pytest.raises(LibraryError, match=r"plugin\.so cannot be registered with ONNX Runtime \(.*Failed to load library"):
        check_provider(RTX, importer=plugin(tmp_path / "plugin.so"))


def test_a_plugin_is_registered_once_and_must_find_a_gpu(monkeypatch):
    registered, devices = [], []
    monkeypatch.delitem(sys.modules, "tensorrt_rtx", raising=False)
    monkeypatch.setattr(providers, "gpus_of_driver", lambda: (L4,))
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: devices)
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", lambda *words: registered.append(words))
    with pytest.raises(NoDeviceError, match="finds no GPU that it can use here; it needs compute capability 8.0 or newer"):
        check_provider(RTX, importer=plugin("/plugin.so"))
    devices.append(SimpleNamespace(ep_name=RTX.ort_name))
    check_provider(RTX, importer=plugin("/plugin.so"))
    assert registered == [(RTX.ort_name, "/plugin.so")]


def test_a_plugin_that_the_application_registered(monkeypatch):
    def refuse(*words):
        raise RuntimeError("library is already registered")

    monkeypatch.delitem(sys.modules, "tensorrt_rtx", raising=False)
    monkeypatch.setattr(providers, "gpus_of_driver", lambda: (L4,))
    monkeypatch.setattr(onnxruntime, "get_ep_devices", list)
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", refuse)
    with pytest.raises(NoDeviceError, match="finds no GPU"):
        check_provider(RTX, importer=plugin("/plugin.so"))


def test_a_plugin_next_to_its_own_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", SimpleNamespace())
    with pytest.raises(SessionError, match="this process has imported tensorrt_rtx. Open the bundle in another process"):
        check_provider(RTX, importer=plugin("/plugin.so"))


def test_its_own_library_next_to_a_plugin(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorrt_rtx", raising=False)
    monkeypatch.setattr(providers, "gpus_of_driver", lambda: (L4,))
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: [SimpleNamespace(ep_name=RTX.ort_name)])
    importer = importer_of(tensorrt=SimpleNamespace(), tensorrt_rtx=SimpleNamespace(__version__="1.7"))
    assert imported(importer, "tensorrt_rtx", "tensorrt_rtx").__version__ == "1.7"
    check_provider(RTX, importer=plugin("/plugin.so"))
    refusal = f"tensorrt_rtx cannot be imported, because this process has registered {RTX.ort_name}, which has a TensorRT-RTX of"
    with pytest.raises(SessionError, match=rf"^{refusal} its own\. Open or build the engine in another process$"):
        imported(importer, "tensorrt_rtx", "tensorrt_rtx")
    imported(importer, "tensorrt", "tensorrt")


def test_a_plugin_in_an_old_onnx_runtime(monkeypatch):
    monkeypatch.delattr(onnxruntime, "register_execution_provider_library")
    with pytest.raises(LibraryError, match="takes no plugins, but nv-tensorrt-rtx is one. Run pip install -U onnxruntime"):
        check_provider(RTX, importer=plugin("/plugin.so"))


def test_the_devices_of_a_plugin_go_to_onnx_runtime(whole_bundle, monkeypatch):
    """The device of the CPU stands in for a GPU, so that ONNX Runtime opens the graph."""
    plugged = Provider(name="cuda", ort_name="CPUExecutionProvider", plugin="any")
    monkeypatch.setitem(providers.PROVIDERS, "cuda", plugged)
    monkeypatch.setattr(ort_session, "check_provider", lambda provider: None)
    with load(whole_bundle, provider="cuda", allow_partial=True) as pipeline:
        assert pipeline.session.notes == ()
        assert pipeline("the fox") == load(whole_bundle)("the fox")


def test_the_number_of_a_gpu_goes_to_onnx_runtime(whole_bundle, azure, monkeypatch):
    asked = []
    real = onnxruntime.InferenceSession

    def session(model, options, *, providers, **rest):
        asked.append(providers)
        return real(model, options, providers=[name for name, _ in providers], **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    load(whole_bundle, provider="cuda", device=1, allow_partial=True)
    assert asked == [[(AZURE.ort_name, {"device_id": "1"})]]


def test_a_plugin_without_a_gpu_of_that_number(whole_bundle, monkeypatch):
    plugged = Provider(name="cuda", ort_name="CPUExecutionProvider", plugin="any")
    monkeypatch.setitem(providers.PROVIDERS, "cuda", plugged)
    monkeypatch.setattr(ort_session, "check_provider", lambda provider: None)
    with pytest.raises(OptionError, match="device: expected 0 to 0, found 1"):
        load(whole_bundle, provider="cuda", device=1, allow_partial=True)


def plugin(library):
    return importer_of(onnxruntime_ep_nv_tensorrt_rtx=SimpleNamespace(get_library_path=lambda: str(library)))


# ---- GPUs, and the list of devices


def test_gpus_as_the_driver_lists_them(tmp_path):
    assert gpus_of_driver(library=str(driver_library(tmp_path))) == (L4,)


@pytest.mark.parametrize(("gpus", "reason"), [(0, "its driver shows no GPU to this process"), (-1, "cuDeviceGetCount: error 100")])
def test_a_driver_without_a_gpu(gpus, reason, tmp_path):
    with pytest.raises(NoDeviceError, match=rf"no NVIDIA GPU on this host \({reason}"):
        gpus_of_driver(library=str(driver_library(tmp_path, gpus=gpus)))


def test_a_library_that_is_not_the_driver():
    with pytest.raises(NoDeviceError, match="undefined symbol: cuInit"):
        gpus_of_driver(library="libc.so.6")


def test_devices_of_a_host_that_has_everything():
    trt, rtx, openvino = (SimpleNamespace(__version__=version) for version in ("10.13", "1.7", "2026.4"))
    importer = importer_of(tensorrt=trt, tensorrt_rtx=rtx, openvino=openvino)
    found = list(devices_of_host(check=lambda provider: None, gpus=lambda: (L4, L4), importer=importer))
    assert all(device.usable for device in found)
    assert [(device.kind, device.name) for device in found] == [
        *(("provider", name) for name in PROVIDERS),
        *[("gpu", "NVIDIA L4")] * 2,
        *(("engine", name) for name in ("openvino", "tensorrt", "tensorrt-rtx")),
    ]
    assert {found[4].detail, found[6].detail} == {"compute capability 8.9, driver for CUDA 13.0", "openvino 2026.4"}


def test_a_library_that_a_plugin_has_loaded_is_only_looked_up(monkeypatch):
    copies.add_plugin(RTX.ort_name)
    monkeypatch.setattr(metadata, "version", lambda name: "1.7")
    found = {d.name: d for d in devices_of_host(check=lambda p: None, gpus=lambda: (L4,), importer=importer_of())}
    assert (found["tensorrt-rtx"].usable, found["tensorrt-rtx"].detail) == (True, "tensorrt_rtx 1.7, installed")
    assert "tensorrt cannot be imported" in found["tensorrt"].detail

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    found = {d.name: d for d in devices_of_host(check=lambda p: None, gpus=lambda: (L4,), importer=importer_of())}
    assert found["tensorrt-rtx"].detail.startswith("tensorrt_rtx is not installed; ")


# ---- fnet-run


def test_fnet_run_lists_devices():
    rows = [line.split("\t") for line in run("--devices").stdout.splitlines()]
    assert [row[:3] for row in rows[:2]] == [["provider", "cpu", "yes"], ["provider", "cuda", "no"]]
    values = [json.loads(line) for line in run("--devices", "--json").stdout.splitlines()]
    same = [[v["kind"], v["name"], v["detail"]] == [row[0], row[1], row[3]] for v, row in zip(values, rows, strict=True)]
    assert same.count(False) <= 1  # the first list may have imported tensorrt_rtx, which shuts out the plugin
    assert {v["usable"] for v in values} == {True, False}
    for arguments in (["bundle"], ["--text", "a"], ["--self-test"]):
        assert run("--devices", *arguments).exit_code == 2
    assert "Missing argument 'BUNDLE'" in run("--text", "a").stderr


def test_fnet_run_says_what_it_needs(whole_bundle):
    shown = run(whole_bundle, "--text", "a", "--provider", "cuda")
    assert shown.exit_code == 4
    assert "has no CUDAExecutionProvider in this build" in shown.stderr


def test_fnet_run_notes_nodes_on_the_cpu(whole_bundle, azure, monkeypatch):
    words = [whole_bundle, "--text", "the fox", "--provider", "cuda"]
    assert run(*words).exit_code == 4
    shown = run(*words, "--allow-partial")
    assert (shown.exit_code, shown.stdout) == (0, run(whole_bundle, "--text", "the fox").stdout)
    assert shown.stderr.startswith("note: AzureExecutionProvider did not take 64 of 64 nodes: ")
    assert run(*words, "--allow-partial", "--quiet").stderr == ""
    monkeypatch.setattr(providers, "_load", lambda provider, importer: None)
    monkeypatch.setattr(providers, "gpus_of_driver", lambda: gpus_of_driver(library="libcuda-of-no-host.so"))
    without_gpu = Provider(name="cuda", ort_name=AZURE.ort_name, library="providers_cuda")
    monkeypatch.setitem(providers.PROVIDERS, "cuda", without_gpu)
    assert run(*words).stderr.endswith(". --runtime onnxruntime without --provider runs model.onnx on the CPU\n")
