"""A stand-in for NVIDIA's plugin provider of ONNX Runtime, which takes no node."""

import os
import subprocess

from support.cpp_build import require_build
from support.paths import CPP, ROOT

SOURCE = ROOT / "tests" / "cpp" / "stand_in_provider.cpp"


def plugin_library(folder):
    """Compile it as plugin.so of a folder, and return its path."""
    require_build("default")
    sdk = os.environ.get("ONNXRUNTIME_ROOT", CPP / "build" / "onnxruntime")
    library = folder / "plugin.so"
    command = ["g++", "-std=c++17", "-shared", "-fPIC", "-Wall", "-Werror", "-I", f"{sdk}/include", SOURCE, "-o", library]
    subprocess.run(command, check=True)
    return library
