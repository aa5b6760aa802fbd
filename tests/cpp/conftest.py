"""The C++ runtime and the bundles that it is asked for, each made once for all test files that run side by side."""

import fcntl
import os
from functools import cache

import pytest
from conftest import export, save_tiny
from cpp_build import built_from_preset

from fnet_export.engine.sessions.cpp_session import PROGRAM, PROGRAM_VARIABLE


@pytest.fixture(scope="session")
def built():
    """Built where `make cpp` builds."""
    return built_from_preset("default")


@pytest.fixture(scope="session")
def bundles(built, tmp_path_factory):
    """Exports the tiny model of a task; its parity has the row of the C++ runtime."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "bundles"
    folder.mkdir(exist_ok=True)

    @cache
    def bundle(task, *, labels=("A", "B", "C"), **options):
        options = {"precision": "fp32"} | options
        name = "-".join([task, *labels, *map(str, options.values())])
        with (folder / f"{name}.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
            fcntl.flock(lock, fcntl.LOCK_EX)
            patch.setenv(PROGRAM_VARIABLE, str(built.folder / PROGRAM))
            if not (folder / name).exists():
                export(save_tiny(folder / f"{name}-checkpoint", task, labels=labels), folder / name, task=task, **options)
        return folder / name

    return bundle
