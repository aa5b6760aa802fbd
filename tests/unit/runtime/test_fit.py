"""Whether an engine fits a host, from the manifest and before any library reads the engine."""

from dataclasses import replace
from pathlib import Path

import pytest
from fnet_runtime.bundle.manifest import EngineBuild, EngineInfo
from fnet_runtime.engine.cuda import Cuda, Gpu, gpu_of_host
from fnet_runtime.engine.fit import check_fits
from fnet_runtime.errors import LibraryError, NoDeviceError, SessionError

L4 = Gpu(name="NVIDIA L4", compute_capability="8.9", driver="13.0")
L40S = replace(L4, name="NVIDIA L40S")
H100 = Gpu(name="NVIDIA H100", compute_capability="9.0", driver="13.0")
T4 = Gpu(name="Tesla T4", compute_capability="7.5", driver="13.0")
VERSION = "10.13.0.35"


def info(**build):
    return EngineInfo(
        file="model.engine",
        library="tensorrt",
        version=VERSION,
        compute_capabilities=("8.9",),
        profiles=(),
        build=EngineBuild(gpu="NVIDIA L4", **build),
    )


RTX = replace(info(), library="tensorrt_rtx", version="1.7.1.116", compute_capabilities=("8.6", "8.9"), build=EngineBuild())


@pytest.mark.parametrize(
    ("engine", "gpu", "version"),
    [
        (info(), L4, VERSION),
        (info(), L4, "10.13.0.35.post1"),
        (info(hardware_compatibility="same-compute-capability"), L40S, VERSION),
        (info(hardware_compatibility="ampere-plus"), H100, VERSION),
        (info(version_compatible=True), L4, "10.16.1.11"),
        (info(version_compatible=True), L4, "11.4.0.106"),
        (replace(info(), build=None, compute_capabilities=()), H100, VERSION),
        (RTX, L40S, "1.7.1.116"),
        (replace(RTX, version="1.7"), L4, "1.7.1.116"),
    ],
)
def test_engines_that_fit(engine, gpu, version):
    check_fits(Path("model.engine"), engine, gpu=gpu, version=version)


@pytest.mark.parametrize(
    ("engine", "gpu", "version", "error", "message"),
    [
        (info(), H100, VERSION, NoDeviceError, "expected a GPU of compute capability 8.9, found 9.0 (NVIDIA H100)"),
        (info(), L40S, VERSION, NoDeviceError, "expected the GPU NVIDIA L4, found NVIDIA L40S"),
        (info(), L4, "10.13.2.6", SessionError, "expected tensorrt 10.13.0.35, found 10.13.2.6"),
        (
            info(),
            H100,
            "11.4.0.106",
            NoDeviceError,
            "expected a GPU of compute capability 8.9, found 9.0 (NVIDIA H100) and expected tensorrt 10.13.0.35, found 11.4.0.106",
        ),
        (
            info(hardware_compatibility="ampere-plus"),
            T4,
            VERSION,
            NoDeviceError,
            "expected a GPU of compute capability 8.0 or newer, found 7.5 (Tesla T4)",
        ),
        (
            info(version_compatible=True),
            L4,
            "10.12.0.36",
            SessionError,
            "expected tensorrt 10.13.0.35 or newer, up to 11, found 10.12.0.36",
        ),
        (
            info(version_compatible=True),
            L4,
            "12.0.0.1",
            SessionError,
            "expected tensorrt 10.13.0.35 or newer, up to 11, found 12.0.0.1",
        ),
        (RTX, H100, "1.7.1.116", NoDeviceError, "expected a GPU of compute capability 8.6 or 8.9, found 9.0 (NVIDIA H100)"),
        (RTX, L4, "1.8.0.1", SessionError, "expected tensorrt_rtx 1.7.1.116, found 1.8.0.1"),
    ],
)
def test_what_differs_is_one_sentence_and_the_next_says_what_to_do(engine, gpu, version, error, message):
    with pytest.raises(SessionError) as failure:
        check_fits(Path("model.engine"), engine, gpu=gpu, version=version)
    assert type(failure.value) is error
    what, _, to_do = str(failure.value).partition(". ")
    assert what.startswith("model.engine: ")
    assert str(failure.value).startswith(f"model.engine: {message}. ")
    assert "open model.onnx with the runtime onnxruntime" in to_do or "open model.onnx" in what + to_do


def test_the_gpu_of_a_host():
    class Bindings:
        class cudaDeviceAttr:
            cudaDevAttrComputeCapabilityMajor, cudaDevAttrComputeCapabilityMinor = 75, 76

        def cudaGetDeviceCount(self):
            return 0, 1

        def cudaGetDevice(self):
            return 0, 0

        def cudaDeviceGetAttribute(self, attribute, device):
            return 0, {75: 8, 76: 7}[attribute]

        def cudaGetDeviceProperties(self, device):
            return 0, type("Properties", (), {"name": b"Orin\0\0"})

        def cudaDriverGetVersion(self):
            return 0, 12060

    orin = Gpu(name="Orin", compute_capability="8.7", driver="12.6")
    assert Cuda(Bindings()).gpu(0) == orin
    assert gpu_of_host("tensorrt", importer=lambda _: Bindings()) == orin

    def importer(name):
        raise ImportError(name)

    with pytest.raises(LibraryError, match="pip install 'tensorrt>="):
        gpu_of_host("tensorrt", importer=importer)


def test_the_real_bindings_have_the_calls():
    from cuda.bindings import runtime

    assert callable(runtime.cudaGetDeviceProperties)
    assert callable(runtime.cudaDriverGetVersion)
    assert hasattr(runtime.cudaDeviceProp, "name")
