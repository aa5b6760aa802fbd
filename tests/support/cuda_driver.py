"""A stand-in for the library of NVIDIA's driver, which lists GPUs and runs nothing."""

import shutil
import subprocess

from support.paths import ROOT
from support.tiers import not_run

SOURCE = ROOT / "tests" / "cpp" / "stand_in_cuda.c"


def driver_library(folder, *, gpus=1):
    """Compile it as libcuda.so.1 of a folder, and return its path. A negative number of GPUs is a driver that fails."""
    compiler = shutil.which("cc")
    if not compiler:
        not_run("CUDA's driver", "cc", "scripts/system_packages.sh")
    library = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", f"-DGPUS={gpus}", SOURCE, "-o", library], check=True)
    return library
