"""The programs of the C++ runtime, which `make cpp` and `make cpp-all` build before the tests run."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import onnxruntime
import pytest
from support.paths import CPP
from support.tiers import not_run

LIBRARY = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"), None)
COMPILERS = {"asan": "clang++", "aarch64": "aarch64-linux-gnu-g++"}
SOURCES = ("cmake", "include", "src", "tests", "tools")


@dataclass(frozen=True)
class Built:
    """The build folder, and the environment that its programs find ONNX Runtime in."""

    folder: Path
    environment: dict

    def run(self, *words, program="fnet-run", **options):
        return subprocess.run([self.folder / program, *words], env=self.environment, capture_output=True, **options)


def built_from_preset(preset, **environment):
    """Return the build of a preset, whose programs run in `environment`.

    Where the preset is not built, the test is skipped and its tier is reported as not run. A build older than its sources fails
    the test.
    """
    if LIBRARY is None:
        not_run("C++", "a wheel of onnxruntime that has its library as a file", "pip install onnxruntime")
    require_build(preset)
    return Built(CPP / "build" / preset, os.environ | {"FNET_ONNXRUNTIME": str(LIBRARY)} | environment)


def require_build(preset):
    """Skip the test where a preset is not built. Fail it where the build is older than its sources."""
    missing, changed = _state(preset)
    if missing:
        not_run("C++", *missing)
    if changed:
        reason = f"the build of the preset {preset} is older than {changed[0]}; run scripts/cpp_build.sh {preset}"
        pytest.fail(reason, pytrace=False)


@cache
def _state(preset):
    """Return what is missing and how to get it, then the sources that are newer than the build."""
    missing = [tool for tool in ("cmake", "ninja", COMPILERS.get(preset, "g++")) if not shutil.which(tool)]
    if missing:
        return (", ".join(missing), "scripts/system_packages.sh all"), []
    built = CPP / "build" / f"{preset}.built"
    if not built.exists():
        return (f"the preset {preset}, which is not built", f"scripts/cpp_build.sh {preset}"), []
    sources = [CPP / "CMakeLists.txt", CPP / "CMakePresets.json", *(path for name in SOURCES for path in (CPP / name).rglob("*"))]
    return None, [path for path in sources if path.is_file() and path.stat().st_mtime > built.stat().st_mtime]
