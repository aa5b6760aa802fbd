import numpy as np
import pytest
from fnet_runtime.bundle.manifest import MODEL, AxisProfile, TensorInfo, manifest_from_folder
from fnet_runtime.errors import InputError, SessionError
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.session import ANY_BATCH, checked_inputs, outputs_of_rows, run_in_batches

EXPECTED = [TensorInfo(name=n, dtype="int64", axes=("batch_size", 4)) for n in ("input_ids", "token_type_ids")]


def ids(*shape, dtype=np.int64):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "expected the inputs input_ids, token_type_ids; found none"),
        ({"input_ids": ids(1, 4), "mask": ids(1, 4)}, "found input_ids, mask"),
        ({"input_ids": ids(1, 4, dtype=np.int32), "token_type_ids": ids(1, 4)}, "input_ids: expected int64, found int32"),
        ({"input_ids": ids(1, 3), "token_type_ids": ids(1, 3)}, r"input_ids: expected the axes \['batch_size', 4\].*\[1, 3\]"),
        ({"input_ids": ids(4), "token_type_ids": ids(4)}, r"found the shape \[4\]"),
        ({"input_ids": ids(1, 4, 1), "token_type_ids": ids(1, 4)}, r"found the shape \[1, 4, 1\]"),
        ({"input_ids": ids(2, 4), "token_type_ids": ids(1, 4)}, r"token_type_ids: .*\[1, 4\]"),
        ({"input_ids": ids(0, 4), "token_type_ids": ids(0, 4)}, "none empty"),
    ],
)
def test_inputs_that_do_not_fit(inputs, message):
    with pytest.raises(InputError, match=message):
        checked_inputs(inputs, EXPECTED)


def test_inputs_are_put_in_order_and_made_contiguous():
    found = checked_inputs({"token_type_ids": ids(4, 2).T, "input_ids": ids(2, 4)}, EXPECTED)
    assert list(found) == ["input_ids", "token_type_ids"]
    assert found["token_type_ids"].flags.c_contiguous


@pytest.mark.parametrize(
    ("rows", "profile", "sizes"),
    [(5, (1, 2, 8), [5]), (9, (1, 2, 4), [2, 2, 2, 2, 1]), (1, (4, 4, 4), [4]), (6, (2, 4, 4), [4, 2]), (5, (2, 4, 4), [4, 2])],
)
def test_batches_meet_the_profile(rows, profile, sizes):
    seen = []

    low, best, high = profile

    class Doubling:
        batch = AxisProfile(min=low, opt=best, max=high)

        def run(self, inputs):
            seen.append(len(inputs["x"]))
            return {"y": inputs["x"].astype(np.float32) * 2}

    outputs = run_in_batches(Doubling(), {"x": np.arange(rows)[:, None]})
    assert seen == sizes
    np.testing.assert_array_equal(outputs["y"][:, 0], 2 * np.arange(rows))


@pytest.mark.parametrize(
    ("profile", "sizes"),
    [
        ((1, 8, 8), [(5, 3), (1, 1), (2, 2)]),
        ((1, 2, 4), [(4, 3), (1, 3), (1, 1), (2, 2)]),
        ((3, 3, 3), [(3, 3)] * 2 + [(3, 1), (3, 2)]),
    ],
)
def test_rows_of_one_shape_run_together(profile, sizes):
    seen = []
    low, best, high = profile

    class Adding:
        batch = AxisProfile(min=low, opt=best, max=high)

        def run(self, inputs):
            seen.append(inputs["x"].shape)
            return {"y": inputs["x"].astype(np.float32) + inputs["z"], "sum": inputs["x"].sum(axis=1).astype(np.float32)}

    lengths = [3, 1, 3, 2, 3, 3, 2, 3]
    rows = [{"x": np.full((1, length), number), "z": ids(1, length) + 100} for number, length in enumerate(lengths)]
    found = outputs_of_rows(Adding(), rows)
    assert seen == []  # a row runs when its outputs are asked for
    outputs = dict(found)
    assert seen == sizes
    assert sorted(outputs) == list(range(len(lengths)))
    for number, length in enumerate(lengths):
        assert outputs[number]["y"].tolist() == [[number + 100] * length]
        assert outputs[number]["sum"].tolist() == [number * length]


def test_outputs_that_change_their_shape():
    class Shrinking:
        batch = ANY_BATCH

        def run(self, inputs):
            rows = len(inputs["x"])
            return {"y": np.zeros((rows, min(rows, 2)), np.float32)}

    with pytest.raises(SessionError, match=r"y: expected an output of the shape \[1, 2\], found \[1, 1\]"):
        run_in_batches(Shrinking(), {"x": np.zeros((9, 1), np.int64)})


def test_onnx_runtime(bundle):
    manifest = manifest_from_folder(bundle)
    session = OrtSession(bundle / MODEL, manifest.inputs, threads=1)
    length = manifest.sequence_length
    outputs = session.run({"input_ids": ids(3, length), "token_type_ids": ids(3, length)})
    assert {name: (a.shape, a.dtype) for name, a in outputs.items()} == {"logits": ((3, 3), np.float32)}
    with pytest.raises(SessionError, match="ONNX Runtime failed"):
        session.run({"input_ids": ids(1, length) + 10**6, "token_type_ids": ids(1, length)})
    (bundle / MODEL).write_bytes(b"no graph")
    with pytest.raises(SessionError, match=r"model\.onnx: ONNX Runtime .* cannot open it"):
        OrtSession(bundle / MODEL, manifest.inputs)
