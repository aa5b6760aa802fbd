import pytest

from fnet_export.base.errors import OptionError
from fnet_export.parity.agreement import Agreement, check_min_agreement, points_of, text_of_few


def test_an_agreement_has_an_interval_even_when_all_agree():
    found = Agreement(decisions=40, differ=0, ties=0)
    assert (found.share, found.interval) == (1.0, (pytest.approx(0.912, abs=1e-3), 1.0))
    assert Agreement(decisions=40, differ=40, ties=0).interval == (0.0, pytest.approx(0.088, abs=1e-3))
    low, high = Agreement(decisions=100, differ=10, ties=2).interval  # Wilson 1927, as statsmodels has it
    assert (low, high) == (pytest.approx(0.8256, abs=1e-4), pytest.approx(0.9448, abs=1e-4))


@pytest.mark.parametrize(("differ", "said"), [(0, False), (2, False), (5, True), (77, True)])
def test_too_few_are_said_when_the_whole_interval_lies_below(differ, said):
    assert (text_of_few(Agreement(decisions=77, differ=differ, ties=0).values(), "logits") is not None) == said


def test_nothing_less_than_all_is_written_as_all():
    assert [points_of(share) for share in (1.0, 1 - 1e-7, 0.99037, 0.99, 0.0)] == [
        "100.00 %",
        "99.99 %",
        "99.03 %",
        "99.00 %",
        "0.00 %",
    ]


@pytest.mark.parametrize("bad", [-1.0, 100.5, float("nan")])
def test_a_limit_is_in_points(bad):
    check_min_agreement(None)
    check_min_agreement(99.5)
    with pytest.raises(OptionError, match="--min-agreement: expected points of 100, from 0 to 100; found"):
        check_min_agreement(bad)
