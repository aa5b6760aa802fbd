import numpy as np
import pytest
import safetensors.numpy
from fnet_runtime.bundle.golden import golden_from_file
from fnet_runtime.errors import BundleError, SessionError
from fnet_runtime.pipeline.self_test import checks_from_session
from fnet_runtime.sessions.session import ANY_BATCH
from support.hostile import NO_GOLDENS

INPUTS = {"0.input.ids": np.arange(6, dtype=np.int64).reshape(2, 3)}
WANT = np.array([[1.0, -2.0], [4.0, 0.5]])


def saved(path, tensors=None, **metadata):
    all_of_them = INPUTS | {"0.reference.logits": WANT} | (tensors or {})
    kept = {name: array for name, array in all_of_them.items() if array is not None}
    limits = {name.replace("0.reference.", "limit."): "4e-3" for name in kept if name.startswith("0.reference.")}
    path.write_bytes(safetensors.numpy.save(kept, limits | metadata))
    return path


class Fixed:
    batch = ANY_BATCH

    def __init__(self, output):
        self.output = output

    def run(self, inputs):
        return {"logits": np.asarray(self.output, np.float32)}


def test_reads_what_safetensors_writes(tmp_path):
    golden = golden_from_file(saved(tmp_path / "g"))
    assert (golden.limits, golden.rows) == ({"logits": 4e-3}, 2)
    (case,) = golden.cases
    assert (list(case.inputs), list(case.references)) == (["ids"], ["logits"])
    np.testing.assert_array_equal(case.inputs["ids"], INPUTS["0.input.ids"])
    np.testing.assert_array_equal(case.references["logits"], WANT)


SHORT = {"1.input.ids": np.array([[7]]), "1.reference.logits": np.array([[-8.0, 2.0]])}
"""A second case: one row, of another length."""


class ByLength(Fixed):
    """Answers by the length of the texts, and keeps the shapes that it saw."""

    def __init__(self, outputs):
        self.outputs, self.shapes = outputs, []

    def run(self, inputs):
        self.shapes.append(inputs["ids"].shape)
        return {"logits": np.asarray(self.outputs[inputs["ids"].shape[-1]], np.float32)}


def test_cases_of_unequal_lengths(tmp_path):
    golden = golden_from_file(saved(tmp_path / "g", SHORT))
    assert (golden.limits, golden.rows) == ({"logits": 4e-3}, 3)
    assert [case.inputs["ids"].shape for case in golden.cases] == [(2, 3), (1, 1)]
    for number, case in enumerate(golden.cases):
        np.testing.assert_array_equal(case.inputs["ids"], (INPUTS | SHORT)[f"{number}.input.ids"])
    np.testing.assert_array_equal(golden.cases[0].references["logits"], WANT)
    np.testing.assert_array_equal(golden.cases[1].references["logits"], SHORT["1.reference.logits"])


def test_ten_cases_keep_the_order_of_their_numbers(tmp_path):
    tensors = {}
    for number in (11, 2, 1, 10, 9, 5, 3, 4, 8, 6, 7):
        tensors[f"{number}.input.ids"] = np.full((1, number), number)
        tensors[f"{number}.reference.logits"] = np.full((1, 2), float(number))
    golden = golden_from_file(saved(tmp_path / "g", tensors))
    assert [case.inputs["ids"].shape[1] for case in golden.cases] == [3, *range(1, 12)]
    assert [case.references["logits"][0, 0] for case in golden.cases] == [1, *range(1, 12)]


@pytest.mark.parametrize(
    ("long", "short", "max_abs", "max_rel", "cosine", "passed"),
    [
        (WANT, [[-8.0, 2.0]], 0.0, 0.0, 1.0, True),
        (WANT + 0.002, [[-8.0, 2.0]], 0.002, 0.00025, 1.0, True),
        (WANT, [[-8.002, 2.0]], 0.002, 0.00025, 1.0, True),
        (WANT, [[-8.04, 2.0]], 0.04, 0.005, 1.0, False),
        (WANT + 0.04, [[-8.0, 2.0]], 0.04, 0.005, 1.0, False),  # relative to the largest value of all cases
        (WANT, [[2.0, 8.0]], 10.0, 1.25, 0.0, False),
        ([[1.0, -2.0], [0.5, -4.0]], [[-8.0, 2.0]], 4.5, 0.5625, 0.0, False),
        (WANT, [[-8.0, np.nan]], np.inf, np.inf, 0.0, False),
        (WANT * np.nan, [[-8.0, 2.0]], np.inf, np.inf, 0.0, False),
        (WANT, [[-8.0]], np.inf, np.inf, 0.0, False),
        (WANT[:, :1], [[-8.0, 2.0]], np.inf, np.inf, 0.0, False),
    ],
)
def test_the_worst_case_is_told(tmp_path, long, short, max_abs, max_rel, cosine, passed):
    session = ByLength({3: long, 1: short})
    (check,) = checks_from_session(session, golden_from_file(saved(tmp_path / "g", SHORT)))
    assert session.shapes == [(2, 3), (1, 1)]
    assert (check.max_abs, check.max_rel) == (pytest.approx(max_abs, rel=1e-3), pytest.approx(max_rel, rel=1e-3))
    assert (check.cosine, check.passed) == (pytest.approx(cosine, abs=1e-3), passed)


def test_the_rows_of_every_case_need_their_references(tmp_path):
    golden = golden_from_file(saved(tmp_path / "g", SHORT | {"1.input.ids": np.array([[7], [8]])}))
    (check,) = checks_from_session(ByLength({3: WANT, 1: [[-8.0, 2.0], [-8.0, 2.0]]}), golden)
    assert (check.max_abs, check.passed) == (np.inf, False)


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (WANT, 0.0),
        (WANT + 0.002, 5e-4),
        (WANT + 0.04, 1e-2),
        (np.pad(WANT, ((0, 0), (0, 3)), constant_values=9), 0.0),  # a reference may be the leading part
        (WANT * np.nan, np.inf),
        (WANT[0], np.inf),
    ],
)
def test_checks(tmp_path, output, error):
    (check,) = checks_from_session(Fixed(output), golden_from_file(saved(tmp_path / "g")))
    assert check.max_rel == pytest.approx(error, rel=1e-3)
    assert check.max_abs == pytest.approx(4 * error, rel=1e-3)
    assert check.cosine == (pytest.approx(1, abs=1e-3) if error < np.inf else 0.0)
    assert check.passed == (error <= 1e-3)


def test_an_engine_that_loses_rows_is_no_engine(tmp_path):
    with pytest.raises(SessionError, match=r"logits: expected an output of the shape \[2, 2\], found \[1, 2\]"):
        checks_from_session(Fixed(WANT[:1]), golden_from_file(saved(tmp_path / "g")))


def test_the_smallest_cosine(tmp_path):
    (check,) = checks_from_session(Fixed([[1.0, -2.0], [0.5, -4.0]]), golden_from_file(saved(tmp_path / "g")))
    assert (check.max_abs, check.cosine) == (4.5, pytest.approx(0.0))


def test_every_row_needs_its_reference(tmp_path):
    golden = golden_from_file(saved(tmp_path / "g", {"0.reference.logits": WANT[:1]}))
    (check,) = checks_from_session(Fixed(WANT), golden)
    assert not check.passed


def test_a_missing_output_and_a_zero_reference(tmp_path):
    golden = golden_from_file(saved(tmp_path / "g", {"0.reference.logits": np.zeros((2, 2)), "0.reference.other": WANT}))
    found = {check.output: check.max_rel for check in checks_from_session(Fixed(np.zeros((2, 2))), golden)}
    assert found == {"logits": 0.0, "other": np.inf}


@pytest.mark.parametrize("data", NO_GOLDENS, ids=range(len(NO_GOLDENS)))
def test_hostile_files(tmp_path, data):
    (tmp_path / "g").write_bytes(data)
    with pytest.raises(BundleError, match="is not the safetensors file of a bundle"):
        golden_from_file(tmp_path / "g")


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        ({"stray": WANT}, {}),
        ({"0.input.b": WANT}, {}),
        ({"0.reference.b": INPUTS["0.input.ids"]}, {}),
        ({"0.reference.b": WANT * np.nan}, {}),
        ({"0.input.ids": None}, {}),
        ({"0.reference.logits": None}, {}),
        ({"2.input.ids": SHORT["1.input.ids"], "2.reference.logits": WANT}, {}),
        (SHORT | {"3.input.ids": SHORT["1.input.ids"], "3.reference.logits": WANT}, {}),
        (SHORT | {"1.input.ids": None}, {}),
        (SHORT | {"1.reference.logits": None}, {}),
        (SHORT | {"1.input.types": SHORT["1.input.ids"]}, {}),
        (SHORT | {"1.input.ids": None, "1.input.types": SHORT["1.input.ids"]}, {}),
        (SHORT | {"1.reference.b": WANT}, {"limit.b": "0.1"}),
        (SHORT | {"0.reference.b": WANT}, {}),
        (SHORT | {"1.input.ids": WANT}, {}),
        (SHORT | {"1.reference.logits": WANT * np.nan}, {}),
        (SHORT | {"1.reference.logits": WANT.astype(np.int64)}, {}),
        ({}, {"limit.logits": "nan"}),
        ({}, {"limit.logits": "-1"}),
        ({}, {"limit.logits": "some"}),
    ],
)
def test_bad_contents(tmp_path, tensors, metadata):
    with pytest.raises(BundleError, match="is not the safetensors file of a bundle"):
        golden_from_file(saved(tmp_path / "g", tensors, **metadata))
    with pytest.raises(BundleError, match="No such file"):
        golden_from_file(tmp_path / "nothing")
