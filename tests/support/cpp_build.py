"""The C++ runtime, built by one of its presets."""

import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import pytest
from support.paths import CPP

LIBRARY = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"), None)


@dataclass(frozen=True)
class Built:
    """The build folder, and the environment that its programs find ONNX Runtime in."""

    folder: Path
    environment: dict

    def run(self, *words, program="fnet-run", **options):
        return subprocess.run([self.folder / program, *words], env=self.environment, capture_output=True, **options)


def built_from_preset(preset, *, compiler="g++", flags=(), **environment):
    """Builds a preset in its own folder, or skips the test for what the host lacks; the programs run in `environment`.

    `flags` are those that the compiler must be able to link with.
    """
    missing = [tool for tool in ("cmake", "ninja", compiler) if not shutil.which(tool)]
    sdk = Path(os.environ.get("ONNXRUNTIME_ROOT", CPP / "build" / "onnxruntime"))
    if missing:
        pytest.skip(f"needs {', '.join(missing)}, which the host lacks")
    if not list(sdk.rglob("onnxruntime_c_api.h")):
        pytest.skip(f"needs ONNX Runtime's headers in {sdk}; scripts/onnxruntime_sdk.sh brings them")
    if LIBRARY is None:
        pytest.skip("needs a wheel of onnxruntime that has its library as a file")
    if flags and not _links(compiler, flags):
        pytest.skip(f"needs a {compiler} that links with {' '.join(flags)}")
    variables = os.environ | {"ONNXRUNTIME_ROOT": str(sdk), "FNET_ONNXRUNTIME": str(LIBRARY)} | environment
    (CPP / "build").mkdir(exist_ok=True)
    with (CPP / "build" / f"{preset}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test files run side by side
        for command in (["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset]):
            done = subprocess.run(command, cwd=CPP, env=variables, capture_output=True, text=True)
            if "Could NOT find" in done.stderr or "Could not find" in done.stderr:
                pytest.skip(f"cmake lacks a library: {done.stderr.strip().splitlines()[1].strip()}")
            assert done.returncode == 0, done.stdout + done.stderr
    return Built(CPP / "build" / preset, variables)


def _links(compiler, flags):
    command = [compiler, *flags, "-x", "c++", "-", "-o", os.devnull]
    source = 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }\n'
    source += "" if any("fuzzer" in flag for flag in flags) else "int main() {}\n"
    return subprocess.run(command, input=source, capture_output=True, text=True).returncode == 0
