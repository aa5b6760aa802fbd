"""The packages of the libraries that are imported on demand, and the command that installs them."""

from collections.abc import Mapping

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "nv_tensorrt_rtx": ("onnxruntime-ep-nv-tensorrt-rtx-cu13>=0.5",),
    "openvino": ("openvino>=2026.0",),
    "ray": ("ray[data,serve]>=2.60",),
    "tensorrt": ("tensorrt>=10.12", "cuda-bindings>=12.9.1"),
    "tensorrt_rtx": ("tensorrt-rtx-cu13>=1.7", "tensorrt-rtx>=1.7", "cuda-bindings>=12.9.1"),
    "tokenizers": ("tokenizers>=0.22",),
}
"""The packages by the name that is imported, as in this package's pyproject.toml."""


def install_line(library: str) -> str:
    """Return the command that installs a library of PACKAGES from the package index."""
    quoted = (f"'{package}'" for package in PACKAGES[library])
    return f"pip install {' '.join(quoted)}"
