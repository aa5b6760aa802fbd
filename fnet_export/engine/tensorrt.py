"""From an ONNX graph to a TensorRT engine, with the precisions of its products.

The builder is the runtime's (`fnet_runtime/engine`), which rebuilds engines on the GPU. `products.py` there has the table of what
differs between the libraries.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from fnet_runtime.bundle.manifest import (
    AMPERE_PLUS,
    BF16,
    ENGINE,
    FP8,
    FP16,
    FP32,
    INT8,
    LIBRARIES,
    AxisProfile,
    EngineInfo,
)
from fnet_runtime.engine.build import Built, OnProgress, engine_from_file
from fnet_runtime.engine.cuda import Gpu, gpu_of_host
from fnet_runtime.engine.logger import error_logger
from fnet_runtime.engine.options import BuildOptions
from fnet_runtime.engine.products import (
    LEAST_COMPUTE_CAPABILITIES,
    RTX_COMPUTE_CAPABILITIES,
    capable_of,
    check_options,
    compute_capabilities_of,
)
from fnet_runtime.errors import BuildError, SessionError
from fnet_runtime.errors import OptionError as RuntimeOptionError

from fnet_export.base.errors import EngineError, OptionError, PrecisionError, ProfileError
from fnet_export.engine.library import Importer, Library, library_from_name

DEFAULTS = BuildOptions()
TURING = "7.5"
"""TensorRT-RTX 1.7 refuses products in fp32, bf16 and fp8 there. A graph in int8 has products in fp32 too."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Hold a built engine: the builder's bytes, unchanged, and what a manifest records of them.

    `precisions` belong to the products in the network. `inspected` is the engine's description of its layers in JSON, or None if no
    GPU can open it.
    """

    data: bytes
    info: EngineInfo
    precisions: Mapping[str, str]
    inspected: str | None


def library_for_target(target: str, *, importer: Importer = importlib.import_module) -> Library:
    """Import the library of a target: `tensorrt`, which TensorRT-RTX may stand in for, or `tensorrt-rtx`.

    Raises EngineError, with the line to install, if the library is missing or too old for strongly typed networks.
    """
    reasons: list[str] = []
    for name in LIBRARIES[target]:
        try:
            library = library_from_name(name, importer=importer)
        except EngineError as error:
            reasons.append(str(error))
            continue
        if not hasattr(library.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
            raise EngineError(f"{name} {library.version}: has no strongly typed networks; expected TensorRT 10.12 or newer")
        if not reasons:
            return library
        reason = f"{reasons[0].split(';')[0]}: TensorRT-RTX {library.version} builds the engine in its place"
        return replace(library, substituted=reason)
    raise EngineError("; ".join(reasons))


def gpu_of_library(library: Library, *, importer: Importer = importlib.import_module) -> Gpu | None:
    """Describe the GPU that a build of TensorRT would use; None without a GPU, or if nothing can ask it."""
    try:
        return gpu_of_host(library.name, importer=importer)
    except SessionError:
        return None


def check_build_options(options: BuildOptions, library: Library, *, importer: Importer = importlib.import_module) -> None:
    """Raise OptionError for options that the library does not have, or cannot use on this host."""
    try:
        with _as_export_errors():
            check_options(options, library.module, library.name, gpu=gpu_of_library(library, importer=importer) is not None)
    except OptionError as error:
        if library.substituted is None:
            raise
        raise OptionError(f"{error}. Note: {library.substituted}") from error


def build_of_precision(
    options: BuildOptions, precision: str, library: Library, *, importer: Importer = importlib.import_module
) -> BuildOptions:
    """Return the options of a build, for those GPUs only that multiply in a precision.

    Raises OptionError where the options ask for other GPUs, and PrecisionError where the GPU of this host does not.
    """
    if TURING in options.compute_capabilities and precision != FP16:
        raise OptionError(
            f"--compute-capability {TURING}: TensorRT-RTX multiplies in fp16 only for these GPUs; found --precision {precision}. "
            "Leave the option out, or take --precision fp16"
        )
    least = LEAST_COMPUTE_CAPABILITIES.get(precision)
    if least is None:
        return options
    needed = f"{precision} needs a GPU of compute capability {least} or newer"
    if options.hardware_compatibility == AMPERE_PLUS:
        raise OptionError(f"--hardware-compatibility: {needed}; found {AMPERE_PLUS}, which has older GPUs. Leave the option out")
    if compute_capabilities_of(library.module):
        able = capable_of(precision, options.compute_capabilities or RTX_COMPUTE_CAPABILITIES)
        others = [capability for capability in options.compute_capabilities if capability not in able]
        if others:
            raise OptionError(f"--compute-capability: {needed}; found {', '.join(others)}. Leave it out, or take --precision int8")
        return replace(options, compute_capabilities=able)
    gpu = gpu_of_library(library, importer=importer)
    if gpu is not None and not capable_of(precision, [gpu.compute_capability]):
        found = f"{gpu.name} with {gpu.compute_capability}"
        raise PrecisionError(f"--precision {precision}: {needed}; found {found}. Take --precision int8, or another GPU")
    return options


def engine_from_graph(
    graph: Path,
    *,
    library: Library,
    profiles: Sequence[Mapping[str, AxisProfile]],
    build: BuildOptions = DEFAULTS,
    on_progress: OnProgress | None = None,
) -> Engine:
    """Build an engine from an ONNX file (with its external data next to it), with one or more optimisation profiles.

    Each profile has the ranges of all dynamic axes, by name. `on_progress` gets the steps that the library reports. Raises
    ProfileError before the build if a dynamic axis has no range, or a range has no axis. Raises OptionError for options that the
    library does not have, and EngineError with the library's own words if it refuses the graph.
    """
    header = onnx.load(graph, load_external_data=False)
    precisions: dict[str, str] = {}
    with _as_export_errors():
        built = engine_from_file(
            graph,
            trt=library.module,
            library=library.name,
            profiles=[profile_shapes(header, ranges) for ranges in profiles],
            options=build,
            gpu=gpu_of_library(library),
            on_network=lambda network: precisions.update(precisions_from_network(library.module, network)),
            on_progress=on_progress,
        )
    info = EngineInfo(
        file=ENGINE,
        library=library.name,
        version=built.version,
        compute_capabilities=built.compute_capabilities,
        profiles=tuple(dict(ranges) for ranges in profiles),
        build=built.build,
    )
    return Engine(data=built.data, info=info, precisions=precisions, inspected=_inspected(library.module, built))


@contextmanager
def _as_export_errors() -> Iterator[None]:
    """Raise the runtime's errors of a build as the exporter's, which have its exit codes."""
    try:
        yield
    except RuntimeOptionError as error:
        raise OptionError(str(error)) from error
    except BuildError as error:
        raise EngineError(str(error)) from error


def _inspected(trt: Any, built: Built) -> str | None:
    """Ask the engine itself, where it can be opened: on a GPU that it was built for."""
    runtime = trt.Runtime(error_logger(trt))
    if built.build.version_compatible:
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(built.data)
    return None if engine is None else str(engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON))


def precisions_from_network(trt: Any, network: Any) -> dict[str, str]:
    """Say in what precision each product of a strongly typed network runs, by the name of its ONNX node."""
    made: dict[str, Any] = {}
    precisions = {}
    for layer in (network.get_layer(i) for i in range(network.num_layers)):
        made |= {layer.get_output(i).name: layer for i in range(layer.num_outputs)}
        if layer.type == trt.LayerType.MATRIX_MULTIPLY:
            kinds = {_precision(trt, layer.get_input(i), made) for i in range(2)}
            precisions[layer.name] = kinds.pop() if len(kinds) == 1 else FP32
    return precisions


def _precision(trt: Any, tensor: Any, made: Mapping[str, Any]) -> str:
    """The eight bits that a tensor was dequantised from, perhaps reshaped since; else its own type."""
    layer = made.get(tensor.name)
    while layer is not None and layer.type == trt.LayerType.SHUFFLE:
        layer = made.get(layer.get_input(0).name)
    if layer is not None and layer.type == trt.LayerType.DEQUANTIZE:
        tensor = layer.get_input(0)
    return {trt.float16: FP16, trt.bfloat16: BF16, trt.int8: INT8, trt.fp8: FP8}.get(tensor.dtype, FP32)


def profile_shapes(graph: onnx.ModelProto, ranges: Mapping[str, AxisProfile]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Least, best and greatest shape of each input, from the graph's own axes and the ranges of the dynamic ones.

    Raises ProfileError when an axis has no range or a range names no axis: TensorRT accepts both and fails late.
    """
    axes = {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in graph.graph.input}
    dynamic = {axis for shape in axes.values() for axis in shape if isinstance(axis, str)}
    if dynamic != set(ranges):
        raise ProfileError(f"the graph's dynamic axes are {sorted(dynamic)}, ranges are given for {sorted(ranges)}")
    bounds = ("min", "opt", "max")
    return {
        name: tuple(tuple(getattr(ranges[a], bound) if isinstance(a, str) else a for a in shape) for bound in bounds)
        for name, shape in axes.items()
    }
