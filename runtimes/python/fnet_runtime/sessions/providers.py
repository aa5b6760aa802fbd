"""ONNX Runtime's execution providers that open a bundle: one table, and why this host cannot use one."""

import contextlib
import ctypes
import importlib
import io
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import onnxruntime

from fnet_runtime.bundle.manifest import BF16, FP16, INT8
from fnet_runtime.engine.copies import add_plugin, check_no_package
from fnet_runtime.engine.cuda import Importer
from fnet_runtime.engine.driver import gpus_of_driver
from fnet_runtime.errors import LibraryError, NoDeviceError, OptionError
from fnet_runtime.install import install_line

CPU = "cpu"
NAMES_SHOWN = 3
"""Nodes that a sentence names."""
GPU_LINE = "pip install 'onnxruntime-gpu[cuda,cudnn]'"
"""It is not in `install.PACKAGES`, because it takes the place of a package that every installation has."""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """An execution provider: its name, and its name in ONNX Runtime.

    `library` is the file of a provider that ONNX Runtime opens next to its own. `plugin` is the module of a provider that comes as
    a package of its own. `options` go to the provider, and those of `by_precision` as well if the bundle has that precision.
    """

    name: str
    ort_name: str
    library: str = ""
    plugin: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    by_precision: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def options_of(self, precision: str) -> dict[str, str]:
        """Return the options for a bundle of a precision."""
        return {**self.options, **self.by_precision.get(precision, {})}


_ALL = (
    Provider(name=CPU, ort_name="CPUExecutionProvider"),
    Provider(
        name="cuda",
        ort_name="CUDAExecutionProvider",
        library="providers_cuda",
        options={"use_tf32": "0"},  # the precision is in the graph: float32 products keep all bits of their factors
    ),
    Provider(
        name="tensorrt",
        ort_name="TensorrtExecutionProvider",
        library="providers_tensorrt",
        # its networks are weakly typed, so TensorRT refuses a type in the graph that it is not allowed to use
        by_precision={FP16: {"trt_fp16_enable": "1"}, BF16: {"trt_bf16_enable": "1"}, INT8: {"trt_int8_enable": "1"}},
    ),
    Provider(name="nv-tensorrt-rtx", ort_name="NvTensorRTRTXExecutionProvider", plugin="onnxruntime_ep_nv_tensorrt_rtx"),
)
PROVIDERS: Mapping[str, Provider] = {provider.name: provider for provider in _ALL}


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of the graph as it runs."""

    name: str
    operator: str


def provider_from_name(name: str) -> Provider:
    """Return the provider of a name of PROVIDERS. Raises OptionError."""
    if name not in PROVIDERS:
        raise OptionError(f"unknown provider {name!r}; expected one of {', '.join(PROVIDERS)}")
    return PROVIDERS[name]


def check_provider(provider: Provider, *, importer: Importer = importlib.import_module) -> None:
    """Load what a provider needs. A provider that is a plugin is registered with ONNX Runtime.

    Raises LibraryError when ONNX Runtime or this host lacks the provider's library, and NoDeviceError when there is no GPU. Raises
    SessionError when the provider cannot be registered in this process.
    """
    if provider.plugin:
        _check_plugin(provider, importer)
        return
    available = onnxruntime.get_available_providers()
    if provider.ort_name not in available:
        raise LibraryError(
            f"ONNX Runtime {onnxruntime.__version__} has no {provider.ort_name} in this build; it has {', '.join(available)}. "
            f"Run pip uninstall onnxruntime, and then {GPU_LINE}"
        )
    if provider.library:
        _load(provider, importer)
        gpus_of_driver()


def ep_devices(provider: Provider) -> list[Any]:
    """Return the devices that ONNX Runtime found for a registered provider."""
    return [device for device in onnxruntime.get_ep_devices() if device.ep_name == provider.ort_name]


def _load(provider: Provider, importer: Importer) -> None:
    """Load the library of a provider, as ONNX Runtime will. ONNX Runtime itself only logs why it cannot, and takes the CPU.

    Raises LibraryError.
    """
    printed = io.StringIO()
    if hasattr(onnxruntime, "preload_dlls"):  # finds the libraries of CUDA's own packages, and prints what it does not find
        with contextlib.redirect_stdout(printed):
            onnxruntime.preload_dlls()
    if "tensorrt" in provider.library:
        with contextlib.suppress(ImportError, OSError):  # the package's own import loads its libraries, which no search path has
            importer("tensorrt_libs")
    folder = Path(onnxruntime.__file__).parent / "capi"
    start, end = ("", ".dll") if sys.platform == "win32" else ("lib", ".so")
    try:
        for name, mode in (("providers_shared", ctypes.RTLD_GLOBAL), (provider.library, ctypes.DEFAULT_MODE)):
            ctypes.CDLL(str(folder / f"{start}onnxruntime_{name}{end}"), mode=mode)
    except OSError as error:
        of_tensorrt = ", and install TensorRT 10" if "tensorrt" in provider.library else ""
        raise LibraryError(f"{provider.ort_name} cannot be loaded ({error}). Run {GPU_LINE}{of_tensorrt}") from error


_REGISTERING = Lock()


def _check_plugin(provider: Provider, importer: Importer) -> None:
    """Register the library of a plugin once in this process."""
    if not hasattr(onnxruntime, "register_execution_provider_library"):
        raise LibraryError(
            f"ONNX Runtime {onnxruntime.__version__} takes no plugins, but {provider.name} is one. Run pip install -U onnxruntime"
        )
    check_no_package(provider.ort_name)
    try:
        plugin: Any = importer(provider.plugin)
        library = plugin.get_library_path()
    except (ImportError, OSError) as error:
        line = install_line(provider.name.replace("-", "_"))
        raise LibraryError(f"{provider.plugin} cannot be imported ({error}); {line}") from error
    gpus_of_driver()
    with _REGISTERING:
        if not ep_devices(provider):
            try:
                onnxruntime.register_execution_provider_library(provider.ort_name, library)
            except Exception as error:  # onnxruntime's exceptions have no common base
                if "already registered" not in str(error):
                    raise LibraryError(f"{library} cannot be registered with ONNX Runtime ({error})") from error
    add_plugin(provider.ort_name)
    if not ep_devices(provider):
        raise NoDeviceError(f"{provider.ort_name} finds no GPU that it can use here; it needs compute capability 8.0 or newer")


def nodes_from_session(session: Any) -> list[tuple[str, Node]] | None:
    """Return each node of an opened graph with ONNX Runtime's name of its provider; None where ONNX Runtime cannot list them."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return None
    return [
        (part.ep_name, Node(name=node.name, operator=node.op_type))
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]


def not_taken_in_words(provider: Provider, nodes: Sequence[tuple[str, Node]] | None) -> str:
    """Say which nodes a provider did not take; an empty sentence if it took all of them."""
    if nodes is None:
        return f"{provider.ort_name} did not take every node, and ONNX Runtime {onnxruntime.__version__} cannot list the others"
    left = [node for name, node in nodes if name != provider.ort_name]
    if not left:
        return ""
    counts = sorted(Counter(node.operator for node in left).items(), key=lambda kind: (-kind[1], kind[0]))
    kinds = ", ".join(f"{count} {operator}" for operator, count in counts)
    names = ", ".join(node.name or "(no name)" for node in left[:NAMES_SHOWN])
    return f"{provider.ort_name} did not take {len(left)} of {len(nodes)} nodes: {kinds} (such as {names})"
