"""Build a TensorRT engine from an ONNX file. TensorRT and TensorRT-RTX share one API; `products.py` says what differs.

Networks are strongly typed: the graph decides the precision.
"""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.manifest import NO_COMPATIBILITY, EngineBuild
from fnet_runtime.engine.cuda import Gpu
from fnet_runtime.engine.logger import error_logger
from fnet_runtime.engine.options import BuildOptions
from fnet_runtime.engine.products import RTX_COMPUTE_CAPABILITIES, check_options, has_part
from fnet_runtime.engine.signals import kept_exceptions
from fnet_runtime.errors import BuildError

MIB = 1 << 20
Shapes = Mapping[str, tuple[tuple[int, ...], ...]]
"""The least, the best and the greatest shape of each input."""
OnProgress = Callable[[str, int, int], None]
"""Called with the name of a phase of the build, the steps done and the number of steps."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """Hold a built engine: the builder's bytes, unchanged, the version that built it, and what a manifest records of the build."""

    data: bytes
    version: str
    compute_capabilities: tuple[str, ...]
    build: EngineBuild


def engine_from_file(
    graph: Path,
    *,
    trt: Any,
    library: str,
    profiles: Sequence[Shapes],
    options: BuildOptions,
    gpu: Gpu | None,
    on_network: Callable[[Any], None] | None = None,
    on_progress: OnProgress | None = None,
) -> Built:
    """Build an engine from an ONNX file (with its external data next to it), with an optimisation profile for each of `profiles`.

    `trt` is the imported library, and `gpu` the GPU of this host. `on_network` gets the parsed network. `on_progress` gets the
    steps that the library reports. What it raises stops the build, and so does what a signal such as Ctrl-C raises. Raises
    OptionError for options that the library does not have, and BuildError with the library's own words if it refuses the graph.
    """
    check_options(options, trt, library, gpu=gpu is not None)
    name = f"{library} {trt.__version__}"
    if not has_part(trt, "NetworkDefinitionCreationFlag.STRONGLY_TYPED"):
        raise BuildError(f"{name}: has no strongly typed networks; expected TensorRT 10 or newer")
    logger = error_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        refused = [parser.get_error(i) for i in range(parser.num_errors)]
        reasons = "; ".join(f"{e.node_operator()} node {e.node_name()}: {e.desc()}" for e in refused) or logger.said()
        hint = ". This parser has no DFT: export with --transform dft" if "DFT" in reasons else ""
        raise BuildError(f"{graph.name}: {name} cannot parse the graph: {reasons}{hint}")
    if on_network is not None:
        on_network(network)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that the engine can say what its layers run in
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default, it rounds factors of float32 products to 10 bits
    _set_options(trt, config, options)
    built_for = _set_compute_capabilities(trt, config, name, options.compute_capabilities, gpu)
    if options.timing_cache is not None:
        _set_timing_cache(config, options.timing_cache, name, logger)
    for shapes in profiles:
        profile = builder.create_optimization_profile()
        for tensor, (low, best, high) in shapes.items():
            profile.set_shape(tensor, low, best, high)
        if config.add_optimization_profile(profile) < 0:
            raise BuildError(f"{graph.name}: {library} refuses the profile {shapes}: {logger.said()}")
    with kept_exceptions() as kept:
        if has_part(trt, "IProgressMonitor"):
            config.progress_monitor = _monitor(trt, on_progress or (lambda *step: None), kept)
        data = builder.build_serialized_network(network, config)
    if data is None:
        raise BuildError(f"{graph.name}: {name} built no engine: {logger.said()}")
    times = None if options.timing_cache is None else _kept_timing_cache(config, options.timing_cache)
    return Built(
        data=bytes(data),
        version=str(trt.__version__),
        compute_capabilities=built_for,
        build=EngineBuild(
            gpu=gpu.name if gpu is not None and not _by_name(trt) else None,
            workspace_mib=options.workspace_mib,
            optimization_level=options.optimization_level,
            timing_cache_sha256=times,
            version_compatible=options.version_compatible,
            hardware_compatibility=options.hardware_compatibility,
            weight_stripped=options.weight_stripped,
        ),
    )


def _set_options(trt: Any, config: Any, options: BuildOptions) -> None:
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * MIB)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatibility != NO_COMPATIBILITY:
        level = options.hardware_compatibility.replace("-", "_").upper()
        config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, level)
    if options.weight_stripped:
        config.set_flag(trt.BuilderFlag.STRIP_PLAN)
        config.set_flag(trt.BuilderFlag.REFIT_IDENTICAL)  # the weights are those of model.onnx, so nothing is slower


def _by_name(trt: Any) -> bool:
    """Return whether the library builds for GPUs by name, whatever GPU is present."""
    return has_part(trt, "ComputeCapability")


def _set_compute_capabilities(trt: Any, config: Any, name: str, requested: tuple[str, ...], gpu: Gpu | None) -> tuple[str, ...]:
    """Return the compute capabilities that the engine is for: those that are set, or that of the GPU which builds it."""
    if not _by_name(trt):
        return () if gpu is None else (gpu.compute_capability,)
    chosen = requested or RTX_COMPUTE_CAPABILITIES
    config.num_compute_capabilities = len(chosen)
    for index, capability in enumerate(chosen):
        member = getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}", None)
        if member is None or not config.set_compute_capability(member, index):
            raise BuildError(f"{name} cannot build for compute capability {capability}")
    return chosen


def _set_timing_cache(config: Any, file: Path, name: str, logger: Any) -> None:
    try:
        data = file.read_bytes() if file.exists() else b""
    except OSError as error:
        raise BuildError(f"--timing-cache: {file} cannot be read ({error.strerror}); name another file") from error
    cache = config.create_timing_cache(data)
    if cache is None or not config.set_timing_cache(cache, False):
        raise BuildError(
            f"--timing-cache: {file}: {name} refuses it: {logger.said()}. Expected a file of this version and this GPU; name "
            "another file, which the build then makes"
        )


def _kept_timing_cache(config: Any, file: Path) -> str:
    """Write the times of a build, and return the hash of the file."""
    data = bytes(config.get_timing_cache().serialize())
    try:
        with tempfile.NamedTemporaryFile(dir=file.absolute().parent, prefix=f".{file.name}.", delete=False) as part:
            part.write(data)
        Path(part.name).replace(file)
    except OSError as error:
        raise BuildError(f"--timing-cache: {file} cannot be written ({error.strerror}); name another file") from error
    return hashlib.sha256(data).hexdigest()


def _monitor(trt: Any, on_progress: OnProgress, kept: list[BaseException]) -> Any:
    """Make a progress monitor of the library's own base class; it reports whole phases, not phases within them.

    It stops the build as soon as an exception is kept. The library would ignore an exception of the monitor.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self.steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                if phase_name in self.steps:
                    on_progress(phase_name, step, self.steps[phase_name])
            except BaseException as error:  # KeyboardInterrupt too: it is raised when the build has stopped
                kept.append(error)
            return not kept

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()
