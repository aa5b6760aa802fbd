"""Build a TensorRT engine from an ONNX graph. Only this file imports `tensorrt` or `tensorrt_rtx`.

Both packages share one API, and some versions lack parts. The code looks for a part by name, never by version. Networks are
strongly typed: the graph decides the precision.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from fnet_runtime.bundle.manifest import BF16, ENGINE, FP16, FP32, INT8, LIBRARIES, SEQUENCE, AxisProfile, EngineInfo
from fnet_runtime.sessions.trt_session import error_logger

from fnet_export.base.errors import EngineError, ProfileError
from fnet_export.engine.library import Importer, Library, library_from_name

RTX_COMPUTE_CAPABILITIES = ("8.0", "8.6", "8.9", "12.0", "12.1")
"""What TensorRT-RTX builds for by default: Ampere and later. It is set by name, so that a manifest need not assume it."""

OnProgress = Callable[[str, int, int], None]
"""Called with the name of a phase of the build, the steps done and the number of steps."""


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


def engine_from_graph(
    graph: Path,
    *,
    library: Library,
    ranges: Mapping[str, AxisProfile],
    length_profiles: Sequence[AxisProfile] = (),
    compute_capabilities: tuple[str, ...] | None = None,
    on_progress: OnProgress | None = None,
) -> Engine:
    """Build an engine from an ONNX file (with its external data next to it) for the given ranges of its dynamic axes.

    Where the texts have their own lengths, the engine gets an optimisation profile for each range of `length_profiles`.
    `compute_capabilities`, such as "8.6", are the GPUs to build for, by default TensorRT-RTX's own set. TensorRT itself builds for
    the GPU that is present. `on_progress` gets the steps that the library reports. Raises ProfileError before the build if a
    dynamic axis has no range, or a range has no axis. Raises EngineError with the library's own words if it refuses the graph.
    """
    header = onnx.load(graph, load_external_data=False)
    lengths = [{SEQUENCE: profile} for profile in length_profiles] or [{}]
    profiles = [profile_shapes(header, {**ranges, **length}) for length in lengths]
    trt = library.module
    logger = error_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        refused = [parser.get_error(i) for i in range(parser.num_errors)]
        reasons = "; ".join(f"{e.node_operator()} node {e.node_name()}: {e.desc()}" for e in refused) or logger.said()
        hint = ". TensorRT's parser has no DFT: export with --transform dft" if "DFT" in reasons else ""
        raise EngineError(f"{graph.name}: {library.name} {library.version} cannot parse the graph: {reasons}{hint}")
    precisions = precisions_from_network(trt, network)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that the engine can say what its layers run in
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default, it rounds factors of float32 products to 10 bits
    built_for = _set_compute_capabilities(trt, config, library, compute_capabilities)
    if on_progress is not None and hasattr(trt, "IProgressMonitor"):
        config.progress_monitor = _monitor(trt, on_progress)
    for shapes in profiles:
        profile = builder.create_optimization_profile()
        for name, (low, best, high) in shapes.items():
            profile.set_shape(name, low, best, high)
        if config.add_optimization_profile(profile) < 0:
            raise EngineError(f"{graph.name}: {library.name} refuses the profile {shapes}: {logger.said()}")
    data = builder.build_serialized_network(network, config)
    if data is None:
        raise EngineError(f"{graph.name}: {library.name} {library.version} built no engine: {logger.said()}")
    info = EngineInfo(
        file=ENGINE,
        library=library.name,
        version=library.version,
        compute_capabilities=built_for,
        batch_profile=dict(ranges),
        length_profiles=tuple(length_profiles),
    )
    return Engine(data=bytes(data), info=info, precisions=precisions, inspected=_inspected(trt, logger, data))


def _inspected(trt: Any, logger: Any, data: Any) -> str | None:
    """Ask the engine itself, where it can be opened: on a GPU that it was built for."""
    engine = trt.Runtime(logger).deserialize_cuda_engine(data)
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
    """int8 of what was dequantised, perhaps reshaped since; else the type of a tensor."""
    layer = made.get(tensor.name)
    while layer is not None and layer.type == trt.LayerType.SHUFFLE:
        layer = made.get(layer.get_input(0).name)
    if layer is not None and layer.type == trt.LayerType.DEQUANTIZE:
        return INT8
    return {trt.float16: FP16, trt.bfloat16: BF16}.get(tensor.dtype, FP32)


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


def _set_compute_capabilities(trt: Any, config: Any, library: Library, requested: tuple[str, ...] | None) -> tuple[str, ...]:
    if not hasattr(trt, "ComputeCapability"):
        if requested:
            raise EngineError(f"{library.name} builds for the GPU that is present only; leave {', '.join(requested)} out")
        return ()
    chosen = requested or RTX_COMPUTE_CAPABILITIES
    config.num_compute_capabilities = len(chosen)
    for index, capability in enumerate(chosen):
        member = getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}", None)
        if member is None or not config.set_compute_capability(member, index):
            raise EngineError(f"{library.name} {library.version} cannot build for compute capability {capability}")
    return chosen


def _monitor(trt: Any, on_progress: OnProgress) -> Any:
    """Make a progress monitor of the library's own base class; it reports whole phases, not phases within them."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self.steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self.steps:
                on_progress(phase_name, step, self.steps[phase_name])
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()
