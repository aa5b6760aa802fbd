"""A pipeline inside other programs: it closes, goes to other processes, survives a fork, and serves 64 threads or an event loop."""

import asyncio
import copy
import multiprocessing
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fnet_runtime.errors import InputError, OptionError, SessionError
from fnet_runtime.pipeline.open import load
from fnet_runtime.sessions import runtimes
from fnet_runtime.sessions.session import ANY_BATCH

SECONDS = 60
"""Longer than any of this takes: what waits for ever fails instead."""
TEXTS = [f"the quick brown fox {i} " * (1 + i % 4) for i in range(12)]
FORKING = """
import os, signal, sys, threading, time
import fnet_runtime
bundle, runtime, mode = sys.argv[1:]
texts = [f"the quick brown fox {i}" for i in range(12)]
pipeline = fnet_runtime.load(bundle, runtime=runtime)
expected = pipeline.classify(texts)
held, go_on = threading.Event(), threading.Event()
class Holding:
    def __init__(self, session):
        self.run_inside, self.batch = session.run, session.batch
    def run(self, inputs):
        held.set()
        go_on.wait(60)
        return self.run_inside(inputs)
if mode == "busy":
    inner = pipeline.session._session
    pipeline.session._session = Holding(inner)
    thread = threading.Thread(target=pipeline.classify, args=(texts,))
    thread.start()
    held.wait()
for _ in range(2):
    child = os.fork()
    if not child:
        signal.alarm(60)
        if mode == "closing":
            pipeline.close()
        try:
            sys.exit(0 if pipeline.classify(texts) == expected else 1)
        except fnet_runtime.SessionError as error:
            print(error, flush=True)
            sys.exit(3)
    print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
go_on.set()
assert pipeline.classify(texts) == expected
"""


class Waiting:
    """Runs another session when it is allowed to."""

    batch = ANY_BATCH

    def __init__(self, session):
        self.session, self.started, self.allowed, self.runs = session, threading.Event(), threading.Event(), 0

    def run(self, inputs):
        self.runs += 1
        self.started.set()
        assert self.allowed.wait(SECONDS)
        return self.session.run(inputs)


def forked(bundle, runtime, mode):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, str(bundle), runtime, mode],
        capture_output=True,
        text=True,
        timeout=5 * SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_child_opens_the_engine_itself_after_a_fork_and_ends(openvino_bundle, runtime):
    assert forked(openvino_bundle, runtime, "idle") == ["child 0"] * 2


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_fork_in_the_middle_of_another_threads_call_is_refused_in_the_child(openvino_bundle, runtime):
    refusal, *rest = forked(openvino_bundle, runtime, "busy")
    assert rest == ["child 3", refusal, "child 3"]
    assert refusal.startswith("this process was forked while another thread was asking this pipeline")
    assert refusal.endswith("Fork while no thread asks, or start processes with spawn")


def test_a_child_can_close_the_pipeline_of_its_parent(openvino_bundle):
    assert forked(openvino_bundle, "openvino", "closing") == ["the pipeline is closed; open the bundle again", "child 3"] * 2


def test_an_engine_that_no_child_can_open_says_so(whole_bundle, monkeypatch):
    gpu_only = replace(runtimes.RUNTIMES["onnxruntime"], survives_fork=False)
    monkeypatch.setitem(runtimes.RUNTIMES, "onnxruntime", gpu_only)
    pipeline = load(whole_bundle)
    pipeline.session.forked()
    with pytest.raises(SessionError, match="onnxruntime cannot be used in a child process that was forked.*Open the bundle in the"):
        pipeline.classify("a text")
    assert {name for name, runtime in runtimes.RUNTIMES.items() if not runtime.survives_fork} == {
        "onnxruntime",
        "tensorrt",
        "tensorrt-rtx",
    }


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_spawned_processes_open_the_bundle_themselves(openvino_bundle, runtime):
    pipeline = load(openvino_bundle, runtime=runtime, threads=1)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(pipeline, TEXTS, chunksize=6) == pipeline.classify(TEXTS)


def test_a_pipeline_pickles_as_its_absolute_path_and_its_options(whole_bundle, monkeypatch):
    monkeypatch.chdir(whole_bundle.parent)
    data = pickle.dumps(load(whole_bundle.name, runtime="onnxruntime", threads=1, max_text_bytes=20))
    assert len(data) < 1000
    monkeypatch.chdir("/")
    again = pickle.loads(data)
    assert (again.session.folder, again.session.options.runtime, again.session.options.threads) == (whole_bundle, "onnxruntime", 1)
    assert again.classify("a text") == load(whole_bundle).classify("a text")
    with pytest.raises(InputError, match="20"):
        again.classify("a longer text than that")


def test_a_pipeline_from_parts_copies_with_its_parts(whole_bundle):
    pipeline = load(whole_bundle)
    parts = replace(pipeline, session=Waiting(pipeline.session))
    assert copy.copy(parts).session is parts.session
    assert copy.copy(pipeline).session is not pipeline.session


def test_sixty_four_threads(openvino_bundle):
    for runtime in ("onnxruntime", "openvino"):
        pipeline = load(openvino_bundle, runtime=runtime, threads=1)
        expected = {text: pipeline.classify(text) for text in TEXTS}
        start = threading.Barrier(64)

        def caller(number, pipeline=pipeline, expected=expected, start=start):
            start.wait(SECONDS)
            order = [TEXTS[(number + i) % len(TEXTS)] for i in range(50)]
            return [text for text in order if pipeline.classify(text) != expected[text]]

        with ThreadPoolExecutor(64) as pool:
            assert not any(pool.map(caller, range(64), timeout=5 * SECONDS))


def test_an_asynchronous_call_does_not_block_the_event_loop(whole_bundle):
    pipeline = load(whole_bundle)
    waiting = Waiting(pipeline.session)

    async def ask():
        asked = asyncio.create_task(replace(pipeline, session=waiting).ask_async("a text"))
        while not waiting.started.is_set():
            await asyncio.sleep(0.001)
        assert not asked.done()
        waiting.allowed.set()  # a blocked loop would never come here
        return await asked

    assert asyncio.run(asyncio.wait_for(ask(), SECONDS)) == pipeline.classify("a text")


def test_asynchronous_calls_answer_as_calls_do(whole_bundle):
    pipeline = load(whole_bundle, threads=1)

    async def ask():
        one_by_one = await asyncio.gather(*(pipeline.ask_async(text) for text in TEXTS))
        assert one_by_one == pipeline.classify(TEXTS) == await pipeline.ask_async(TEXTS)
        with pytest.raises(OptionError, match="top_k"):
            await pipeline.ask_async("a text", top_k=0)
        with pytest.raises(InputError, match="expected a text"):
            await pipeline.ask_async(5)

    asyncio.run(asyncio.wait_for(ask(), SECONDS))


def test_a_call_that_is_cancelled_before_it_has_a_thread_never_runs(whole_bundle):
    waiting = Waiting(load(whole_bundle).session)
    pipeline = replace(load(whole_bundle), session=waiting)

    async def ask():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        first, second = (asyncio.create_task(pipeline.ask_async("a text")) for _ in range(2))
        while not waiting.started.is_set():
            await asyncio.sleep(0.001)
        second.cancel()
        waiting.allowed.set()
        return await first

    asyncio.run(asyncio.wait_for(ask(), SECONDS))
    assert waiting.runs == 1


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_closed_pipeline_refuses_calls(openvino_bundle, runtime):
    with load(openvino_bundle, runtime=runtime) as pipeline:
        pipeline.classify("a text")
    pipeline.close()
    with pytest.raises(SessionError, match="the pipeline is closed; open the bundle again"):
        pipeline.classify("a text")
    with pytest.raises(SessionError, match="closed"):
        pipeline.self_test()


def test_closing_waits_for_the_last_call_and_closes_the_engine(whole_bundle):
    class Engine(Waiting):
        closed = 0

        def close(self):
            self.closed += 1

    pipeline = load(whole_bundle)
    engine = pipeline.session._session = Engine(pipeline.session._session)
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(pipeline.classify, "a text")
        engine.started.wait(SECONDS)
        closing = pool.submit(pipeline.close)
        with pytest.raises(TimeoutError):
            closing.result(timeout=0.05)
        engine.allowed.set()
        assert asked.result(timeout=SECONDS).label
        closing.result(timeout=SECONDS)
    pipeline.close()
    assert engine.closed == 1


def test_a_pipeline_from_parts_closes_a_session_that_can_close(whole_bundle):
    pipeline = load(whole_bundle)
    with replace(pipeline, session=Waiting(pipeline.session)):
        pass
    pipeline.classify("a text")
    with replace(pipeline, max_text_bytes=5):
        pass
    with pytest.raises(SessionError, match="closed"):
        pipeline.classify("a text")
