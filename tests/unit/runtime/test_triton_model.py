"""The model that a Triton server's Python backend calls, with a stand-in for the server."""

import json
import os
import shutil

import fnet_runtime
import numpy as np
import pytest
from fnet_runtime.bundle.golden import golden_from_file
from fnet_runtime.bundle.manifest import GOLDEN
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.errors import InputError, SessionError
from fnet_runtime.pipeline.model import Question
from fnet_runtime.triton.questions import MAX_CHOICES, MAX_TOP_K, questions_from_tensors
from fnet_runtime.triton.server import settings_from_arguments
from fnet_runtime.triton.whole import WholeModel
from safetensors.numpy import load_file, save_file
from support.bundles import replaced
from support.triton_backend import Request, TritonError, arguments, install, texts


@pytest.fixture
def folder(whole_bundle, tmp_path):
    """The folder of a model whose version 1 holds a bundle."""
    shutil.copytree(whole_bundle, tmp_path / "model" / "1" / "bundle")
    return tmp_path / "model"


@pytest.fixture
def model(folder, monkeypatch):
    install(monkeypatch)
    model = WholeModel()
    model.initialize(arguments(folder))
    return model


def read(**tensors):
    return questions_from_tensors(tensors, max_text_bytes=100)


def test_a_row_is_a_question():
    assert read(text=texts(["a"], ["b"])) == [Question("a"), Question("b")]
    assert read(text=texts(["a"]), pair=texts(["b"]), top_k=np.array([[2]], np.int32)) == [Question("a", "b", 2)]
    assert read(text=texts(["a"], ["b"]), choices=texts(["c", "d"], ["e", "f"])) == [
        Question("a", ["c", "d"]),
        Question("b", ["e", "f"]),
    ]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"text": np.array([[b"\xff"]], np.object_)}, "text, row 0: expected bytes of UTF-8; byte 0 is wrong"),
        ({"text": np.array([["a"]], np.object_)}, "text, row 0: expected bytes of UTF-8, found str"),
        ({"text": texts(["a"], ["b" * 101])}, "text, row 1: expected a text of at most 100 bytes of UTF-8, found 101"),
        ({"text": texts(["a"]), "pair": texts(["b" * 101])}, "pair, row 0: expected a text of at most 100 bytes"),
        ({"text": texts(["a"]), "choices": texts([])}, f"choices: expected 1 to {MAX_CHOICES} choices for each text, found 0"),
        ({"text": texts(["a"]), "choices": texts(["b"] * (MAX_CHOICES + 1))}, f"found {MAX_CHOICES + 1}"),
        ({"text": texts(["a"]), "top_k": np.array([[0]], np.int32)}, f"top_k: expected 1 to {MAX_TOP_K}, found 0"),
        ({"text": texts(["a"]), "top_k": np.array([[MAX_TOP_K + 1]], np.int32)}, f"found {MAX_TOP_K + 1}"),
        ({"text": texts(["a"]), "pair": texts(["b"], ["c"])}, "expected as many rows of each input as texts"),
    ],
)
def test_what_is_not_a_question_is_refused(tensors, message):
    with pytest.raises(InputError) as refused:
        read(**tensors)
    assert message in str(refused.value)


def test_requests_of_a_batch_are_answered_as_the_runtime_answers(model, whole_bundle):
    pipeline = fnet_runtime.load(whole_bundle)
    asked = [Request(text=texts(["a fox"], ["dogs"])), Request(("scores", "answer"), text=texts(["a fox"]), pair=texts(["dogs"]))]
    first, second = model.execute(asked)
    assert [row[0].decode() for row in first.outputs["answer"]] == [
        json_from_values(pipeline.classify(t)) for t in ("a fox", "dogs")
    ]
    answer = pipeline.classify("a fox", "dogs")
    assert json.loads(second.outputs["answer"][0, 0]) == json.loads(json_from_values(answer))
    by_label = {score.label: score.score for score in answer.scores}
    assert second.outputs["scores"].tolist() == [[by_label[label] for label in pipeline.manifest.labels]]
    assert set(first.outputs) == {"answer"}
    model.finalize()


def test_a_bad_request_is_an_error_and_the_others_are_answered(model):
    long = "a" * 200_000
    asked = [Request(text=texts(["a"])), Request(text=texts(["b"], [long])), Request(text=texts(["c"]))]
    good, bad, last = model.execute(asked)
    assert (good.error, last.error) == (None, None)
    assert (bad.error.code, bad.outputs) == (TritonError.INVALID_ARG, {})
    assert "text, row 1: expected a text of at most 100000 bytes" in bad.error.message


def test_a_row_that_has_no_answer_is_named(model, monkeypatch):
    monkeypatch.setattr(type(model._pipeline), "answer_questions", lambda self, asked: [InputError("no") for _ in asked])
    one, two = model.execute([Request(text=texts(["a"])), Request(text=texts(["a"], ["b"]))])
    assert (one.error.message, two.error.message) == ("no", "row 0: no")


def test_an_engine_that_fails_is_the_servers_error(model, monkeypatch):
    def fail(self, asked):
        raise SessionError("the engine failed")

    monkeypatch.setattr(type(model._pipeline), "answer_questions", fail)
    failed, bad = model.execute([Request(text=texts(["a"])), Request(text=np.array([[b"\xff"]], np.object_))])
    assert (failed.error.code, failed.error.message) == (TritonError.INTERNAL, "the engine failed")
    assert bad.error.code == TritonError.INVALID_ARG


def test_a_model_whose_golden_inputs_fail_is_not_loaded(folder, monkeypatch):
    install(monkeypatch)
    bundle = folder / "1" / "bundle"
    tensors = {name: array + (array.dtype == np.float64) for name, array in load_file(bundle / GOLDEN).items()}
    limits = {f"limit.{name}": repr(limit) for name, limit in golden_from_file(bundle / GOLDEN).limits.items()}
    save_file(tensors, bundle / "wrong", metadata=limits)
    replaced(bundle, GOLDEN, (bundle / "wrong").read_bytes())
    with pytest.raises(SessionError, match=r"the self-test failed on this host \(logits\)"):
        WholeModel().initialize(arguments(folder))


def test_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    plain = settings_from_arguments(arguments(tmp_path, version=3))
    assert (plain.bundle, plain.runtime, plain.threads) == (tmp_path / "3" / "bundle", "auto", None)
    given = {"runtime": "onnxruntime", "threads": "2", "max_text_bytes": "9"}
    made = settings_from_arguments(arguments(tmp_path, parameters=given, model_instance_kind="GPU", model_instance_device_id="1"))
    assert (made.runtime, made.threads, made.max_text_bytes) == ("onnxruntime", 2, 9)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,9")
    settings_from_arguments(arguments(tmp_path, model_instance_kind="GPU", model_instance_device_id="1"))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "9"
