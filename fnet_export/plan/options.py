"""The options of an export, in the parts that its stages take. Each part is checked when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fnet_runtime.bundle.manifest import BF16, CALIBRATED, FP16, FP32, INT8, OPENVINO, PRECISIONS, TARGETS, AxisProfile
from fnet_runtime.engine.options import BuildOptions
from fnet_runtime.sessions.providers import CPU
from fnet_runtime.tokenizer.encoding import PADDINGS

from fnet_core.errors import TaskError
from fnet_core.tasks import task_named
from fnet_export.base.arguments import check_providers
from fnet_export.base.errors import OptionError
from fnet_export.evaluation.evaluation import Limits
from fnet_export.graph.trace import DEFAULT_OPSET, check_opset
from fnet_export.parity.agreement import check_min_agreement
from fnet_export.parity.tolerance import Tolerance
from fnet_export.plan.task_choice import AUTO_TASK
from fnet_export.plan.transform_choice import AUTO, TRANSFORM_NAMES
from fnet_export.precision.calibrate import METHODS, MINMAX
from fnet_export.precision.eight_bit import EIGHT_BITS
from fnet_export.precision.half import HALVES
from fnet_export.texts.tokenizer.choice import check_flavour

TARGET_PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "onnx": (FP32, INT8),
    OPENVINO: (FP32, FP16, BF16, INT8),
    "tensorrt": PRECISIONS,
    "tensorrt-rtx": PRECISIONS,
}
"""ONNX Runtime has no products in half precision on x86-64 CPUs: it would compute in float32. No CPU multiplies fp8."""
BUILD_OPTION_NAMES: Mapping[str, str] = {"compute_capabilities": "--compute-capability"}
MAX_AXIS = 2**31 - 1
"""No axis of an engine is longer."""
DEFAULT_BATCH = AxisProfile(min=1, opt=1, max=8)


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model: task, checkpoint and padding. Raises OptionError for an unknown task or flavour of tokenizer.

    `task` is a name of a task, or AUTO_TASK for the task that the checkpoint's config.json names.
    `checkpoint` is a folder, a flax file or a hub id, None for the built-in model. `sequence_length` is in tokens, None for the
    length that the checkpoint states. `padding` is a contract of PADDINGS, None for the one that the checkpoint states. Texts that
    keep their own length are padded to a multiple of `pad_to_multiple_of`. `predict_positions` makes masked-lm take so many
    positions to predict.
    """

    task: str = AUTO_TASK
    checkpoint: str | None = None
    revision: str | None = None
    tokenizer: str | None = None
    sequence_length: int | None = None
    padding: str | None = None
    pad_to_multiple_of: int = 1
    accept_drift: bool = False
    predict_positions: int | None = None
    random_head: bool = False

    def __post_init__(self) -> None:
        try:
            if self.task != AUTO_TASK:
                task_named(self.task)
        except TaskError as error:
            raise OptionError(f"--task: {error}") from error
        for name in ("sequence_length", "pad_to_multiple_of", "predict_positions"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"--{name.replace('_', '-')}: expected an integer from 1, found {value}")
        if self.padding not in (None, *PADDINGS):
            raise OptionError(f"--padding: expected {' or '.join(PADDINGS)}, found {self.padding!r}")
        check_flavour(self.tokenizer)


@dataclass(frozen=True, kw_only=True)
class GraphOptions:
    """How the graph computes: a transform of TRANSFORM_NAMES, an ONNX operator set, and a precision.

    `keep_float32` names modules and nodes that half precision leaves in float32. Raises OptionError.
    """

    transform: str = AUTO
    opset: int = DEFAULT_OPSET
    simplify: bool = True
    precision: str = FP32
    keep_float32: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORM_NAMES:
            raise OptionError(f"--transform: expected one of {', '.join(TRANSFORM_NAMES)}; found {self.transform!r}")
        check_opset(self.opset)
        oldest = EIGHT_BITS[self.precision].opset if self.precision in EIGHT_BITS else self.opset
        if self.opset < oldest:
            raise OptionError(f"--opset: {self.precision} exists from operator set {oldest} on; found {self.opset}. Leave it out")
        if self.keep_float32 and self.precision not in HALVES:
            raise OptionError(f"--keep-float32: is for {' and '.join(HALVES)}; found precision {self.precision}; leave it out")
        if self.precision != FP32 and not self.simplify:
            raise OptionError(f"--no-simplify: {self.precision} is made from the simplified graph; leave it out")


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """How int8 or fp8 is calibrated: a file of texts (None: the built-in e-mails), a method of METHODS, a limit in points of 100.

    Raises OptionError.
    """

    texts: Path | None = None
    method: str = MINMAX
    max_accuracy_drop: float | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(f"--calibration-method: expected {', '.join(METHODS)}; found {self.method!r}")
        Limits(max_accuracy_drop=self.max_accuracy_drop)


@dataclass(frozen=True, kw_only=True)
class ProofOptions:
    """What the bundle must hold: texts to compare on, a tolerance in place of the measured limits, and limits in points of 100.

    `evaluation` is a file of labelled data, and `columns` name its columns that hold keys of another name. `quick` compares fewer
    inputs and fewer runtimes. `provider` also runs the bundle's graph by this provider of ONNX Runtime, and `allow_partial` lets
    the CPU run the nodes that the provider does not take. Raises OptionError.
    """

    texts: Path | None = None
    tolerance: Tolerance | None = None
    min_agreement: float | None = None
    quick: bool = False
    evaluation: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    min_accuracy: float | None = None
    provider: str = CPU
    allow_partial: bool = False

    def __post_init__(self) -> None:
        check_providers([self.provider], allow_partial=self.allow_partial)
        check_min_agreement(self.min_agreement)
        if self.columns and self.evaluation is None:
            raise OptionError("--column: names columns of labelled data; add --evaluation FILE")
        Limits(min_accuracy=self.min_accuracy)


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What opens the bundle, a target of TARGETS, and the batch sizes and lengths that an engine takes. Raises OptionError.

    `batch_profiles` are ranges of batch sizes that TensorRT optimises for; without a range, DEFAULT_BATCH. `length_profiles` are
    ranges of lengths, where texts keep their own length. `build` has the options of TensorRT's builder.
    """

    target: str
    batch_profiles: tuple[AxisProfile, ...] = ()
    length_profiles: tuple[AxisProfile, ...] = ()
    build: BuildOptions = field(default_factory=BuildOptions)

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise OptionError(f"--target: expected one of {', '.join(TARGETS)}; found {self.target!r}")
        for option, profiles in (("--batch-profile", self.batch_profiles), ("--length-profile", self.length_profiles)):
            if profiles and self.target in ("onnx", OPENVINO):
                raise OptionError(
                    f"{option}: is for engines of TensorRT; the target {self.target} has no optimisation profiles. Leave it out"
                )
            for profile in profiles:
                if profile.max > MAX_AXIS:
                    raise OptionError(f"{option}: expected at most {MAX_AXIS}, found {profile.max}")
        if self.build.given() and self.target in ("onnx", OPENVINO):
            names = ", ".join(option_shown(name) for name in self.build.given())
            raise OptionError(f"{names}: expected a target of TensorRT, found {self.target}. Leave the option out")


def option_shown(name: str) -> str:
    """Return a field of BuildOptions as the command line has it."""
    return BUILD_OPTION_NAMES.get(name, f"--{name.replace('_', '-')}")


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where the bundle goes; `force` replaces a bundle that is there."""

    folder: Path = Path("bundle")
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """All parts of an export's options. Raises OptionError for parts that do not fit each other."""

    model: ModelOptions = field(default_factory=ModelOptions)
    engine: EngineOptions
    graph: GraphOptions = field(default_factory=GraphOptions)
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)
    proof: ProofOptions = field(default_factory=ProofOptions)
    output: OutputOptions = field(default_factory=OutputOptions)

    def __post_init__(self) -> None:
        target, precision = self.engine.target, self.graph.precision
        if precision not in TARGET_PRECISIONS[target]:
            expected = ", ".join(TARGET_PRECISIONS[target])
            targets = ", ".join(name for name, precisions in TARGET_PRECISIONS.items() if precision in precisions) or "none"
            raise OptionError(
                f"--precision: expected {expected} for the target {target}, found {precision!r}; targets for that: {targets}"
            )
        calibrated_only = {"--calibration": self.calibration.texts, "--max-accuracy-drop": self.calibration.max_accuracy_drop}
        for name, value in calibrated_only.items():
            if value is not None and precision not in CALIBRATED:
                raise OptionError(f"{name}: is for {' and '.join(CALIBRATED)}; found precision {precision}. Add --precision int8")
