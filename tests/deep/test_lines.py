"""fnet-run --lines on 100,000 lines, in Python and C++: the order, memory that stays flat, and the progress on a terminal."""

import itertools
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.terminals import run_on_terminal
from support.transformers_pipelines import texts

LINES, SETTLED = 100_000, 1_000
GROWTH_KB = 4096
"""What the allocators of two languages may take after the first thousand lines."""
TEXTS = texts(97, longest=40)


@pytest.fixture(params=["Python", "C++"])
def program(request):
    """The command and the environment of fnet-run."""
    if request.param == "Python":
        return Path(sys.executable).with_name("fnet-run"), os.environ.copy()
    built = request.getfixturevalue("built")
    return built.folder / "fnet-run", built.environment


def resident_kb(pid):
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])


@pytest.mark.parametrize("padding", [{}, {"padding": "none"}])
def test_memory_is_flat_and_lines_keep_their_order(program, bundles, padding):
    path, environment = program
    bundle = bundles("sequence-classification", **padding)
    alone = subprocess.run([path, bundle, "--lines", "-"], input="\n".join(TEXTS), env=environment, capture_output=True, text=True)
    expected = alone.stdout.splitlines()
    assert len(expected) == len(TEXTS)
    command = [path, bundle, "--lines", "--threads", "1", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as process:

        def feed():
            with process.stdin:
                process.stdin.writelines(f"{text}\n" for text in itertools.islice(itertools.cycle(TEXTS), LINES))

        feeding = threading.Thread(target=feed)
        feeding.start()
        answers, sizes = itertools.cycle(expected), []
        for number, line in enumerate(process.stdout, start=1):
            assert line.rstrip("\n") == next(answers), f"line {number}"
            if number in (SETTLED, LINES - SETTLED):
                sizes.append(resident_kb(process.pid))
        feeding.join()
    assert (number, process.returncode) == (LINES, 0)
    settled, last = sizes
    assert last < settled + GROWTH_KB


def test_a_terminal_shows_the_progress(program, bundles, tmp_path):
    path, environment = program
    lines = "\n".join(itertools.islice(itertools.cycle(TEXTS), 20_000)).encode()
    (tmp_path / "lines").write_bytes(lines)
    bundle = bundles("sequence-classification")
    shown = {}
    for source in ("-", "--file", "--quiet"):
        words = {"--file": ["--file", tmp_path / "lines"], "--quiet": ["--quiet", "-"]}.get(source, ["-"])
        code, output, shown[source] = run_on_terminal([path, bundle, "--lines", *words], lines=lines, env=environment)
        assert (code, len(output.splitlines())) == (0, 20_000)
    assert re.search(r"^\x1b\[K\d+ lines, \d+ a second\r\x1b\[K", shown["-"])
    assert re.search(r"^\x1b\[K\d+ lines \(\d+%\), \d+ a second\r", shown["--file"])
    assert "\x1b" not in shown["--quiet"]
