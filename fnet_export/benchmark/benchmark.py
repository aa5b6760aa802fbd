"""Time bundles in turns, for each case of batch size and threads, in processes that are opened for the case."""

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.manifest import BATCH, ENGINE, Manifest, manifest_from_folder
from fnet_runtime.sessions.providers import CPU
from fnet_runtime.sessions.runtimes import ONNXRUNTIME, RUNTIMES, runtime_from_name

from fnet_export.base.errors import BenchError, OptionError
from fnet_export.benchmark.child import Child, child_from_arguments
from fnet_export.benchmark.requests import Batch
from fnet_export.engine.sessions.timing import in_turns

WORKER = ("-P", "-m", "fnet_export.benchmark.worker")
"""-P keeps Python from importing modules of the user's current folder."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Name one bundle and what opens it: a runtime, and a provider of ONNX Runtime.

    `folder` is the user's name for it, `label` is its name in tables. `allow_partial` lets the CPU run what the provider leaves.
    `cuda_graph` lets TensorRT launch CUDA graphs.
    """

    folder: Path
    label: str
    runtime: str
    manifest: Manifest
    provider: str = CPU
    allow_partial: bool = False
    cuda_graph: bool = False

    @property
    def opener(self) -> str:
        """Return the runtime, the provider if that is not the CPU, and CUDA graphs, as tables name them."""
        name = self.runtime if self.provider == CPU else f"{self.runtime}, {self.provider}"
        return f"{name}, CUDA graphs" if self.cuda_graph else name

    @property
    def name(self) -> str:
        """Return the name to use in sentences."""
        return f"{self.label}, {self.opener}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """State how many texts are asked at once, and on how many cores (None for all)."""

    batch_size: int
    threads: int | None

    @property
    def name(self) -> str:
        """Return a name such as `batch 8, threads 2`."""
        return f"batch {self.batch_size}, {'all cores' if self.threads is None else f'threads {self.threads}'}"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Hold what the process of one subject measured in one case. A tuple has one time per round.

    `load_ms` is the time from opening to the first answer. `peak_bytes` is the most memory that the process held. `libraries_bytes`
    is the most memory before it opened the bundle. Both are None if the host does not report memory. `notes` says which nodes a
    provider left to the CPU.
    """

    load_ms: float
    peak_bytes: int | None
    libraries_bytes: int | None
    text_ms: tuple[float, ...]
    engine_ms: tuple[float, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """Hold the results of one case: for every subject, in order, the measurements, or the reason why it was not measured."""

    case: Case
    results: tuple[Measured | str, ...]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Hold everything that one run measured. The other subjects are compared with the first."""

    subjects: tuple[Subject, ...]
    rounds: int
    cases: tuple[CaseResult, ...]

    @property
    def complete(self) -> bool:
        """Return whether every subject was measured in every case."""
        return not any(isinstance(result, str) for case in self.cases for result in case.results)


def subjects_from_bundles(
    folders: Sequence[Path],
    runtimes: Sequence[str],
    providers: Sequence[str] = (CPU,),
    *,
    allow_partial: bool = False,
    cuda_graph: bool = False,
) -> tuple[Subject, ...]:
    """Check bundles, and pair each bundle with each runtime and provider. `auto` is the bundle's own runtime.

    Raises BundleError for a damaged bundle. Raises InputError for a runtime that a bundle has no file for, and for a runtime
    without providers, and OptionError for `cuda_graph` if no bundle opens with TensorRT.
    """
    subjects = []
    names = Counter(folder.resolve().name for folder in set(folders))
    for folder in folders:
        name = folder.resolve().name
        label = name if names[name] == 1 else str(folder)
        manifest = manifest_from_folder(folder)
        for runtime, provider in itertools.product(runtimes, providers):
            name = runtime_from_name(runtime, manifest, folder, provider=provider)
            subjects.append(
                Subject(
                    folder=folder,
                    label=label,
                    runtime=name,
                    manifest=manifest,
                    provider=provider,
                    allow_partial=allow_partial and provider != CPU,
                    cuda_graph=cuda_graph and RUNTIMES[name].file == ENGINE,
                )
            )
    if cuda_graph and not any(subject.cuda_graph for subject in subjects):
        raise OptionError("--cuda-graph: is for engines of TensorRT, and no bundle opens with TensorRT here. Leave it out")
    return tuple(subjects)


def cases_from_options(subjects: Sequence[Subject], batch_sizes: Sequence[int], threads: Sequence[int]) -> tuple[Case, ...]:
    """Pair batch sizes with threads. Raises OptionError for a batch size that an engine does not accept."""
    for subject, size in itertools.product(subjects, batch_sizes):
        engine = subject.manifest.engine
        profile = engine.whole_range(BATCH) if engine and subject.runtime != ONNXRUNTIME else None
        if profile and not profile.min <= size <= profile.max:
            raise OptionError(
                f"--batch-size {size}: the engine of {subject.folder} takes {profile.min} to {profile.max}; choose such a size, "
                f"measure it with --runtime {ONNXRUNTIME}, or export it again for such batches"
            )
    return tuple(Case(batch_size=size, threads=count) for size in batch_sizes for count in (threads or (None,)))


def result_from_case(
    case: Case,
    subjects: Sequence[Subject],
    batches: Sequence[Sequence[Batch]],
    *,
    rounds: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> CaseResult:
    """Open every subject in a process of its own, and time them in turns. A subject that fails has the reason as its result.

    `batches` has the batches of each subject. Each round takes the next batch, and begins again after the last.
    """
    with contextlib.ExitStack() as stack:
        runs = []
        for subject, asked in zip(subjects, batches, strict=True):
            # started after the previous subject is open, so that no two load at once
            runs.append(_Run(stack.enter_context(child_from_arguments(WORKER))))
            runs[-1].open(_job(subject, case, asked))
        able = [run for run in runs if run.failure is None]
        for done, run in enumerate(in_turns(able, rounds=rounds)):
            run.turn()
            if on_progress:
                on_progress(done + 1, rounds * len(able))
        return CaseResult(case=case, results=tuple(run.result() for run in runs))


class _Run:
    """Collect the answers of one subject's process in one case. After a failure it is not asked again."""

    def __init__(self, child: Child) -> None:
        self.failure: str | None = None
        self._child = child
        self._told: dict[str, Any] = {}
        self._turns: list[dict[str, float]] = []

    def open(self, job: Mapping[str, Any]) -> None:
        self._told |= self._asked(lambda: self._child.ask(job)) or {}

    def turn(self) -> None:
        times = self._asked(self._child.ask)
        if times is not None:
            self._turns.append(times)

    def result(self) -> Measured | str:
        self._told |= self._asked(self._child.last_answer) or {}
        if self.failure is not None:
            return self.failure
        text_ms, engine_ms = (tuple(times[name] for times in self._turns) for name in ("text_ms", "engine_ms"))
        return Measured(**self._told | {"notes": tuple(self._told["notes"])}, text_ms=text_ms, engine_ms=engine_ms)

    def _asked(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        if self.failure is None:
            try:
                return ask()
            except BenchError as error:
                self.failure = str(error)
        return None


def _job(subject: Subject, case: Case, batches: Sequence[Batch]) -> dict[str, Any]:
    opened = {name: getattr(subject, name) for name in ("runtime", "provider", "allow_partial", "cuda_graph")}
    return asdict(case) | {"bundle": str(subject.folder), **opened, "batches": batches}
