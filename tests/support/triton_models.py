"""Models of Triton repositories: write them, and run their model.py files with a stand-in for the server."""

import importlib.util
import sys

import pytest
from fnet_runtime.bundle.manifest import Manifest
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.pipeline.open import load
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.triton.tensors import INPUTS
from support.triton_backend import Request, arguments, install, texts
from support.triton_schema import config_of, schema

from fnet_export.bundle.triton.options import RepositoryOptions, ServingOptions
from fnet_export.bundle.triton.repository import plan_from_options, repository_from_plan

REQUESTS = {
    "feature-extraction": {"text": ["the fox", "a dog"]},
    "pretraining": {"text": ["the [MASK]", "a [MASK]"], "pair": ["dog", "fox jumps"]},
    "masked-lm": {"text": ["the [MASK] fox", "a [MASK]"]},
    "next-sentence-prediction": {"text": ["the fox", "a"], "pair": ["dog", "b"]},
    "sequence-classification": {"text": ["the fox", "a dog"]},
    "multiple-choice": {"text": ["the", "a"], "choices": [["fox", "quick dog"], ["b", "over"]]},
    "token-classification": {"text": ["the fox", "a dog"]},
    "question-answering": {"text": ["the fox", "a"], "pair": ["the quick dog", "jumps over"]},
}
"""A request of two rows for each task."""


def write(bundle, repository, name="model", *, serving=None, **options):
    """Write the model of a bundle, and return its folder."""
    made = RepositoryOptions(bundles=(bundle,), repository=repository, name=name, serving=serving or ServingOptions(), **options)
    repository_from_plan(plan_from_options(made), on_stage=lambda title: None)
    return repository / name


def opened(folder, monkeypatch, version=1):
    """Run model.py as the server does, with the stand-in for its utilities."""
    install(monkeypatch)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("model", folder / str(version) / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    parameters = {key: value.string_value for key, value in config_of(folder).parameters.items()}
    model.initialize(arguments(folder, version, parameters))
    return model


def question_of(task, row):
    """Return the text of a row of a request, and what is next to it."""
    request = REQUESTS[task]
    second = request.get("pair") or request.get("choices")
    return request["text"][row], second and second[row]


def columns_of(task):
    """Return the rows of a request as lists: a text, or choices."""
    return {name: [row if isinstance(row, list) else [row] for row in values] for name, values in REQUESTS[task].items()}


def arrays_of(task):
    """Return a request as the server passes it."""
    return {name: texts(*rows) for name, rows in columns_of(task).items()}


def near(values):
    """Return values to compare with: a batch of another size may change the last digits of a float32."""
    if isinstance(values, dict):
        return {key: near(value) for key, value in values.items()}
    if isinstance(values, list):
        return [near(value) for value in values]
    return pytest.approx(values, abs=1e-5) if isinstance(values, float) else values


def check_answers(bundles, task, padding, folder, monkeypatch):
    """Compare the answers of a written model, and its configuration, with the runtime's."""
    bundle = bundles(task, **({} if padding == "max_length" else {"padding": padding}))
    model = write(bundle, folder)
    config = config_of(model)
    assert (config.name, config.backend, config.max_batch_size) == ("model", "python", 8)
    assert [tensor.name for tensor in config.input] == [tensor.name for tensor in INPUTS[task]]
    assert (config.output[0].name, config.output[0].data_type) == ("answer", schema().TYPE_STRING)
    outputs = [output.name for output in config.output]
    (response,) = opened(model, monkeypatch).execute([Request(outputs, **arrays_of(task))])
    assert response.error is None
    pipeline = load(bundle)
    for row in range(2):
        text, second = question_of(task, row)
        (answer,) = pipeline.answer_each([text], second)
        assert response.outputs["answer"][row, 0].decode() == json_from_values(answer)
        if "pooled" in outputs:
            assert response.outputs["pooled"][row].tolist() == answer.pooled.tolist()
            assert config.output[1].dims == [len(answer.pooled)]
    assert {name: len(array) for name, array in response.outputs.items()} == dict.fromkeys(outputs, 2)


def steps_of(folder):
    """Return the folders of an ensemble's steps, as its configuration names them."""
    return [folder.with_name(step.model_name) for step in config_of(folder).ensemble_scheduling.step]


def asked(folder, monkeypatch, outputs, **inputs):
    """Run the steps of an ensemble as the server does, with ONNX Runtime as the backend. Return the last response."""
    tokens, graph, answers = steps_of(folder)
    names = [output.name for output in config_of(tokens).output]
    (first,) = opened(tokens, monkeypatch).execute([Request(names, **inputs)])
    if first.error is not None:
        return first
    question = first.outputs.pop("question")
    session = OrtSession(graph / "1" / "model.onnx", manifest_of(folder).inputs)
    (last,) = opened(answers, monkeypatch).execute([Request(outputs, question=question, **session.run(first.outputs))])
    return last


def manifest_of(folder):
    """Return the manifest of the bundle of an ensemble."""
    bundle = folder.with_name(f"{folder.name}_tokens") / "1" / "bundle"
    return Manifest.from_json((bundle / "manifest.json").read_text())
