"""Ensembles in a real Triton server. It has no backend that runs graphs, so a stand-in of the tests runs them."""

import json

import fnet_runtime
import pytest
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.pipeline.tasks import TASKS
from support.triton_models import columns_of, near, question_of, write
from support.triton_server import own_packages, running, stand_in_for_backend

from fnet_export.bundle.triton.options import ServingOptions
from fnet_export.texts.emails import emails

SPAM, OWN_LENGTHS = "sequence-classification", "own-lengths"
PROTOCOLS = ("http", "grpc")
QUEUE_DELAY_US = 20_000
"""Long enough that requests meet on a busy host, where few arrive within the default."""


@pytest.fixture(scope="module")
def server(bundles, tmp_path_factory):
    repository = tmp_path_factory.mktemp("models")
    serving = ServingOptions(threads=1, packages=own_packages(), queue_delay_us=QUEUE_DELAY_US)
    made = {task: bundles(task) for task in TASKS} | {OWN_LENGTHS: bundles(SPAM, padding="none")}
    for name, bundle in made.items():
        folder = write(bundle, repository, name, form="ensemble", serving=serving)
        stand_in_for_backend(folder.with_name(f"{name}_graph"))
    with running(repository, tmp_path_factory.mktemp("server")) as server:
        yield server


def request_of(task, row, protocol):
    inputs = {name: ["BYTES", rows[row]] for name, rows in columns_of(task).items()}
    return {"protocol": protocol, "model": task, "inputs": inputs, "outputs": ["answer"]}


def spam_request(text, protocol, model=SPAM):
    return {"protocol": protocol, "model": model, "inputs": {"text": ["BYTES", [text]]}, "outputs": ["answer"]}


def check(result, answer):
    assert "error" not in result, result
    assert json.loads(result["answer"][0]) == near(json.loads(json_from_values(answer)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_task_answers_as_the_runtime_does(server, bundles, protocol):
    cases = [(task, row) for task in TASKS for row in range(2)]
    results = server.ask(*(request_of(task, row, protocol) for task, row in cases))
    for (task, row), result in zip(cases, results, strict=True):
        text, second = question_of(task, row)
        check(result, fnet_runtime.load(bundles(task)).answer_each([text], second)[0])


@pytest.mark.parametrize(("protocol", "model"), [*((protocol, SPAM) for protocol in PROTOCOLS), ("grpc", OWN_LENGTHS)])
def test_the_graph_runs_the_texts_of_sixteen_clients_in_batches(server, bundles, protocol, model):
    padding = {} if model == SPAM else {"padding": "none"}
    expected = fnet_runtime.load(bundles(SPAM, **padding)).classify(list(emails()))
    before = server.call("get_inference_statistics", f"{model}_graph")["model_stats"][0]
    results = server.ask(*(spam_request(text, protocol, model) for text in emails()), clients=16)
    after = server.call("get_inference_statistics", f"{model}_graph")["model_stats"][0]
    for result, answer in zip(results, expected, strict=True):
        check(result, answer)
    requests, runs = (int(after[key]) - int(before[key]) for key in ("inference_count", "execution_count"))
    assert requests == len(emails())
    assert runs < requests or model == OWN_LENGTHS  # texts of one length may never meet


def test_a_pair_and_a_number_of_answers(server, bundles):
    pair = spam_request("the fox", "http")
    pair["inputs"]["pair"] = ["BYTES", ["a dog"]]
    spans = request_of("question-answering", 0, "grpc")
    spans["inputs"]["top_k"] = ["INT32", [1]]
    first, second = server.ask(pair, spans)
    check(first, fnet_runtime.load(bundles(SPAM)).classify("the fox", "a dog"))
    text, context = question_of("question-answering", 0)
    check(second, fnet_runtime.load(bundles("question-answering")).answer(text, context, top_k=1))


def test_labels(server, bundles):
    request = spam_request("the fox", "http") | {"outputs": ["scores"], "classes": {"scores": 1}}
    (result,) = server.ask(request)
    assert result["scores"][0].split(":")[2] == fnet_runtime.load(bundles(SPAM)).classify("the fox").label


def test_a_bad_request_is_an_error_while_others_are_answered(server, bundles):
    good = spam_request("the fox", "http")
    windows = request_of("question-answering", 0, "http")
    windows["inputs"]["pair"] = ["BYTES", ["the quick dog jumps over " * 200]]
    answers = {"question": ["BYTES", ["{}"]]}
    bad = [
        (spam_request("", "http") | {"inputs": {"text": ["RAW", ["ff00"]]}}, "expected bytes of UTF-8"),
        (spam_request("a" * 100_001, "http"), "expected a text of at most 100000 bytes"),
        (windows, "rows of the graph, and this model runs 8 at most"),
        (good | {"model": f"{SPAM}_answers", "inputs": answers}, "expected"),
    ]
    results = server.ask(*(request for one, _ in bad for request in (one, good)), clients=4)
    answer = fnet_runtime.load(bundles(SPAM)).classify("the fox")
    for (_, words), failed, answered in zip(bad, results[::2], results[1::2], strict=True):
        assert words in failed.get("error", ""), failed
        check(answered, answer)
    assert server.ready()
