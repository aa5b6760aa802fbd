"""Ctrl-C in fnet-run: it ends as in Python, with whole lines."""

import fcntl
import json
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager

import pytest


@contextmanager
def started(built, bundle, *words, program="cpp", stdin=subprocess.PIPE):
    command = [built.folder / "fnet-run"] if program == "cpp" else [sys.executable, "-m", "fnet_runtime"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, bundle, *words], env=built.environment, stdin=stdin, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def first_answer(process):
    process.stdin.write(b"the fox\n")
    process.stdin.flush()
    return process.stdout.readline()


@pytest.mark.parametrize("program", ["cpp", "python"])
def test_it_ends_in_words_while_it_waits_for_a_text(built, whole_bundle, program):
    with started(built, whole_bundle, "--lines", "--json", "-", program=program) as process:
        answer = first_answer(process)
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)
    assert (process.returncode, rest, said.decode()) == (130, b"", "interrupted\n")
    assert json.loads(answer)["label"]


@contextmanager
def blocked(built, bundle, tmp_path):
    """Start a run that waits for a reader in the middle of its lines, when the pipe is full."""
    texts = tmp_path / "texts"
    texts.write_text("the fox\n" * 20_000)
    with texts.open() as stdin, started(built, bundle, "--lines", "--json", "-", stdin=stdin) as process:
        before = waiting = 0
        while process.poll() is None and (waiting == 0 or waiting != before):
            time.sleep(0.5)
            before = waiting
            (waiting,) = struct.unpack("i", fcntl.ioctl(process.stdout, termios.FIONREAD, b"    "))
        yield process


def test_lines_are_written_to_their_end(built, whole_bundle, tmp_path):
    with blocked(built, whole_bundle, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        output, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, b"interrupted\n")
    lines = output.decode().splitlines(keepends=True)
    assert lines[-1].endswith("\n")
    assert {json.loads(line)["label"] for line in lines} <= {"A", "B", "C"}
    assert 0 < len(lines) < 20_000


def test_a_second_interrupt_does_not_wait_for_a_reader(built, whole_bundle, tmp_path):
    with blocked(built, whole_bundle, tmp_path) as process:
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        assert process.wait(5) == 130
        assert process.stderr.read() == b"interrupted\n"


def test_an_interrupt_that_is_ignored_stays_ignored(built, whole_bundle):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which the program inherits
    try:
        with started(built, whole_bundle, "--lines", "-") as process:
            first_answer(process)
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == (b"", b"")
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.returncode == 0
