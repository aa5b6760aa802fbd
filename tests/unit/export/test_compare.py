import math

import numpy as np
import pytest

from fnet_export.base.errors import CompareError
from fnet_export.evaluation.decisions import HIGHEST, SIGN
from fnet_export.parity.agreement import Agreement
from fnet_export.parity.compare import LOG10_EDGES, Comparison
from fnet_export.parity.tolerance import Limit

WANT = np.array([[1.0, 2.0, -4.0], [3.0, 1.0, 0.0]])
TIGHT, LOOSE = Limit(max_abs=1e-5, mean_abs=1e-5), Limit(max_abs=1.0, mean_abs=1.0)
NOUGHT = Limit(max_abs=0.0, mean_abs=0.0)


def compared(output, reference=WANT, decision=HIGHEST, limit=TIGHT):
    comparison = Comparison(decision=decision)
    comparison.add(np.asarray(output), np.asarray(reference))
    return comparison.difference(limit)


def test_batches_count_as_one_array():
    reference = np.array([[2.0, 1.9], [1.0, 3.0]])
    output = reference + np.array([[0, 0.4], [0.1, 0]])
    comparison = Comparison(decision=HIGHEST)
    for got, want in zip(output, reference, strict=True):
        comparison.add(got[None], want[None])
    found = comparison.difference(TIGHT)
    assert found == compared(output, reference)
    assert (found.max_rel, found.mean_abs, found.agreement.share) == (pytest.approx(0.4 / 3), pytest.approx(0.125), 0.5)
    assert comparison.row_errors == pytest.approx([0.4, 0.1])
    assert comparison.otherwise(TIGHT) == ({0}, frozenset())
    assert (comparison.median_abs(), comparison.median_abs({1})) == (pytest.approx(0.125), pytest.approx(0.05))
    assert comparison.errors({1}).max_abs == pytest.approx(0.1)
    with pytest.raises(CompareError, match="nothing was compared"):
        Comparison(decision=HIGHEST).difference(TIGHT)


def test_equal_arrays():
    same = compared(WANT)
    assert (same.max_abs, same.max_rel, same.agreement.share, same.nonfinite_count) == (0.0, 0.0, 1.0, 0)
    assert (same.cosine, same.kl, same.top5) == (pytest.approx(1.0), 0.0, None)
    assert same.within(NOUGHT)
    assert compared(WANT, decision=None).agreement is None
    assert compared(WANT, decision=None).kl is None


def test_errors_are_within_both_limits():
    off = compared(WANT + np.array([[0, 0, 0.5], [0, 0, 0]]))
    assert (off.max_abs, off.max_rel, off.mean_abs) == (0.5, 0.125, pytest.approx(0.5 / 6))
    assert off.within(Limit(max_abs=0.5, mean_abs=0.1))
    assert not off.within(Limit(max_abs=0.4, mean_abs=0.1))
    assert not off.within(Limit(max_abs=0.5, mean_abs=0.08))


def test_a_flipped_decision_is_counted_whatever_the_limit():
    flipped = compared([[2.0, 1.0, -4.0], [3.0, 1.0, 0.0]], limit=Limit(max_abs=0.4, mean_abs=0.4))
    assert flipped.agreement == Agreement(decisions=2, differ=1, ties=0)


def test_a_tie_differs_and_is_counted_apart():
    tie = [[1.0, 2.0], [2.0, 1.0]], [[2.0, 2.0 - 1e-9], [2.0, 1.0]]
    assert compared(*tie).agreement == Agreement(decisions=2, differ=1, ties=1)
    rounded = Comparison(decision=HIGHEST, ties=False)  # in other precisions than float32 nothing is forgiven
    rounded.add(*map(np.asarray, tie))
    assert rounded.difference(LOOSE).agreement == Agreement(decisions=2, differ=1, ties=0)
    assert rounded.otherwise(LOOSE) == ({0}, frozenset())


def test_a_sign_decides_each_score_and_its_tie_is_within_the_limit_of_zero():
    want = np.array([[1.0, -1e-6], [-2.0, 3.0], [4.0, 5.0]])
    flipped = compared([[1.0, 1e-6], [2.0, 3.0], [4.0, 5.0]], want, decision=SIGN)
    assert flipped.agreement == Agreement(decisions=6, differ=2, ties=1)
    assert (flipped.kl, flipped.top5) == (None, None)
    one = np.array([[0.5], [-0.5]])
    assert compared(-one, one, decision=SIGN).agreement == Agreement(decisions=2, differ=2, ties=0)
    comparison = Comparison(decision=SIGN)
    comparison.add(np.array([[1.0, 1e-6], [2.0, 3.0], [math.nan, 5.0]]), want)
    assert comparison.otherwise(TIGHT) == ({0, 1, 2}, {0})  # an input answers by all of its labels
    broken = comparison.difference(TIGHT)
    assert (broken.agreement, broken.kl) == (Agreement(decisions=6, differ=4, ties=1), None)


def test_long_outputs_are_compared_in_slices(monkeypatch):
    draw = np.random.default_rng(0)
    output, reference = draw.normal(size=(2, 3, 7, 150)).astype(np.float32)
    whole = compared(output, reference)
    monkeypatch.setattr("fnet_export.parity.compare.PART", 300)
    sliced = compared(output, reference)
    assert sliced.agreement == whole.agreement
    figures = ("max_abs", "mean_abs", "max_rel", "cosine", "kl", "top5")
    assert [getattr(sliced, name) for name in figures] == pytest.approx([getattr(whole, name) for name in figures], rel=1e-12)


def test_the_distribution_is_compared():
    found = compared([[math.log(0.5), math.log(0.5)]], [[math.log(0.75), math.log(0.25)]])
    assert found.kl == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))


def test_the_five_best_of_many():
    reference = np.tile(np.arange(120.0), (1, 40, 1))
    output = reference.copy()
    output[..., 0] = 200.0
    assert compared(output, reference).top5 == pytest.approx(0.8)


def test_errors_are_counted_by_size():
    comparison = Comparison(decision=None, counts=True)
    comparison.add(np.array([[0.0, 3e-7, 5e3]]), np.zeros((1, 3)))
    counted = {edge: int(n) for edge, n in zip(LOG10_EDGES, comparison.histogram, strict=False) if n}
    assert counted == {LOG10_EDGES[0]: 1, -7.0: 1, LOG10_EDGES[-2]: 1}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_inf_never_agree(bad):
    output = WANT.copy()
    output[1, 2] = bad
    difference = compared(output)
    assert (difference.nonfinite_count, difference.max_abs, difference.cosine) == (1, math.inf, 0.0)
    assert not difference.within(Limit(max_abs=math.inf, mean_abs=math.inf))
    comparison = Comparison(decision=HIGHEST)
    comparison.add(output, WANT)
    assert comparison.otherwise(TIGHT) == ({1}, frozenset())
    assert comparison.median_abs() == math.inf
    assert comparison.row_errors == [0.0, math.inf]


def test_zero_references():
    zero = np.zeros((2, 3))
    assert compared(zero, zero).within(NOUGHT)
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
