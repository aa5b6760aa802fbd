"""The environment of other programs that bundles run inside of (gunicorn, Ray), without the libraries of the exporter."""

import atexit
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from support.environments import python_of
from support.paths import ROOT

SECONDS = 300
"""Longer than any of this takes on a slow host: what waits for ever fails instead."""


def python():
    """The Python of the environment, installed unless it is there; PyPI is needed once."""
    return python_of("services")


@cache
def ray_folder():
    """Where Ray keeps the files of this process: it would join a cluster of another. The paths of its sockets must be short."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def environment(**own):
    """Variables that let this environment import fnet_runtime of this checkout, on every node of a cluster that it starts."""
    ray = {
        "RAY_TMPDIR": str(ray_folder()),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",  # for busy hosts, whose proxies Ray would kill too soon
    }
    return {**os.environ, "PYTHONPATH": str(ROOT / "runtimes" / "python"), **ray, **own}


def ray_processes(name):
    """Processes of this one's clusters whose command starts with this name: their numbers."""
    own = f"RAY_TMPDIR={ray_folder()}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(name) and own in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)
        except OSError:
            continue  # it has ended


def example(word, **values):
    """The block of Python with this word in docs/scaling.md, with values in the place of its own."""
    page = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if word in code]
    for name, value in values.items():
        assert name in code
        code = code.replace(name, str(value))
    return code


def ran(*words, expected=0, **options):
    """What a script of the environment prints."""
    done = subprocess.run(
        [python(), *map(str, words)], env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False, **options
    )
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout + done.stderr if expected else done.stdout


@contextmanager
def started(*words, **options):
    """A program of the environment, which is ended at the end."""
    process = subprocess.Popen([python(), *map(str, words)], env=environment(), stdout=subprocess.PIPE, text=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
