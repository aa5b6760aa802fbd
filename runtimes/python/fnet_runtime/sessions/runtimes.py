"""The ways to run a bundle on this host: one table of their names, libraries, files and sessions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fnet_runtime.bundle.manifest import BF16, ENGINE, FP32, IR, MODEL, EngineInfo, Manifest, TensorInfo
from fnet_runtime.engine.cuda import cuda_of_device
from fnet_runtime.engine.rebuild import rebuilt_engine
from fnet_runtime.errors import OptionError, SessionError
from fnet_runtime.sessions.openvino_session import OpenVinoSession
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.providers import CPU, provider_from_name
from fnet_runtime.sessions.session import Session
from fnet_runtime.sessions.trt_session import CONTEXTS, TrtOptions, TrtSession

MAX_THREADS = 1024


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """A graph or an engine to open: its file, inputs and precision, what the manifest says of an engine, and the cores to use.

    `provider` and `allow_partial` are for ONNX Runtime; see `OrtSession`. `device` is for a provider of a GPU, and `trt` for an
    engine of TensorRT.
    """

    file: Path
    inputs: Sequence[TensorInfo]
    precision: str = FP32
    engine: EngineInfo | None = None
    threads: int | None = None
    provider: str = CPU
    allow_partial: bool = False
    device: int = 0
    trt: TrtOptions = field(default_factory=TrtOptions)


@dataclass(frozen=True, kw_only=True)
class OpenOptions:
    """How to open a bundle; see `fnet_runtime.load`. Raises OptionError for an invalid value.

    Only a manifest says which runtime opens, so `session_from_bundle` refuses the options that the runtime does not have.
    """

    runtime: str = "auto"
    threads: int | None = None
    rebuild: bool = False
    provider: str = CPU
    allow_partial: bool = False
    device: int = 0
    contexts: int = CONTEXTS
    cuda_graph: bool = False

    def __post_init__(self) -> None:
        if self.threads is not None and (type(self.threads) is not int or not 1 <= self.threads <= MAX_THREADS):
            raise OptionError(f"threads: expected 1 to {MAX_THREADS}, found {self.threads!r}")
        for name in ("rebuild", "allow_partial"):
            if type(getattr(self, name)) is not bool:
                raise OptionError(f"{name}: expected true or false, found {getattr(self, name)!r}")
        provider_from_name(self.provider)
        assert self.trt  # checks its own fields

    @property
    def trt(self) -> TrtOptions:
        """Return the options of TensorRT."""
        return TrtOptions(device=self.device, contexts=self.contexts, cuda_graph=self.cuda_graph)


DEFAULT_OPTIONS = OpenOptions()


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
        device=options.device,
    )


def _openvino(options: SessionOptions) -> Session:
    return OpenVinoSession(options.file, options.inputs, precision=options.precision, threads=options.threads)


def _tensorrt(options: SessionOptions) -> Session:
    assert options.engine is not None
    return TrtSession(options.file, options.engine, options.inputs, options=options.trt)


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


def session_from_bundle(folder: Path, manifest: Manifest, options: OpenOptions = DEFAULT_OPTIONS) -> Session:
    """Open the session of a bundle whose files were checked.

    Raises OptionError for a runtime that the bundle has no file for, and for an option that the runtime does not have.
    Raises SessionError when opening or building fails.
    """
    chosen = RUNTIMES[runtime_from_name(options.runtime, manifest, folder, provider=options.provider)]
    _check_use(options, chosen, folder)
    if options.rebuild:
        assert manifest.engine is not None
        cuda_of_device(options.device, manifest.engine.library)
        rebuilt = rebuilt_engine(folder, manifest)
        return TrtSession(rebuilt.file, rebuilt.info, manifest.inputs, options=options.trt)
    return chosen.open(
        SessionOptions(
            file=folder / chosen.file,
            inputs=manifest.inputs,
            precision=manifest.precision,
            engine=manifest.engine,
            threads=options.threads,
            provider=options.provider,
            allow_partial=options.allow_partial,
            device=options.device,
            trt=options.trt,
        )
    )


def _check_use(options: OpenOptions, chosen: Runtime, folder: Path) -> None:
    """Raise OptionError for an option that has no meaning for the runtime that opens the bundle."""
    on_cpu = options.provider == CPU
    if options.allow_partial and on_cpu:
        raise OptionError("allow_partial: is for a provider of a GPU, and the provider is cpu. Leave it out, or name a provider")
    if chosen.file == ENGINE:
        return
    if options.rebuild:
        raise OptionError(
            f"rebuild: is for engines of TensorRT; {folder} opens with {chosen.name}, which builds none. Leave it out"
        )
    if options.device and on_cpu:
        raise OptionError(f"device: is the number of a GPU; {folder} opens with {chosen.name} on the CPU. Leave it out")
    for name in ("contexts", "cuda_graph"):
        if getattr(options, name) != getattr(DEFAULT_OPTIONS, name):
            raise OptionError(f"{name}: is for engines of TensorRT; {folder} opens with {chosen.name}. Leave it out")


def session_from_options(options: SessionOptions) -> Session:
    """Open a graph with ONNX Runtime, or an engine with the library that built it. Raises SessionError."""
    return _runtime_of_engine(options.engine).open(options)


def _runtime_of_engine(engine: EngineInfo | None) -> Runtime:
    library = "onnxruntime" if engine is None else engine.library
    return next(runtime for runtime in _ALL if runtime.library == library)
