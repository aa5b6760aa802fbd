"""Bundles in a real Triton server: answers, batches, bad requests, new versions and the end."""

import json
import os
import shutil
import signal
import socket
import threading
from pathlib import Path

import fnet_runtime
import pytest
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.pipeline.tasks import TASKS
from support.checkpoints import save_tiny
from support.exports import export
from support.triton_models import columns_of, near, question_of, write
from support.triton_server import own_packages, running, waited

from fnet_export.bundle.triton.options import ServingOptions
from fnet_export.texts.emails import emails

CLIENTS = 16
PROTOCOLS = ("http", "grpc")
SPAM, OWN_LENGTHS = "sequence-classification", "own-lengths"


def put(bundle, repository, name, **options):
    instances = options.pop("instances", 1)
    return write(
        bundle, repository, name, serving=ServingOptions(threads=1, instances=instances, packages=own_packages()), **options
    )


@pytest.fixture(scope="module")
def repository(bundles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for task in TASKS:
        put(bundles(task), folder, task)
    put(bundles(SPAM, padding="none"), folder, OWN_LENGTHS)
    return folder


@pytest.fixture(scope="module")
def server(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with running(repository, folder, "--model-control-mode", "explicit", "--load-model", "*") as server:
        yield server


def request_of(model, *texts, protocol="http", outputs=("answer",), **more):
    inputs = {"text": ["BYTES", [[text] for text in texts]]}
    return {"protocol": protocol, "model": model, "inputs": inputs, "outputs": list(outputs), **more}


def task_request(task, protocol):
    rows = {name: ["BYTES", values] for name, values in columns_of(task).items()}
    return {"protocol": protocol, "model": task, "inputs": rows, "outputs": ["answer"]}


def check(result, expected):
    assert "error" not in result, result
    assert [json.loads(row[0]) for row in result["answer"]] == near([json.loads(json_from_values(answer)) for answer in expected])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_task_answers_as_the_runtime_does(server, bundles, protocol):
    results = server.ask(*(task_request(task, protocol) for task in TASKS))
    for task, result in zip(TASKS, results, strict=True):
        pipeline = fnet_runtime.load(bundles(task))
        check(result, [pipeline.answer_each([text], second)[0] for text, second in (question_of(task, row) for row in range(2))])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("model", [SPAM, OWN_LENGTHS])
def test_sixteen_clients_share_batches(server, bundles, protocol, model):
    padding = {} if model == SPAM else {"padding": "none"}
    expected = fnet_runtime.load(bundles(SPAM, **padding)).classify(list(emails()))
    before = server.call("get_inference_statistics", model)["model_stats"][0]
    results = server.ask(*(request_of(model, text, protocol=protocol) for text in emails()), clients=CLIENTS)
    after = server.call("get_inference_statistics", model)["model_stats"][0]
    for result, answer in zip(results, expected, strict=True):
        check(result, [answer])
    requests, runs = (int(after[key]) - int(before[key]) for key in ("inference_count", "execution_count"))
    assert (requests, runs < requests) == (len(emails()), True)


ODD = ["", " ", "free\0prize", "\N{GRINNING FACE}" * 100, "fox " * 25_000]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("model", [SPAM, OWN_LENGTHS])
def test_odd_texts(server, bundles, protocol, model):
    padding = {} if model == SPAM else {"padding": "none"}
    expected = fnet_runtime.load(bundles(SPAM, **padding)).answer_each(ODD)
    for result, answer in zip(server.ask(*(request_of(model, text, protocol=protocol) for text in ODD)), expected, strict=True):
        if isinstance(answer, fnet_runtime.InputError):
            assert str(answer) in result["error"]
        else:
            check(result, [answer])


def test_labels_and_scores(server, bundles):
    answer = fnet_runtime.load(bundles(SPAM)).classify("the fox")
    for protocol in PROTOCOLS:
        first = request_of(SPAM, "the fox", protocol=protocol, outputs=["scores"])
        scores, classes = server.ask(first, first | {"classes": {"scores": 1}})
        by_label = {score.label: score.score for score in answer.scores}
        assert scores["scores"][0] == near([by_label[label] for label in "ABC"])
        assert classes["scores"][0][0].split(":")[2] == answer.label


BAD = {
    "not UTF-8": ({"text": ["RAW", [["ff00"]]]}, "expected bytes of UTF-8"),
    "a row too long": (
        {"text": ["BYTES", [["a"], ["a" * 100_001]]]},
        "row 1: expected a text of at most 100000 bytes of UTF-8, found 100001",
    ),
    "a megabyte": (
        {"text": ["BYTES", [["a" * 1_000_000]]]},
        "row 0: expected a text of at most 100000 bytes of UTF-8, found 1000000",
    ),
    "too many rows": ({"text": ["BYTES", [["a"]] * 9]}, "batch-size must be <= 8"),
    "another type": ({"text": ["INT64", [[1]]]}, "data-type"),
    "another shape": ({"text": ["BYTES", [["a", "b"]]]}, "unexpected shape"),
    "an unknown input": ({"text": ["BYTES", [["a"]]], "texts": ["BYTES", [["a"]]]}, "texts"),
    "no text": ({"pair": ["BYTES", [["a"]]]}, "text"),
}


def test_a_bad_request_is_an_error_while_others_are_answered(server, bundles):
    answer = fnet_runtime.load(bundles(SPAM)).classify("the fox")
    bad = [request_of(SPAM, "a", protocol=protocol) | {"inputs": inputs} for inputs, _ in BAD.values() for protocol in PROTOCOLS]
    good = request_of(SPAM, "the fox")
    results = server.ask(*(request for one in bad for request in (good, one, good)), clients=CLIENTS)
    words = [words for _, words in BAD.values() for _ in PROTOCOLS]
    for number, expected in enumerate(words):
        before, result, after = results[3 * number : 3 * number + 3]
        assert expected in result.get("error", ""), result
        check(before, [answer])
        check(after, [answer])
    questions = task_request("masked-lm", "http")
    top_k = questions["inputs"] | {"top_k": ["INT32", [[10**9], [5]]]}
    (result,) = server.ask(questions | {"inputs": top_k})
    assert "top_k: expected 1 to 100, found 1000000000" in result["error"]
    masks = request_of("masked-lm", "[MASK] " * 10_000)
    (result,) = server.ask(masks | {"inputs": masks["inputs"] | {"top_k": ["INT32", [[100]]]}})
    assert "which is more than 16777216 bytes" in result["error"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 4096,
        b"POST /v2/models/sequence-classification/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{x}",
        b"POST /v2/models/sequence-classification/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n" + b"[" * 65536,
        b"POST /v2/models/sequence-classification/infer HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"a" * 65536,
    ],
    ids=["no HTTP", "no JSON", "an endless body", "an endless header"],
)
def test_a_hostile_connection_leaves_the_others_alone(server, bundles, data):
    host, port = server.http.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(data)
        (result,) = server.ask(request_of(SPAM, "the fox"))
        check(result, [fnet_runtime.load(bundles(SPAM)).classify("the fox")])
    assert server.ready()


def test_a_new_version_is_loaded_while_requests_are_answered(server, bundles, repository, tmp_path):
    old = fnet_runtime.load(bundles(SPAM)).classify("the fox")
    other = export(save_tiny(tmp_path / "checkpoint", hidden_size=10), tmp_path / "bundle", quick=True).folder
    new = fnet_runtime.load(other).classify("the fox")
    assert old.scores != new.scores
    put(other, repository, SPAM, version=2)
    results = []
    asking = threading.Thread(target=lambda: results.extend(server.ask(*[request_of(SPAM, "the fox")] * 3000, clients=4)))
    asking.start()
    assert server.call("load_model", SPAM) is None
    asking.join()
    known = {json.loads(result["answer"][0][0])["score"] for result in results}
    assert {round(score, 5) for score in known} <= {round(old.score, 5), round(new.score, 5)}
    (result,) = server.ask(request_of(SPAM, "the fox"))
    check(result, [new])

    put(other, repository, SPAM, version=3)
    weights = repository / SPAM / "3" / "bundle" / "model.onnx"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    assert "the file was altered" in server.call("load_model", SPAM)["error"]
    (result,) = server.ask(request_of(SPAM, "the fox"))
    check(result, [new])
    shutil.rmtree(repository / SPAM / "3")


def test_the_server_ends_cleanly(bundles, tmp_path):
    put(bundles(SPAM), tmp_path / "models", SPAM, instances=2)
    with running(tmp_path / "models", tmp_path / "server") as server:
        instances, files = server.instances(), server.shared_memory()
        assert (len(instances), all(path.exists() for path in files), len(files)) == (2, True, 2)
        check(server.ask(request_of(SPAM, "the fox"))[0], [fnet_runtime.load(bundles(SPAM)).classify("the fox")])
        assert server.stop() == 0
        assert not any(alive(pid) for pid in instances)
        assert not any(path.exists() for path in files)
    assert "error" not in server.log.read_text(errors="replace").lower().replace("stderr", "")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_is_killed_can_be_started_again(bundles, tmp_path):
    put(bundles(SPAM), tmp_path / "models", SPAM)
    fox, answer = request_of(SPAM, "the fox"), fnet_runtime.load(bundles(SPAM)).classify("the fox")
    with running(tmp_path / "models", tmp_path / "first", "--model-control-mode", "explicit", "--load-model", "*") as server:
        files = server.shared_memory()
        os.kill(server.instances()[0], signal.SIGKILL)
        assert "is not healthy" in server.ask(fox)[0]["error"]
        assert (server.call("unload_model", SPAM), server.call("load_model", SPAM)) == (None, None)
        check(server.ask(fox)[0], [answer])

        instances, results = server.instances(), []
        files += server.shared_memory()
        asking = threading.Thread(target=lambda: results.extend(server.ask(*[fox] * 20_000, clients=4)))
        asking.start()
        waited(lambda: server.answered(SPAM) > 10)
        server.process.kill()
        server.process.wait()
        asking.join()
        assert (len(results), "error" in results[0], "error" in results[-1]) == (20_000, False, True)
    for pid in filter(alive, instances):  # one may wait for the server for ever (docs/triton.md)
        os.kill(pid, signal.SIGKILL)
    for path in files:
        path.unlink(missing_ok=True)  # what is killed leaves them
    with running(tmp_path / "models", tmp_path / "second") as server:
        check(server.ask(fox)[0], [answer])
