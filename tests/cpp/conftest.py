"""The C++ runtime, built once."""

import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import pytest

CPP = Path(__file__).parents[2] / "runtimes" / "cpp"
LIBRARY = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"), None)


@dataclass(frozen=True)
class Built:
    """The build folder, and the environment that its programs find ONNX Runtime in."""

    folder: Path
    environment: dict

    def run(self, *words, program="fnet-run", **options):
        return subprocess.run([self.folder / program, *words], env=self.environment, capture_output=True, **options)


@pytest.fixture(scope="session")
def built():
    """Built where `make cpp` builds, so that it is done once, by one of the files that are tested side by side."""
    missing = [tool for tool in ("cmake", "ninja", "g++") if not shutil.which(tool)]
    sdk = Path(os.environ.get("ONNXRUNTIME_ROOT", CPP / "build" / "onnxruntime"))
    if missing:
        pytest.skip(f"needs {', '.join(missing)}, which the host lacks")
    if not list(sdk.rglob("onnxruntime_c_api.h")):
        pytest.skip(f"needs ONNX Runtime's headers in {sdk}; scripts/onnxruntime_sdk.sh brings them")
    if LIBRARY is None:
        pytest.skip("needs a wheel of onnxruntime that has its library as a file")
    environment = os.environ | {"ONNXRUNTIME_ROOT": str(sdk), "FNET_ONNXRUNTIME": str(LIBRARY)}
    (CPP / "build").mkdir(exist_ok=True)
    with (CPP / "build" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["cmake", "--preset", "default"], ["cmake", "--build", "--preset", "default"]):
            done = subprocess.run(command, cwd=CPP, env=environment, capture_output=True, text=True)
            if "Could NOT find" in done.stderr or "Could not find" in done.stderr:
                pytest.skip(f"cmake lacks a library: {done.stderr.strip().splitlines()[1].strip()}")
            assert done.returncode == 0, done.stdout + done.stderr
    return Built(CPP / "build" / "default", environment)
