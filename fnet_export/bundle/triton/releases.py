"""Which release of the Triton Inference Server fits an engine, and what its Python needs: notes for the user."""

from collections.abc import Iterator, Mapping

from fnet_runtime.bundle.manifest import FP32, EngineInfo, Manifest
from fnet_runtime.install import PACKAGES
from fnet_runtime.sessions.runtimes import ONNXRUNTIME, RUNTIMES

from fnet_export.bundle.triton.options import ENSEMBLE

RELEASES: Mapping[str, str] = {"10.13.3": "25.10", "10.14.1": "25.12"}
"""By the first three numbers of TensorRT's version, a release of NVIDIA's containers that has this version."""
CONTAINER = "nvcr.io/nvidia/tritonserver"
MATRIX = "https://docs.nvidia.com/deeplearning/frameworks/support-matrix/index.html"


def notes_of_form(form: str, manifest: Manifest, runtime: str) -> Iterator[str]:
    """Say what the server and its Python need to run a bundle with a runtime."""
    if form == ENSEMBLE:
        if manifest.engine is not None and runtime == "tensorrt":
            yield server_of_engine(manifest.engine)
        if runtime == "openvino" and manifest.precision == FP32:
            yield "on processors that have bf16, Triton's OpenVINO backend may compute in bf16, and parity does not hold there"
        yield f"the server needs its backends python and {runtime}, and its Python needs fnet-runtime"
        return
    library = RUNTIMES[runtime].library
    packages = ["fnet-runtime", *(package for package in PACKAGES.get(library, ()) if runtime != ONNXRUNTIME)]
    if manifest.engine is not None and runtime != ONNXRUNTIME and library != "openvino":
        yield f"the engine needs exactly {library} {manifest.engine.version} and a GPU in the server"
    yield f"the server's Python needs {', '.join(packages)}"


def server_of_engine(engine: EngineInfo) -> str:
    """Say which release of the server has the TensorRT that built an engine."""
    release = RELEASES.get(".".join(engine.version.split(".")[:3]))
    image = f"the release of {CONTAINER} that has this version" if release is None else f"{CONTAINER}:{release}-py3"
    return f"TensorRT {engine.version} built the engine; run {image} ({MATRIX} lists the versions)"
