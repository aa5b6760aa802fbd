"""How far an output may be off: a multiple of the error that its precision is expected to have, measured on the same inputs."""

import math
from dataclasses import asdict, dataclass

from fnet_runtime.manifest import BF16, FP16, FP32, INT8

from fnet_export.errors import OptionError

MULTIPLE = 16
"""Of the expected error, how much is allowed. Other orders of summation reached 3.2 times the expected largest error and 3.2
times the expected mean (40 random models of three heads), ONNX Runtime's DFT operator 6.5 times."""
UNIT = {FP32: 2.0**-24, FP16: 2.0**-11, BF16: 2.0**-8, INT8: 1 / 254}
"""Half the distance of neighbouring numbers, in parts of the number (int8: of the largest of its tensor)."""
RULE = (
    "reference = the checkpoint in float64 with torch.fft, nothing lowered",
    "expected(precision, output) = the error of the checkpoint computed in torch at that precision, on the same inputs: float32 as "
    "it is, a half by rounding weights and what each layer gives, int8 by rounding what the graph quantises",
    "an expected error is at least half a unit of the precision, times the largest reference magnitude; the mean an eighth of that",
    f"limit = {MULTIPLE} * expected, for the largest and for the mean absolute error",
    "an output passes when it is finite, both errors are within their limits, and every decision is the reference's; a decision "
    "whose two choices the reference scores within twice the limit of each other is a tie, and either will do",
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


def limit_from_expected(expected: Errors, tolerance: Tolerance | None = None) -> Limit:
    """Return the limit of an output, by RULE or by a tolerance in its place."""
    if tolerance is not None:
        asked = tolerance.limit(expected.scale)
        return Limit(max_abs=asked, mean_abs=asked)
    return Limit(max_abs=MULTIPLE * expected.max_abs, mean_abs=MULTIPLE * expected.mean_abs)
