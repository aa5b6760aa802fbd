"""Providers of ONNX Runtime in C++, and a plugin in both runtimes: stand-ins for NVIDIA's driver and for its plugin run no node."""

import json
import os
import subprocess
import sys

import pytest
from fnet_runtime.sessions.providers import PROVIDERS
from support.cuda_driver import driver_library
from support.paths import ROOT
from support.plugin_provider import plugin_library

RTX = "nv-tensorrt-rtx"
LEFT = "NvTensorRTRTXExecutionProvider did not take 64 of 64 nodes: 15 Add, 11 MatMul, "
REFUSED = "Let the CPU run them with --allow-partial"


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """A folder with the driver's library and the plugin's, and a package that brings the plugin to Python."""
    folder = tmp_path_factory.mktemp("stand-ins")
    driver_library(folder)
    plugin = plugin_library(folder)
    package = folder / PROVIDERS[RTX].plugin
    package.mkdir()
    (package / "__init__.py").write_text(f"def get_library_path():\n    return {str(plugin)!r}\n")
    return folder


def ran(built, *words, **environment):
    command = [built.folder / "fnet-run", *map(str, words)]
    return subprocess.run(command, env=built.environment | environment, capture_output=True, text=True)


def with_gpu(folder):
    return {"LD_LIBRARY_PATH": str(folder), "FNET_NV_TENSORRT_RTX": str(folder / "plugin.so")}


def ran_in_python(folder, *words):
    paths = [str(folder), str(ROOT / "runtimes" / "python")]
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "fnet_runtime", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


# ---- what is refused


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--provider", "cuda"], 4, "has no CUDAExecutionProvider in this build; it has "),
        (["--provider", "tensorrt"], 4, "Name the library of onnxruntime-gpu in FNET_ONNXRUNTIME"),
        (["--provider", RTX], 4, "no NVIDIA GPU on this host (libcuda.so.1: "),
        (["--provider", RTX], 4, "). Use --runtime onnxruntime without --provider to run model.onnx on the CPU"),
        (["--provider", "gpu"], 2, "gpu not in {cpu,cuda,tensorrt,nv-tensorrt-rtx}"),
        (["--provider", "cuda", "--runtime", "tensorrt"], 1, "provider: cuda belongs to ONNX Runtime, and the runtime is tensorrt"),
        (["--allow-partial"], 1, "allow_partial: is for a provider of a GPU, and the provider is cpu"),
        (["--device", "1"], 1, "device: is the number of a GPU; BUNDLE opens with onnxruntime on the CPU. Leave it out"),
        (["--contexts", "3"], 1, "contexts: is for engines of TensorRT; BUNDLE opens with onnxruntime. Leave it out"),
        (["--cuda-graph"], 1, "cuda_graph: is for engines of TensorRT; BUNDLE opens with onnxruntime. Leave it out"),
    ],
)
def test_what_is_refused(built, whole_bundle, words, code, message):
    done = ran(built, whole_bundle, "--text", "a", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message.replace("BUNDLE", str(whole_bundle)) in done.stderr


@pytest.mark.parametrize(
    "words", [["--devices", "bundle"], ["--devices", "--text", "a"], ["--text", "a"], ["--devices", "--self-test"]]
)
def test_devices_run_alone(built, words):
    done = ran(built, *words)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_plugin_that_is_missing(built, whole_bundle, stand_ins):
    environment = with_gpu(stand_ins) | {"FNET_NV_TENSORRT_RTX": "/no/plugin.so"}
    done = ran(built, whole_bundle, "--text", "a", "--provider", RTX, **environment)
    assert done.returncode == 4
    assert "NvTensorRTRTXExecutionProvider's library cannot be opened (/no/plugin.so: " in done.stderr
    environment["FNET_NV_TENSORRT_RTX"] = "libm.so.6"
    done = ran(built, whole_bundle, "--text", "a", "--provider", RTX, **environment)
    assert done.returncode == 4
    assert "NvTensorRTRTXExecutionProvider cannot be loaded by ONNX Runtime" in done.stderr


# ---- a plugin that takes no node


def test_nodes_that_a_plugin_does_not_take(built, whole_bundle, stand_ins):
    words = [whole_bundle, "--text", "the fox", "--provider", RTX]
    done = ran(built, *words, **with_gpu(stand_ins))
    assert (done.returncode, done.stdout) == (4, "")
    assert LEFT in done.stderr
    assert REFUSED in done.stderr
    allowed = ran(built, *words, "--allow-partial", **with_gpu(stand_ins))
    assert (allowed.returncode, allowed.stdout) == (0, ran(built, whole_bundle, "--text", "the fox").stdout)
    assert allowed.stderr.startswith(f"note: {LEFT}")
    assert allowed.stderr.endswith("). The CPU runs them\n")
    assert ran(built, *words, "--allow-partial", "--quiet", **with_gpu(stand_ins)).stderr == ""
    done = ran(built, *words, "--device", "1", **with_gpu(stand_ins))
    assert (done.returncode, done.stderr) == (1, "error: device: expected 0 to 0, found 1\n")


def test_nodes_that_a_plugin_does_not_take_in_python(whole_bundle, stand_ins):
    words = [whole_bundle, "--text", "the fox", "--provider", RTX]
    done = ran_in_python(stand_ins, *words)
    assert (done.returncode, done.stdout) == (4, "")
    assert LEFT in done.stderr
    assert REFUSED in done.stderr
    done = ran_in_python(stand_ins, *words, "--device", "1", "--allow-partial")
    assert (done.returncode, done.stderr) == (1, "error: device: expected 0 to 0, found 1\n")
    allowed = ran_in_python(stand_ins, *words, "--allow-partial")
    assert (allowed.returncode, allowed.stdout) == (0, ran_in_python(stand_ins, whole_bundle, "--text", "the fox").stdout)
    assert allowed.stderr.startswith(f"note: {LEFT}")


# ---- devices


def test_devices_are_those_of_python(built, stand_ins):
    found = [json.loads(line) for line in ran(built, "--devices", "--json", **with_gpu(stand_ins)).stdout.splitlines()]
    in_python = [json.loads(line) for line in ran_in_python(stand_ins, "--devices", "--json").stdout.splitlines()]
    assert [list(device) for device in found] == [["kind", "name", "usable", "detail"]] * len(found)
    names = [(device["kind"], device["name"]) for device in in_python]
    assert [(device["kind"], device["name"]) for device in found] == [name for name in names if name[1] != "openvino"]
    assert [d for d in found if d["kind"] == "gpu"] == [d for d in in_python if d["kind"] == "gpu"]
    for devices in (found, in_python):
        usable = {device["name"]: device["usable"] for device in devices}
        assert [usable[name] for name in ("cpu", "cuda", RTX, "NVIDIA L4")] == [True, False, True, True]


def test_devices_of_a_host_without_a_gpu(built):
    rows = [line.split("\t") for line in ran(built, "--devices").stdout.splitlines()]
    assert rows[0][:3] == ["provider", "cpu", "yes"]
    assert next(row[3] for row in rows if row[:3] == ["gpu", "NVIDIA", "no"]).startswith(
        "no NVIDIA GPU on this host (libcuda.so.1: "
    )
    missing = ran(built, "--devices", FNET_ONNXRUNTIME="/no/libonnxruntime.so").stdout.splitlines()[0]
    assert missing.startswith("provider\tcpu\tno\tONNX Runtime's library cannot be opened (/no/libonnxruntime.so")
