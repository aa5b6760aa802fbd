"""How far an output may be off: a multiple of the error that its precision is expected to have, measured on the same inputs."""

import math
from dataclasses import asdict, dataclass

from fnet_runtime.bundle.manifest import BF16, FP8, FP16, FP32, INT8

from fnet_export.base.errors import OptionError

MULTIPLE = 16
"""The allowed multiple of float32's rounding."""
MULTIPLES = {FP32: MULTIPLE, FP16: 4, BF16: 4, INT8: 2, FP8: 2}
"""The allowed multiple of the expected error, by precision. docs/parity.md has the measurements. In float32 other orders of
summation reached 3.2 times the expected largest and the expected mean error (40 random models of three heads), ONNX Runtime's DFT
operator 6.5 times."""
FROM_EMULATION_MEDIAN, FROM_EMULATION_MEAN = 0.1, 0.5
"""The allowed distance of a row from the emulation of int8 or fp8, as a multiple of its own error. What float32 rounds to the other
side of a step explains that. It is little on most inputs (the median) and much on a few, such as padding only, where all positions
round alike."""
UNIT = {FP32: 2.0**-24, FP16: 2.0**-11, BF16: 2.0**-8, INT8: 0.5 / 127, FP8: 16 / 448}
"""Half the distance of neighbouring numbers, in parts of the number (int8 and fp8: of the largest of its tensor)."""
MULTIPLES_SHOWN = ", ".join(f"{multiple} in {precision}" for precision, multiple in MULTIPLES.items())
RULE = (
    "The reference is the checkpoint in float64 with torch.fft. Nothing is lowered.",
    "The expected error is the error that the checkpoint makes in torch at the same precision. In float32, the "
    "checkpoint runs as it is, on the inputs that every runtime ran on.",
    "In half precision, torch rounds the weights and the output of each layer. In int8 and fp8, torch rounds what will "
    "be quantised, by the calibrated bounds. Both run on every input of the runtime that is judged.",
    "An expected error is at least half a unit of the precision times the largest reference magnitude. For the mean "
    "error, an eighth of that is enough.",
    "The limit is a multiple of the expected error, for the largest and for the mean absolute error. The multiple is "
    f"{MULTIPLES_SHOWN}.",
    "In int8 and fp8, each runtime is also compared with the emulation in torch. The median over the inputs of its mean "
    f"distance may be {FROM_EMULATION_MEDIAN:g} of the median error of the emulation plus {MULTIPLE} units of float32. "
    f"The mean distance over all inputs may be {FROM_EMULATION_MEAN:g} of the expected mean error.",
    "An output passes if it is finite and its errors are within their limits.",
    "In fp32, every decision must also agree with the reference, except for ties. A tie is a decision between two "
    "choices whose reference scores are within twice the limit of each other, or by the sign of a score that is within "
    "the limit of zero.",
    "In other precisions, decisions that differ are counted. They fail the bundle's runtime only below --min-agreement.",
)
"""The tolerance in spec form."""
FLOOR_OF_MEAN = 1 / 8


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Errors of one output: the largest reference magnitude, the largest and the mean absolute error."""

    scale: float
    max_abs: float
    mean_abs: float


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The largest and the mean absolute error that an output may have."""

    max_abs: float
    mean_abs: float


@dataclass(frozen=True, kw_only=True)
class DistanceLimit:
    """How far an output may be from the emulation of its precision: mean errors, as the median of all inputs and over all."""

    median_abs: float
    mean_abs: float


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """A limit to use in place of the measured one: `atol + rtol * largest reference magnitude` of an output.

    Raises OptionError for a negative or infinite part.
    """

    atol: float = 0.0
    rtol: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value < math.inf:
                raise OptionError(f"--{name}: expected a number from 0, found {value}")

    def limit(self, scale: float) -> float:
        """Return the largest error allowed to an output whose largest reference magnitude is `scale`."""
        return self.atol + self.rtol * scale


def tolerance_from_options(atol: float | None, rtol: float | None) -> Tolerance | None:
    """Return what `--atol` and `--rtol` ask for, None without either. Raises OptionError."""
    return None if atol is None and rtol is None else Tolerance(atol=atol or 0.0, rtol=rtol or 0.0)


def expected_from_errors(errors: Errors, precision: str) -> Errors:
    """Return the expected error of a precision, given what was measured of it: that, and at least half a unit."""
    least = UNIT[precision] * errors.scale
    return Errors(scale=errors.scale, max_abs=max(errors.max_abs, least), mean_abs=max(errors.mean_abs, FLOOR_OF_MEAN * least))


def limit_from_expected(expected: Errors, precision: str, tolerance: Tolerance | None = None) -> Limit:
    """Return the limit of an output at a precision, by RULE or by a tolerance in its place."""
    if tolerance is not None:
        asked = tolerance.limit(expected.scale)
        return Limit(max_abs=asked, mean_abs=asked)
    multiple = MULTIPLES[precision]
    return Limit(max_abs=multiple * expected.max_abs, mean_abs=multiple * expected.mean_abs)


def limit_from_emulation(expected: Errors, median_abs: float, tolerance: Tolerance | None = None) -> DistanceLimit:
    """Return how far an output in int8 or fp8 may be from its emulation, whose own error is the one expected.

    `median_abs` is the median over inputs of that error's mean.
    """
    if tolerance is not None:
        asked = tolerance.limit(expected.scale)
        return DistanceLimit(median_abs=asked, mean_abs=asked)
    return DistanceLimit(
        median_abs=FROM_EMULATION_MEDIAN * median_abs + MULTIPLE * UNIT[FP32] * expected.scale,
        mean_abs=FROM_EMULATION_MEAN * expected.mean_abs,
    )
