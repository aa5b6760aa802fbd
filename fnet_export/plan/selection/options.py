"""The options of a selection, in parts. Each part is checked when it is made."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fnet_runtime.bundle.manifest import PRECISIONS, TARGETS
from fnet_runtime.sessions.runtimes import MAX_THREADS
from fnet_runtime.tokenizer.encoding import PADDINGS

from fnet_export.base.errors import OptionError
from fnet_export.benchmark.bench import DEFAULT_ROUNDS, MIN_ROUNDS
from fnet_export.evaluation.evaluation import Limits
from fnet_export.plan.options import (
    CalibrationOptions,
    EngineOptions,
    ExportOptions,
    GraphOptions,
    ModelOptions,
    OutputOptions,
    ProofOptions,
)
from fnet_export.precision.eight_bit import EIGHT_BITS


@dataclass(frozen=True, kw_only=True)
class CandidateOptions:
    """Which bundles to try: each target at each of its precisions with each padding.

    Empty `targets` are those that run on this host, and empty `precisions` are all of a target. Empty `paddings` are the padding
    that the checkpoint states, or both paddings if it states no padding. Raises OptionError.
    """

    targets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    paddings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_names("--target", self.targets, TARGETS)
        _check_names("--precision", self.precisions, PRECISIONS)
        _check_names("--padding", self.paddings, PADDINGS)


@dataclass(frozen=True, kw_only=True)
class SelectionLimits:
    """What a bundle must hold. A limit that is None holds always.

    The main metric may be `max_accuracy_drop` points of 100 below the checkpoint's. The median text may take `max_latency_ms`. The
    files that the manifest lists may take `max_size_mb` million bytes. Raises OptionError.
    """

    max_accuracy_drop: float | None = None
    max_latency_ms: float | None = None
    max_size_mb: float | None = None

    def __post_init__(self) -> None:
        Limits(max_accuracy_drop=self.max_accuracy_drop)
        for name, unit in (("max_latency_ms", "milliseconds"), ("max_size_mb", "million bytes")):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise OptionError(f"--{name.replace('_', '-')}: expected {unit} above 0, found {value!r}")


@dataclass(frozen=True, kw_only=True)
class TimingOptions:
    """How bundles are timed: on so many texts, in turns, on so many cores (None for all). Raises OptionError."""

    rounds: int = DEFAULT_ROUNDS
    threads: int | None = None

    def __post_init__(self) -> None:
        if type(self.rounds) is not int or self.rounds < MIN_ROUNDS:
            raise OptionError(f"--rounds: expected {MIN_ROUNDS} or more, found {self.rounds!r}")
        if self.threads is not None and (type(self.threads) is not int or not 1 <= self.threads <= MAX_THREADS):
            raise OptionError(f"--threads: expected 1 to {MAX_THREADS}, found {self.threads!r}")


@dataclass(frozen=True, kw_only=True)
class Combination:
    """Name one candidate: its target, its precision and its padding."""

    target: str
    precision: str
    padding: str

    @property
    def name(self) -> str:
        """Return the name to use in tables and sentences."""
        return f"{self.target} {self.precision} (padding {self.padding})"

    @property
    def folder(self) -> str:
        """Return the name of its folder."""
        return f"{self.target}-{self.precision}-{self.padding}"


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """All parts of the options. `proof` names the labelled data; `model` leaves the padding to `candidates`."""

    model: ModelOptions = field(default_factory=ModelOptions)
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)
    proof: ProofOptions
    output: OutputOptions = field(default_factory=OutputOptions)
    candidates: CandidateOptions = field(default_factory=CandidateOptions)
    limits: SelectionLimits = field(default_factory=SelectionLimits)
    timing: TimingOptions = field(default_factory=TimingOptions)

    def first(self) -> ExportOptions:
        """Return an export that every host can plan. What is wrong with it is wrong with every candidate."""
        return ExportOptions(model=self.model, engine=EngineOptions(target="onnx"), proof=self.proof, output=self.output)

    def export(self, combination: Combination) -> ExportOptions:
        """Return the export of one candidate. Raises OptionError for parts that do not fit each other."""
        return ExportOptions(
            model=replace(self.model, padding=combination.padding),
            engine=EngineOptions(target=combination.target),
            graph=GraphOptions(precision=combination.precision),
            calibration=self.calibration if combination.precision in EIGHT_BITS else CalibrationOptions(),
            proof=self.proof,
            output=self.output,
        )


def results_folder(output: Path) -> Path:
    """Return the folder of the results of a choice, next to its bundle."""
    named = output if output.name else output.absolute()  # the folder may be .
    return named.with_name(f"{named.name}.choice")


def _check_names(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise OptionError(f"{option}: expected one of {', '.join(known)}; found {name!r}")
