import math

import numpy as np
import pytest

from fnet_export.compare import Comparison
from fnet_export.errors import CompareError

WANT = np.array([[1.0, 2.0, -4.0], [3.0, 1.0, 0.0]])


def compared(output, reference=WANT, decides=True, relative_limit=1e-5):
    comparison = Comparison(decides=decides, relative_limit=relative_limit)
    comparison.add(np.asarray(output), np.asarray(reference))
    return comparison.difference()


def test_batches_count_as_one_array():
    reference = np.array([[2.0, 1.9], [1.0, 3.0]])
    output = reference + np.array([[0, 0.4], [0.1, 0]])
    comparison = Comparison(decides=True, relative_limit=1e-5)
    for got, want in zip(output, reference, strict=True):
        comparison.add(got[None], want[None])
    found = comparison.difference()
    assert found == compared(output, reference)
    assert (found.max_rel, found.decision_agreement) == (pytest.approx(0.4 / 3), 0.5)
    with pytest.raises(CompareError, match="nothing was compared"):
        Comparison(decides=True, relative_limit=1e-5).difference()


def test_equal_arrays():
    same = compared(WANT)
    assert (same.max_abs, same.max_rel, same.decision_agreement, same.nonfinite_count) == (0.0, 0.0, 1.0, 0)
    assert same.cosine == pytest.approx(1.0)
    assert same.within(0.0)
    assert compared(WANT, decides=False).decision_agreement is None


def test_errors_are_relative_to_the_largest_magnitude():
    off = compared(WANT + np.array([[0, 0, 0.5], [0, 0, 0]]))
    assert (off.max_abs, off.max_rel) == (0.5, 0.125)
    assert off.within(0.125)
    assert not off.within(0.1)


def test_a_flipped_decision_fails_whatever_the_limit():
    flipped = compared([[2.0, 1.0, -4.0], [3.0, 1.0, 0.0]])
    assert flipped.decision_agreement == 0.5
    assert not flipped.within(1.0)


def test_a_tie_is_no_decision():
    assert compared([[1.0, 2.0]], [[2.0, 2.0 - 1e-9]]).decision_agreement == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_inf_never_agree(bad):
    output = WANT.copy()
    output[1, 2] = bad
    difference = compared(output)
    assert (difference.nonfinite_count, difference.max_abs, difference.cosine) == (1, math.inf, 0.0)
    assert not difference.within(math.inf)


def test_zero_references():
    zero = np.zeros((2, 3))
    assert compared(zero, zero).within(0.0)
    assert compared(zero, zero).cosine == 1.0
    assert compared(zero + 1e-9, zero).max_rel == math.inf
    assert compared(zero, WANT).cosine == 0.0


def test_what_cannot_be_compared():
    for output, reference, message in (
        (WANT[:1], WANT, r"one shape, found \[1, 3\] and reference \[2, 3\]"),
        (WANT[:0], WANT[:0], "one shape"),
        (WANT.astype(int), WANT, "floating arrays, found int64"),
        (WANT, WANT * np.nan, "reference holds NaN"),
    ):
        with pytest.raises(CompareError, match=message):
            compared(output, reference)


def test_half_overflow_is_counted():
    with np.errstate(over="ignore"):
        output = (WANT * 2e4).astype(np.float16)
    assert compared(output, WANT * 2e4).nonfinite_count == 1
