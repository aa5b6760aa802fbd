import numpy as np
import pytest
import safetensors.numpy
from fnet_runtime.bundle.golden import golden_from_file
from fnet_runtime.errors import BundleError, SessionError
from fnet_runtime.pipeline.self_test import checks_from_session
from fnet_runtime.sessions.session import ANY_BATCH
from support.hostile import NO_GOLDENS

INPUTS = {"input.ids": np.arange(6, dtype=np.int64).reshape(2, 3)}
WANT = np.array([[1.0, -2.0], [4.0, 0.5]])


def saved(path, tensors=None, **metadata):
    all_of_them = INPUTS | {"reference.logits": WANT} | (tensors or {})
    limits = {name.replace("reference.", "limit."): "4e-3" for name in all_of_them if name.startswith("reference.")}
    path.write_bytes(safetensors.numpy.save(all_of_them, limits | metadata))
    return path


class Fixed:
    batch = ANY_BATCH

    def __init__(self, output):
        self.output = output

    def run(self, inputs):
        return {"logits": np.asarray(self.output, np.float32)}


def test_reads_what_safetensors_writes(tmp_path):
    golden = golden_from_file(saved(tmp_path / "g"))
    assert golden.limits == {"logits": 4e-3}
    np.testing.assert_array_equal(golden.inputs["ids"], INPUTS["input.ids"])
    np.testing.assert_array_equal(golden.references["logits"], WANT)


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
    golden = golden_from_file(saved(tmp_path / "g", {"reference.logits": WANT[:1]}))
    (check,) = checks_from_session(Fixed(WANT), golden)
    assert not check.passed


def test_a_missing_output_and_a_zero_reference(tmp_path):
    golden = golden_from_file(saved(tmp_path / "g", {"reference.logits": np.zeros((2, 2)), "reference.other": WANT}))
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
        ({"input.b": WANT}, {}),
        ({"reference.b": INPUTS["input.ids"]}, {}),
        ({"reference.b": WANT * np.nan}, {}),
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
