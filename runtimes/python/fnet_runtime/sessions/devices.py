"""What this host can run bundles with: providers of ONNX Runtime, GPUs, and the libraries of engines."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

import onnxruntime

from fnet_runtime.bundle.manifest import ENGINE as ENGINE_FILE
from fnet_runtime.engine.copies import has_plugin
from fnet_runtime.engine.cuda import Gpu, Importer, imported
from fnet_runtime.engine.driver import gpus_of_driver
from fnet_runtime.engine.products import RTX
from fnet_runtime.errors import LibraryError, NoDeviceError, SessionError
from fnet_runtime.install import install_line
from fnet_runtime.sessions.providers import PROVIDERS, Provider, check_provider
from fnet_runtime.sessions.runtimes import ONNXRUNTIME, RUNTIMES

PROVIDER, GPU, ENGINE = "provider", "gpu", "engine"


@dataclass(frozen=True, kw_only=True)
class Device:
    """A provider, a GPU or the library of an engine. `detail` describes it, or says why this host lacks it."""

    kind: str
    name: str
    usable: bool
    detail: str


def devices_of_host(
    *,
    check: Callable[[Provider], None] = check_provider,
    gpus: Callable[[], tuple[Gpu, ...]] = gpus_of_driver,
    importer: Importer = importlib.import_module,
) -> Iterator[Device]:
    """List the providers, the GPUs and the libraries of engines, those that this host lacks as well. No engine is opened."""
    for provider in PROVIDERS.values():
        try:
            check(provider)
            yield Device(kind=PROVIDER, name=provider.name, usable=True, detail=f"ONNX Runtime {onnxruntime.__version__}")
        except SessionError as error:
            yield Device(kind=PROVIDER, name=provider.name, usable=False, detail=str(error))
    try:
        for gpu in gpus():
            detail = f"compute capability {gpu.compute_capability}, driver for CUDA {gpu.driver}"
            yield Device(kind=GPU, name=gpu.name, usable=True, detail=detail)
        no_gpu = ""
    except NoDeviceError as error:
        no_gpu = str(error)
        yield Device(kind=GPU, name="NVIDIA", usable=False, detail=no_gpu)
    for runtime in RUNTIMES.values():
        if runtime.name == ONNXRUNTIME:
            continue
        try:
            detail = _version(runtime.library, importer)
            if runtime.file == ENGINE_FILE and no_gpu:
                yield Device(kind=ENGINE, name=runtime.name, usable=False, detail=f"{detail}; {no_gpu}")
            else:
                yield Device(kind=ENGINE, name=runtime.name, usable=True, detail=detail)
        except SessionError as error:
            yield Device(kind=ENGINE, name=runtime.name, usable=False, detail=str(error))


def _version(library: str, importer: Importer) -> str:
    """Import a library, and return its name and version. Raises LibraryError.

    A process with the TensorRT-RTX of a plugin cannot import tensorrt_rtx, so that package is only looked up.
    """
    if library == RTX and has_plugin():
        try:
            return f"{library} {metadata.version(library)}, installed"
        except metadata.PackageNotFoundError as error:
            raise LibraryError(f"{library} is not installed; {install_line(library)}") from error
    return f"{library} {imported(importer, library, library).__version__}"
