"""A bundle inside gunicorn, whose master forks its workers: with and without --preload, over both engines."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from fnet_runtime.pipeline.open import load
from support.services import SECONDS, environment, python

TEXTS = [f"the quick brown fox {number} " * (1 + number % 4) for number in range(40)]
SERVICE = """
import json, os
import fnet_runtime
pipeline = fnet_runtime.load({bundle!r}, runtime={runtime!r}, threads=1)
pipeline.classify("a text")
def application(environ, start_response):
    answer = pipeline.classify(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([answer.label, answer.score, os.getpid()]).encode()]
"""


@contextmanager
def gunicorn(folder, bundle, runtime, *options):
    (folder / "service.py").write_text(SERVICE.format(bundle=str(bundle), runtime=runtime))
    file = folder / "socket"
    words = ["-m", "gunicorn", "--chdir", folder, "--bind", f"unix:{file}", "--workers", 2, "--log-level", "warning", *options]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen([python(), *map(str, words), "service:application"], env=environment(), stderr=log, stdout=log)
    try:
        yield process, file
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


class OverFile(http.client.HTTPConnection):
    """A connection to a socket that is a file."""

    def __init__(self, file):
        super().__init__("localhost", timeout=60)
        self.file = str(file)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.file)


def asked(file, text):
    connection = OverFile(file)
    try:
        connection.request("POST", "/", text.encode())
        return json.load(connection.getresponse())
    finally:
        connection.close()


def asked_until_answered(process, file):
    deadline = time.monotonic() + SECONDS
    while True:
        assert process.poll() is None
        try:
            return asked(file, "a text")
        except (OSError, ValueError, http.client.HTTPException):
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize(
    "options", [(), ("--preload",), ("--preload", "--worker-class", "gthread", "--threads", "4")], ids=" ".join
)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_workers_answer_are_replaced_and_end(openvino_bundle, runtime, options, tmp_path):
    with load(openvino_bundle, runtime=runtime, threads=1) as pipeline:
        expected = [[answer.label, answer.score] for answer in pipeline.classify(TEXTS)]
    with gunicorn(tmp_path, openvino_bundle, runtime, *options) as (process, file):
        asked_until_answered(process, file)
        with ThreadPoolExecutor(8) as callers:
            answers = list(callers.map(lambda text: asked(file, text), TEXTS))
        assert [answer[:2] for answer in answers] == expected
        workers = {answer[2] for answer in answers}
        assert process.pid not in workers
        os.kill(workers.pop(), signal.SIGKILL)
        for text, answer in zip(TEXTS[:10], expected[:10], strict=True):
            asked_until_answered(process, file)
            assert asked(file, text)[:2] == answer
        process.terminate()
        started = time.monotonic()
        assert process.wait(SECONDS) == 0
        assert time.monotonic() - started < 25, "workers were killed after gunicorn's 30 seconds"
