"""The ways to run a bundle on this host: one table of their names, libraries, files and sessions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fnet_runtime.bundle.manifest import BF16, ENGINE, FP32, IR, MODEL, EngineInfo, Manifest, TensorInfo
from fnet_runtime.engine.rebuild import rebuilt_engine
from fnet_runtime.errors import OptionError, SessionError
from fnet_runtime.sessions.openvino_session import OpenVinoSession
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.providers import CPU, provider_from_name
from fnet_runtime.sessions.session import Session
from fnet_runtime.sessions.trt_session import TrtSession

MAX_THREADS = 1024


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """A graph or an engine to open: its file, inputs and precision, what the manifest says of an engine, and the cores to use.

    `provider` and `allow_partial` are for ONNX Runtime; see `OrtSession`.
    """

    file: Path
    inputs: Sequence[TensorInfo]
    precision: str = FP32
    engine: EngineInfo | None = None
    threads: int | None = None
    provider: str = CPU
    allow_partial: bool = False


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """One way to run a bundle: its name, the library that it imports, the file that it opens and how.

    `survives_fork` says that a child process can open it again after its parent did. CUDA cannot.
    """

    name: str
    library: str
    file: str
    open: Callable[[SessionOptions], Session]
    survives_fork: bool = True


def _onnxruntime(options: SessionOptions) -> Session:
    if options.precision == BF16 and options.provider == CPU:
        raise SessionError(f"{options.file}: ONNX Runtime cannot multiply in bf16 on CPUs; open the bundle with its own engine")
    return OrtSession(
        options.file,
        options.inputs,
        threads=options.threads,
        provider=provider_from_name(options.provider),
        precision=options.precision,
        allow_partial=options.allow_partial,
    )


def _openvino(options: SessionOptions) -> Session:
    return OpenVinoSession(options.file, options.inputs, precision=options.precision, threads=options.threads)


def _tensorrt(options: SessionOptions) -> Session:
    assert options.engine is not None
    return TrtSession(options.file, options.engine, options.inputs)


_ALL = (
    Runtime(name="onnxruntime", library="onnxruntime", file=MODEL, open=_onnxruntime),
    Runtime(name="openvino", library="openvino", file=IR, open=_openvino),
    Runtime(name="tensorrt", library="tensorrt", file=ENGINE, open=_tensorrt, survives_fork=False),
    Runtime(name="tensorrt-rtx", library="tensorrt_rtx", file=ENGINE, open=_tensorrt, survives_fork=False),
)
RUNTIMES: Mapping[str, Runtime] = {runtime.name: runtime for runtime in _ALL}
ONNXRUNTIME = "onnxruntime"
"""The runtime that every bundle has a file for."""
AUTO = "auto"
"""The bundle's own runtime: that of its engine, or ONNX Runtime."""
RUNTIME_CHOICES = (AUTO, *RUNTIMES)


def runtimes_from_manifest(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the runtimes that a bundle has a file for, its own runtime first."""
    own_runtime = _runtime_of_engine(manifest.engine).name
    return (own_runtime,) if own_runtime == ONNXRUNTIME else (own_runtime, ONNXRUNTIME)


def runtime_from_name(name: str, manifest: Manifest, folder: Path, *, provider: str = CPU) -> str:
    """Return the runtime that a name of RUNTIME_CHOICES means for a bundle. With a provider of a GPU, `auto` is ONNX Runtime.

    Raises OptionError for an unknown name, for a runtime that the bundle has no file for, and for a provider with another runtime.
    """
    if name not in RUNTIME_CHOICES:
        raise OptionError(f"unknown runtime {name!r}; expected one of {', '.join(RUNTIME_CHOICES)}")
    if provider_from_name(provider).name != CPU:
        if name not in (AUTO, ONNXRUNTIME):
            raise OptionError(f"provider: {provider} belongs to ONNX Runtime, and the runtime is {name}; leave one of them out")
        return ONNXRUNTIME
    names = runtimes_from_manifest(manifest)
    chosen = names[0] if name == AUTO else name
    if chosen not in names:
        raise OptionError(f"{folder}: has no engine for {name}; it opens with {' and '.join(names)}")
    return chosen


def session_from_bundle(
    folder: Path,
    manifest: Manifest,
    *,
    runtime: str = AUTO,
    threads: int | None = None,
    rebuild: bool = False,
    provider: str = CPU,
    allow_partial: bool = False,
) -> Session:
    """Open the session of a bundle whose files were checked.

    `rebuild` opens an engine of TensorRT that was built from the bundle's graph on this host, and builds it at the first call.
    `provider` is a name of PROVIDERS. It must take every node of the graph, unless `allow_partial` leaves the others to the CPU.
    Raises OptionError for a bad number of threads, a runtime that the bundle has no file for, or a runtime that rebuilds nothing.
    Raises it also for a provider that is unknown or that the runtime does not have.
    Raises SessionError when opening or building fails.
    """
    if threads is not None and (type(threads) is not int or not 1 <= threads <= MAX_THREADS):
        raise OptionError(f"threads: expected 1 to {MAX_THREADS}, found {threads!r}")
    chosen = RUNTIMES[runtime_from_name(runtime, manifest, folder, provider=provider)]
    if allow_partial and provider == CPU:
        raise OptionError("allow_partial: is for a provider of a GPU, and the provider is cpu. Leave it out, or name a provider")
    if rebuild and chosen.file != ENGINE:
        raise OptionError(
            f"rebuild: is for engines of TensorRT; {folder} opens with {chosen.name}, which builds none. Leave it out"
        )
    if rebuild:
        rebuilt = rebuilt_engine(folder, manifest)
        return TrtSession(rebuilt.file, rebuilt.info, manifest.inputs)
    return chosen.open(
        SessionOptions(
            file=folder / chosen.file,
            inputs=manifest.inputs,
            precision=manifest.precision,
            engine=manifest.engine,
            threads=threads,
            provider=provider,
            allow_partial=allow_partial,
        )
    )


def session_from_options(options: SessionOptions) -> Session:
    """Open a graph with ONNX Runtime, or an engine with the library that built it. Raises SessionError."""
    return _runtime_of_engine(options.engine).open(options)


def _runtime_of_engine(engine: EngineInfo | None) -> Runtime:
    library = "onnxruntime" if engine is None else engine.library
    return next(runtime for runtime in _ALL if runtime.library == library)
