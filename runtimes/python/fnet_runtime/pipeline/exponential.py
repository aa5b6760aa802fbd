"""The exponential function, made of operations that IEEE 754 rounds alike everywhere.

numpy's own exponential rounds the last digit as the processor does. Scores must be the same on every host and in C++.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

_PER_LN2 = float.fromhex("0x1.71547652b82fep+0")
_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
"""The high part uses 32 bits, so that its product with a power is exact."""
_LOWEST, _HIGHEST = -746.0, 710.0
"""Outside of this range the result is 0 or infinite."""
_FACTORS = tuple(1 / math.factorial(n) for n in range(14))


def exponential(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return e to the power x, exact to 2 units in the last place: `2**power * e**rest`, the second factor by a Taylor series."""
    clipped = np.clip(np.asarray(x, np.float64), _LOWEST, _HIGHEST)
    power = np.rint(clipped * _PER_LN2)
    rest = (clipped - power * _LN2_HIGH) - power * _LN2_LOW
    total = np.full_like(rest, _FACTORS[-1])
    for factor in _FACTORS[-2::-1]:
        total = total * rest + factor
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(total, np.nan_to_num(power).astype(np.int32)))
