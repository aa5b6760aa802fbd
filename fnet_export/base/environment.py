"""The host that a check ran on, and the libraries: what it is, not what it is called."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "fnet-export",
    "fnet-runtime",
    "torch",
    "numpy",
    "onnx",
    "onnx-ir",
    "onnxscript",
    "onnxsim",
    "onnxruntime",
    "openvino",
    "tensorrt",
    "tensorrt_rtx",
    "transformers",
    "sentencepiece",
    "tokenizers",
)
OTHER_NAMES = {"onnxruntime": ("onnxruntime-gpu",)}
"""Distributions that have the same modules."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """The processor, how many cores of it this process may use, the memory, the system and Python."""

    cpu: str
    cores: int
    memory_bytes: int
    os: str
    python: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The host, and the versions of the libraries that are installed, by distribution name."""

    host: Host
    libraries: Mapping[str, str]


def version_of(library: str) -> str | None:
    """Return the version of a library by its distribution name, or None. `onnxruntime-gpu` takes the place of `onnxruntime`."""
    for name in (library, *OTHER_NAMES.get(library, ())):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def environment_of_host() -> Environment:
    """Describe this host; no name of it and no clock."""
    versions = {name: version_of(name) for name in LIBRARIES}
    installed = {name: version for name, version in versions.items() if version is not None}  # some are optional
    return Environment(
        host=Host(
            cpu=_cpu(),
            cores=len(os.sched_getaffinity(0)),
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            os=f"{platform.system()} {platform.release()} {platform.machine()}",
            python=platform.python_version(),
        ),
        libraries=installed,
    )


def _cpu() -> str:
    """Name the processor as Linux does, else by its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
