"""Environments of other versions of libraries, which the Makefile pins (tests/golden/*.txt) and installs under .golden/."""

import fcntl
import subprocess
from functools import cache

import pytest
from support.paths import ROOT


@cache
def python_of(name):
    """The Python of an environment, installed unless it is there; the network is needed once."""
    folder = ROOT / ".golden"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:  # of two workers one installs
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(["make", f".golden/{name}/installed"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"make .golden/{name}/installed failed; it needs PyPI:\n{done.stderr}")
    return folder / name / "bin" / "python"
