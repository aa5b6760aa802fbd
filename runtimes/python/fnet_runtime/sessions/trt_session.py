"""TensorRT or TensorRT-RTX on an NVIDIA GPU."""

import importlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from weakref import finalize

from fnet_runtime.bundle.manifest import BATCH, EngineInfo, TensorInfo
from fnet_runtime.engine.cuda import Cuda, Importer, cuda_of_device, imported
from fnet_runtime.engine.fit import check_fits
from fnet_runtime.errors import InputError, OptionError, SessionError
from fnet_runtime.sessions.pool import Pool
from fnet_runtime.sessions.session import ANY_BATCH, Ids, Outputs, checked_inputs
from fnet_runtime.sessions.trt_engine import TrtEngine
from fnet_runtime.sessions.trt_lane import Lane

CONTEXTS, MAX_CONTEXTS = 2, 64
"""How many callers TensorRT runs at once, unless the caller says, and at most."""


@dataclass(frozen=True, kw_only=True)
class TrtOptions:
    """How TensorRT runs an engine. Raises OptionError for an invalid value.

    `device` is the number of the GPU. `contexts` is how many callers run at once, each with memory of its own; others wait.
    `cuda_graph` captures the run of each shape as a CUDA graph after its first run, and launches the graph from then on.
    """

    device: int = 0
    contexts: int = CONTEXTS
    cuda_graph: bool = False

    def __post_init__(self) -> None:
        if type(self.device) is not int or self.device < 0:
            raise OptionError(f"device: expected the number of a GPU, from 0; found {self.device!r}")
        if type(self.contexts) is not int or not 1 <= self.contexts <= MAX_CONTEXTS:
            raise OptionError(f"contexts: expected 1 to {MAX_CONTEXTS}, found {self.contexts!r}")
        if type(self.cuda_graph) is not bool:
            raise OptionError(f"cuda_graph: expected true or false, found {self.cuda_graph!r}")


DEFAULT_OPTIONS = TrtOptions()


class TrtSession:
    """An engine on a GPU. Any number of threads may run it at once.

    A lane serves one caller at a time, so the session lends up to `contexts` lanes. Further callers wait. The GPU of the session
    becomes the current GPU of each thread that runs it.
    """

    def __init__(
        self,
        engine: Path,
        info: EngineInfo,
        inputs: Sequence[TensorInfo],
        *,
        options: TrtOptions = DEFAULT_OPTIONS,
        importer: Importer = importlib.import_module,
    ) -> None:
        """Open an engine file.

        Raises LibraryError when a library is missing, and NoDeviceError when this host has no GPU that the engine was built for.
        Raises SessionError when the library has another version, or refuses the engine, and OptionError when there is no GPU of
        that number.
        """
        self._info, self._inputs, self._device = info, tuple(inputs), options.device
        self.batch = info.whole_range(BATCH) or ANY_BATCH
        self._cuda = cuda_of_device(options.device, info.library, importer=importer)
        trt = imported(importer, info.library, info.library)
        check_fits(engine, info, gpu=self._cuda.gpu(options.device), version=str(trt.__version__))
        opened = TrtEngine(engine, info, trt)
        self._lanes = Pool(partial(Lane, opened, self._cuda, cuda_graph=options.cuda_graph), size=options.contexts)
        self._forgotten = finalize(self, _free_forgotten, self._lanes, opened, self._cuda, options.device)
        self._forgotten.atexit = False  # the end of the process frees everything, and a thread may still run
        self._opened = opened

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run the engine; see `Session.run`. One of the engine's optimisation profiles must hold the shapes."""
        fed = checked_inputs(inputs, self._inputs)
        number = profile_from_inputs(self._info, self._inputs, fed)
        self._cuda.use(self._device)  # every thread has its own current GPU
        with self._lanes.borrowed() as lane:
            return lane.run(fed, number)

    def close(self) -> None:
        """Free everything on the GPU when the last run has ended. A closed session cannot run."""
        with suppress(SessionError):  # after a failure of CUDA every call fails
            self._cuda.use(self._device)
        _free(self._lanes, self._opened)
        self._forgotten.detach()


def profile_from_inputs(info: EngineInfo, inputs: Sequence[TensorInfo], fed: Mapping[str, Ids]) -> int:
    """Return the number of the first optimisation profile that holds the shapes. Raises InputError if no profile does."""
    found = {
        axis: length
        for tensor in inputs
        for axis, length in zip(tensor.axes, fed[tensor.name].shape, strict=True)
        if isinstance(axis, str)
    }
    for number, profile in enumerate(info.profiles):
        if all(range_.min <= found[axis] <= range_.max for axis, range_ in profile.items()):
            return number
    profiles = " or ".join(
        ", ".join(f"{axis} {range_.min} to {range_.max}" for axis, range_ in profile.items()) for profile in info.profiles
    )
    shown = ", ".join(f"{axis} {length}" for axis, length in found.items())
    raise InputError(
        f"expected what the engine was built for: {profiles}; found {shown}. Open the bundle with the runtime onnxruntime, or "
        "export it with another --batch-profile or --length-profile"
    )


def _free(lanes: Pool[Lane], engine: TrtEngine) -> None:
    for lane in lanes.close():
        lane.close()
    engine.close()


def _free_forgotten(lanes: Pool[Lane], engine: TrtEngine, cuda: Cuda, device: int) -> None:
    """Free what a session that nobody closed has left. This runs in any thread, whose own GPU stays the current one."""
    with suppress(SessionError):  # nobody could catch it
        current = cuda.device()
        if current != device:
            cuda.use(device)
        _free(lanes, engine)
        if current != device:
            cuda.use(current)
