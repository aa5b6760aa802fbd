"""A real Ray Serve answers as a single process does, and hostile requests and dead replicas do not end it."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.pipeline.open import load
from fnet_runtime.ray.service import version_of_bundle
from support.paths import ROOT
from support.services import SECONDS, example, ran, ray_processes, started

EXAMPLE = ROOT / "examples" / "ray_serve"
EMAILS = ROOT / "fnet_export" / "texts" / "emails.jsonl"
LONGEST = 100_000
REPLICA = b"ray::ServeReplica:fnet:"
WAIT = f"from ray.serve._private import api; api.HTTP_PROXY_TIMEOUT = {SECONDS}\n"
"""Ray waits 60 seconds for its proxy, which a busy host may need more of."""
REPLACE = """
import shutil, sys, urllib.request

def version():
    return urllib.request.urlopen(sys.argv[3], timeout=60).headers["fnet-bundle"]

print(version(), serve.get_app_handle("default").ask.remote("a text").result().label)
shutil.rmtree(sys.argv[1])
shutil.copytree(sys.argv[2], sys.argv[1])
serve.run(on_ray.application(sys.argv[1], options))
print(version(), serve.get_app_handle("default").ask.remote("a text").result().label)
serve.shutdown()
"""
"""Serves another bundle from the same path, after the lines of the page."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(bundle, *more):
    port = free_port()
    command = [EXAMPLE / "serve.py", "--bundle", bundle, "--port", port, *more]
    with started(*command) as process:
        assert process.stdout.readline() == f"listening on http://127.0.0.1:{port}/ until Ctrl-C\n"
        yield port, process


@pytest.fixture(scope="module")
def service(whole_bundle):
    with serving(whole_bundle, "--max-text-bytes", LONGEST) as (port, process):
        yield port
        process.terminate()
        assert process.wait(SECONDS) == 0


def asked(port, body, method="POST"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response), response.headers["fnet-bundle"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers["fnet-bundle"]


def test_the_load_script_gets_the_answers_of_one_process(service, whole_bundle, tmp_path):
    answers = tmp_path / "answers.jsonl"
    words = ["--url", f"http://127.0.0.1:{service}/", "--data", EMAILS, "--requests", 400, "--callers", 16, "--answers", answers]
    printed = ran(EXAMPLE / "load.py", *words)
    assert "status 200: 400\n" in printed
    pipeline = load(whole_bundle, threads=1)
    texts = [json.loads(line)["text"] for line in EMAILS.read_text("utf-8").splitlines()]
    expected = [json.loads(json_from_values(pipeline.classify(text))) for text in texts]
    found = [json.loads(line) for line in answers.read_text("utf-8").splitlines()]
    for number, answer in enumerate(found):
        one = expected[number % len(texts)]
        assert answer["label"] == one["label"]
        assert answer["score"] == pytest.approx(one["score"], abs=1e-6)


def test_the_service_says_what_it_serves(service, whole_bundle):
    version = version_of_bundle(whole_bundle)
    expected = {"task": "sequence-classification", "labels": ["A", "B", "C"], "bundle": version}
    assert asked(service, None, "GET") == (200, expected, version)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"{", 400, "the body is not JSON"),
        (b'{"text": 5}', 400, "expected a text, found int"),
        (json.dumps({"text": "a" * (LONGEST + 1)}).encode(), 400, str(LONGEST)),
        (b'{"text": "' + b"a" * 20 * LONGEST + b'"}', 413, "expected a body of at most"),
    ],
)
def test_a_bad_request_costs_its_sender_an_error(service, body, status, error):
    found, values, _ = asked(service, body)
    assert found == status
    assert error in values["error"]
    assert asked(service, b'{"text": "a text"}')[0] == 200


def memory_of_proxy():
    """The bytes of memory of the proxy, which reads what senders send."""
    (proxy,) = ray_processes(b"ray::ProxyActor")
    return int(Path(f"/proc/{proxy}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_body_that_never_ends_gets_an_error_and_no_memory(service):
    before = memory_of_proxy()
    with socket.create_connection(("127.0.0.1", service), timeout=60) as sender:
        sender.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk, sent = b"10000\r\n" + b"a" * 0x10000 + b"\r\n", 0
        while not select.select([sender], [], [], 0)[0] and sent < 1 << 28:
            sender.sendall(chunk)
            sent += len(chunk)
        assert sender.recv(4096).startswith(b"HTTP/1.1 413 ")
        with contextlib.suppress(OSError):  # the proxy may end the connection
            while sent < 1 << 29:
                sender.sendall(chunk)
                sent += len(chunk)
        assert memory_of_proxy() - before < 1 << 27
        assert asked(service, b'{"text": "a text"}')[0] == 200


def test_senders_that_stop_in_the_middle(service):
    senders = [socket.create_connection(("127.0.0.1", service), timeout=60) for _ in range(50)]
    for sender in senders:
        sender.sendall(b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{"text": ')
    started = time.monotonic()
    assert asked(service, b'{"text": "a text"}')[0] == 200
    assert time.monotonic() - started < 5, "it waited for the senders"
    for sender in senders:
        assert sender.recv(4096).startswith(b"HTTP/1.1 408 ")
        sender.close()
    assert asked(service, b'{"text": "a text"}')[0] == 200


def test_a_replica_that_is_killed_is_replaced(service):
    (killed,) = ray_processes(REPLICA)
    os.kill(killed, signal.SIGKILL)
    deadline, status = time.monotonic() + SECONDS, 0
    while status != 200 and time.monotonic() < deadline:
        try:
            status = asked(service, b'{"text": "a text"}')[0]
        except (OSError, ValueError):  # a response of Ray's own is not JSON
            time.sleep(0.2)
    assert status == 200
    assert killed not in ray_processes(REPLICA)


def test_the_page_serves_a_bundle_and_then_another(whole_bundle, bundles, tmp_path):
    unpadded = bundles("sequence-classification", padding="none")
    expected = [f"{version_of_bundle(one)} {load(one, threads=1).classify('a text').label}" for one in (unpadded, whole_bundle)]
    folder, port = shutil.copytree(unpadded, tmp_path / "spam"), free_port()
    start = WAIT + "import ray; ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level='error')\n"
    code = start + example("serve.run", **{"/bundles/spam": folder, "8000": port}) + REPLACE
    printed = ran("-c", code, folder, whole_bundle, f"http://127.0.0.1:{port}/")
    assert printed.splitlines()[:2] == expected, printed  # Ray itself may print more at its end


def test_a_service_that_does_not_fit_says_so(whole_bundle):
    refused = ran(EXAMPLE / "serve.py", "--bundle", whole_bundle, "--cpus", 1000, expected=1)
    assert "the cluster has room for 0 actors of 1000 CPU" in refused
