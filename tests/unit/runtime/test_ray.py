"""What fnet_runtime.ray does without Ray: room in a cluster, options, and the requests of a service."""

import asyncio
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from fnet_runtime.errors import BundleError, ClusterError, InputError, LibraryError, OptionError, SessionError
from fnet_runtime.pipeline.open import load
from fnet_runtime.ray import Actors, BatchOptions, ServiceOptions, check_cluster, cluster, service
from fnet_runtime.ray.batches import Answerer, answers_of_rows
from fnet_runtime.ray.cluster import check_resources
from fnet_runtime.ray.columns import columns_of_task

SECONDS = 60
TWO_NODES = [{"CPU": 2.0}, {"CPU": 2.0, "GPU": 1.0}]


def test_plain_imports_know_nothing_of_ray():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, fnet_runtime; print([n for n in sys.modules if n.split('.')[-1] in ('ray', 'pyarrow')])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_a_missing_library_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LibraryError, match=r"ray cannot be imported .*; pip install 'ray\[data,serve\]>=2.60'"):
        check_cluster(Actors())


@pytest.mark.parametrize(
    ("actors", "free"),
    [(Actors(count=3), {"CPU": 4.0}), (Actors(cpus=2), {"CPU": 3.0}), (Actors(count=1, gpus=1), {"CPU": 2.0, "GPU": 1.0})],
)
def test_actors_that_fit(actors, free):
    check_resources(actors, TWO_NODES, free)


@pytest.mark.parametrize(
    ("actors", "free", "message"),
    [
        (Actors(count=4), {"CPU": 4.0}, "4 actors of 1 CPU need 5 CPUs, with 1 for reading and writing; the cluster has 4, and 4 "
         "are free. Ray would wait for ever. Ask for at most 3 actors, add nodes, or end other jobs"),
        (Actors(count=2), {"CPU": 0.5}, "Ask for less of each actor, add nodes, or end other jobs"),
        (Actors(count=1), {}, "the cluster has 4, and 0 are free"),
        (Actors(count=1, cpus=3), {"CPU": 4.0}, "the cluster has room for 0 actors of 3 CPU, because no actor spans two nodes; "
         "expected room for 1"),
        (Actors(count=2, gpus=1), {"CPU": 4.0, "GPU": 1.0}, "room for 1 actors of 1 CPU and 1 GPU"),
        (Actors(count=1, gpus=1), {"CPU": 4.0}, "1 actors of 1 GPU need 1 GPUs; the cluster has 1, and 0 are free"),
    ],
)  # fmt: skip
def test_actors_that_would_wait_for_ever(actors, free, message):
    with pytest.raises(ClusterError) as error:
        check_resources(actors, TWO_NODES, free)
    assert message in str(error.value)


def test_the_nodes_that_are_alive_count(monkeypatch):
    nodes = [{"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 8.0}}]
    started = []
    ray = SimpleNamespace(
        is_initialized=lambda: bool(started),
        init=lambda: started.append(1),
        nodes=lambda: nodes,
        available_resources=lambda: {"CPU": 2.0},
    )
    monkeypatch.setattr(cluster, "library", lambda _: ray)
    check_cluster(Actors())
    check_cluster(Actors(count=2), reading_cpus=0)
    assert started == [1]
    with pytest.raises(ClusterError):
        check_cluster(Actors(count=2))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Actors(count=0),
        lambda: Actors(cpus=0),
        lambda: Actors(gpus=-1),
        lambda: BatchOptions(top_k=0),
        lambda: ServiceOptions(replicas=Actors(count=2), max_replicas=1),
    ],
)
def test_options_are_checked(wrong):
    with pytest.raises(OptionError):
        wrong()


def test_cores_of_an_actor():
    assert [Actors(cpus=cpus).threads for cpus in (0.5, 1, 2.5)] == [1, 1, 2]


def test_one_bad_row_costs_only_itself(whole_bundle):
    pipeline = load(whole_bundle, max_text_bytes=20)
    answers = answers_of_rows(pipeline, ["a text", None, 5, "a text that is too long", "another"])
    assert [answers[0], answers[4]] == pipeline.classify(["a text", "another"])
    assert [str(answer) for answer in answers[1:3]] == ["the text is null", "expected a text, found int"]
    assert isinstance(answers[3], InputError)


def test_a_table_must_have_the_columns_of_the_texts_and_not_those_of_the_answers(whole_bundle):
    answerer = Answerer(whole_bundle, BatchOptions(pair="second"), threads=1)
    with pytest.raises(InputError, match="expected a column 'text'; found a"):
        answerer(SimpleNamespace(column_names=["a"]))
    with pytest.raises(InputError, match="expected a column 'second'"):
        answerer(SimpleNamespace(column_names=["text"]))
    with pytest.raises(InputError, match="the rows have a column 'label' already"):
        answerer(SimpleNamespace(column_names=["text", "second", "label"]))


def test_every_task_has_columns():
    assert [c.name for c in columns_of_task("sequence-classification")] == ["label", "score", "answer"]
    assert [c.name for c in columns_of_task("feature-extraction")] == ["pooled"]
    assert [c.name for c in columns_of_task("masked-lm")] == ["answer"]


class Request:
    """A request over HTTP, in pieces. It counts how many of them were read."""

    def __init__(self, *pieces, method="POST"):
        self.pieces, self.method, self.read = pieces, method, 0

    async def stream(self):
        for piece in self.pieces:
            self.read += 1
            yield piece


@pytest.fixture
def libraries(monkeypatch):
    def batch(**_):
        def wrapped(function):
            async def one(request):
                (answer,) = await function([request])
                return answer

            return one

        return wrapped

    def response(body, status, headers, media_type):
        return status, json.loads(body), headers

    modules = {"ray.serve": SimpleNamespace(batch=batch), "starlette.responses": SimpleNamespace(Response=response)}
    monkeypatch.setattr(service, "library", modules.__getitem__)


def served(bundle, *requests, **options):
    version = service.version_of_bundle(bundle)
    replica = service.BundleService(str(bundle), version, ServiceOptions(**options))

    async def ask():
        await replica.check_health()
        return [(await replica(request)) for request in requests]

    responses = asyncio.run(asyncio.wait_for(ask(), SECONDS))
    assert all(headers == {"fnet-bundle": version} for _, _, headers in responses)
    return [(status, body) for status, body, _ in responses]


def test_a_service_answers(libraries, whole_bundle):
    about, answer = served(whole_bundle, Request(method="GET"), Request(b'{"te', b'xt": "a text"}'))
    assert about == (
        200,
        {"task": "sequence-classification", "labels": ["A", "B", "C"], "bundle": service.version_of_bundle(whole_bundle)},
    )
    assert answer[0] == 200
    assert answer[1]["label"] == load(whole_bundle).classify("a text").label


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b'{"text": NaN}', "the body is not JSON"),
        (b"[" * 1000 + b"]" * 1000, "the body is not JSON"),
        (b'"text"', "expected a JSON object"),
        (b'{"pair": "b"}', "expected a JSON object"),
        (b'{"text": "a", "top_k": 3}', "expected a JSON object"),
        (b'{"text": 5}', "expected a text, found int"),
        (b'{"text": "a", "pair": 5}', "expected the second text (pair) as a text"),
        (b'{"text": "' + b"a" * 200 + b'"}', "200"),
    ],
)
def test_a_bad_request_is_an_error_of_its_sender(libraries, whole_bundle, body, error):
    ((status, values),) = served(whole_bundle, Request(body), max_text_bytes=100)
    assert status == 400
    assert error in values["error"]


def test_a_body_without_an_end_is_not_read_to_its_end(libraries, whole_bundle):
    endless = Request(*[b"a" * 1000] * 1000)
    too_long, wrong = served(whole_bundle, endless, Request(method="DELETE"), max_text_bytes=100)
    assert too_long == (413, {"error": "expected a body of at most 2200 bytes"})
    assert endless.read == 3
    assert wrong == (405, {"error": "expected POST or GET, found DELETE"})


def test_a_sender_that_stops_in_the_middle_gets_an_error_in_time(libraries, whole_bundle):
    class Stopped(Request):
        async def stream(self):
            yield b'{"text":'
            await asyncio.sleep(SECONDS)

    ((status, values),) = served(whole_bundle, Stopped(), body_s=0.01)
    assert (status, values) == (408, {"error": "the body did not arrive within 0.01 seconds"})


def test_a_replica_refuses_another_bundle_and_wrong_outputs(libraries, whole_bundle, monkeypatch):
    with pytest.raises(BundleError, match="expected the bundle 0, found [0-9a-f]{64}; copy the bundle to every node again"):
        service.BundleService(str(whole_bundle), "0", ServiceOptions())
    failed = SimpleNamespace(output="logits", max_abs=0.5, limit=1e-5, passed=False)
    monkeypatch.setattr("fnet_runtime.pipeline.pipeline.Pipeline.self_test", lambda _: [failed])
    with pytest.raises(SessionError, match="the self-test failed: logits: largest error 0.5, limit 1e-05"):
        service.BundleService(str(whole_bundle), service.version_of_bundle(whole_bundle), ServiceOptions())


def test_a_handle_gets_answers_and_errors(libraries, whole_bundle):
    replica = service.BundleService(str(whole_bundle), service.version_of_bundle(whole_bundle), ServiceOptions())
    assert asyncio.run(replica.ask("a text")) == load(whole_bundle).classify("a text")
    with pytest.raises(InputError):
        asyncio.run(replica.ask(None))
