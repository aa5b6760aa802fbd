"""Whether an engine fits this host, by its manifest: what TensorRT would say late, or not in words that help."""

import re
from pathlib import Path

from fnet_runtime.bundle.manifest import AMPERE_PLUS, NO_COMPATIBILITY, EngineBuild, EngineInfo
from fnet_runtime.engine.cuda import Gpu
from fnet_runtime.engine.products import TENSORRT
from fnet_runtime.errors import NoDeviceError, SessionError

AMPERE = (8, 0)
OPENS_OLDER = {10: 11}
"""The next major version of TensorRT that opens a version-compatible engine of a major version."""
WAY_OUT = "Build the engine for this host with fnet-run --rebuild, or open model.onnx with the runtime onnxruntime"


def check_fits(engine: Path, info: EngineInfo, *, gpu: Gpu, version: str) -> None:
    """Compare what an engine needs with a GPU and with the version of the library.

    Raises NoDeviceError for another GPU, and SessionError for another version of the library.
    """
    of_gpu, of_version = _gpu_differs(info, gpu), _version_differs(info, version)
    differences = " and ".join(difference for difference in (of_gpu, of_version) if difference)
    if differences:
        raise (NoDeviceError if of_gpu else SessionError)(f"{engine}: {differences}. {WAY_OUT}")


def _gpu_differs(info: EngineInfo, gpu: Gpu) -> str:
    """Say which GPU is expected and which is found; nothing if the engine runs on this GPU."""
    build = info.build or EngineBuild()
    runs_anywhere = build.hardware_compatibility == AMPERE_PLUS and numbers_of_version(gpu.compute_capability) >= AMPERE
    if info.compute_capabilities and gpu.compute_capability not in info.compute_capabilities and not runs_anywhere:
        newer = " or newer" if build.hardware_compatibility == AMPERE_PLUS else ""
        capabilities = "8.0" if newer else " or ".join(info.compute_capabilities)
        return f"expected a GPU of compute capability {capabilities}{newer}, found {gpu.compute_capability} ({gpu.name})"
    if build.gpu is not None and build.hardware_compatibility == NO_COMPATIBILITY and build.gpu != gpu.name:
        return f"expected the GPU {build.gpu}, found {gpu.name}"
    return ""


def _version_differs(info: EngineInfo, version: str) -> str:
    """Say which version is expected and which is found; nothing if this version opens the engine."""
    expected, found = numbers_of_version(info.version), numbers_of_version(version)
    shared = min(len(expected), len(found))
    if expected[:shared] == found[:shared]:
        return ""
    newer = ""
    if info.library == TENSORRT and info.build is not None and info.build.version_compatible:
        newest = OPENS_OLDER.get(expected[0], expected[0])
        if expected < found and found[0] <= newest:
            return ""
        newer = f" or newer, up to {newest}"
    return f"expected {info.library} {info.version}{newer}, found {version}"


def numbers_of_version(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: 10.13.3.9.post1 has four."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in match[0].split(".")) if match else ()
