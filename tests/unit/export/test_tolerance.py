import pytest
from fnet_runtime.bundle.manifest import PRECISIONS

from fnet_export.base.errors import OptionError
from fnet_export.parity.tolerance import (
    MULTIPLE,
    MULTIPLES,
    RULE,
    UNIT,
    DistanceLimit,
    Errors,
    Limit,
    Tolerance,
    expected_from_errors,
    limit_from_emulation,
    limit_from_expected,
    tolerance_from_options,
)


def test_the_limit_is_a_multiple_of_what_was_measured():
    measured = Errors(scale=2.0, max_abs=1e-5, mean_abs=1e-6)
    assert expected_from_errors(measured, "fp32") == measured
    assert limit_from_expected(measured, "fp32") == Limit(max_abs=MULTIPLE * 1e-5, mean_abs=MULTIPLE * 1e-6)
    assert limit_from_expected(measured, "int8") == Limit(max_abs=MULTIPLES["int8"] * 1e-5, mean_abs=MULTIPLES["int8"] * 1e-6)
    assert any(all(f"{multiple} in {name}" in sentence for name, multiple in MULTIPLES.items()) for sentence in RULE)


def test_int8_may_be_a_part_of_its_own_error_from_its_emulation():
    measured = Errors(scale=2.0, max_abs=1e-2, mean_abs=1e-3)
    floor = MULTIPLE * 2 * 2.0**-24
    assert limit_from_emulation(measured, 8e-4) == DistanceLimit(median_abs=pytest.approx(8e-5 + floor), mean_abs=5e-4)
    assert limit_from_emulation(measured, 8e-4, Tolerance(atol=0.5)) == DistanceLimit(median_abs=0.5, mean_abs=0.5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_half_a_unit_is_expected_at_least(precision):
    least = expected_from_errors(Errors(scale=2.0, max_abs=0.0, mean_abs=0.0), precision)
    assert (least.max_abs, least.mean_abs) == (2 * UNIT[precision], 2 * UNIT[precision] / 8)


def test_a_limit_is_as_numpy_means_it():
    asked = tolerance_from_options(0.5, 0.25)
    assert limit_from_expected(Errors(scale=8.0, max_abs=0.0, mean_abs=0.0), "int8", asked) == Limit(max_abs=2.5, mean_abs=2.5)
    assert tolerance_from_options(None, None) is None
    assert tolerance_from_options(None, 0.5) == Tolerance(rtol=0.5)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_limit_is_a_number_from_nought(bad):
    with pytest.raises(OptionError, match="--atol: expected a number from 0, found"):
        tolerance_from_options(bad, None)
