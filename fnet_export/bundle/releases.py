"""The oldest releases of engines that open a graph, by its operator set, IR version and precision."""

from collections.abc import Mapping
from dataclasses import dataclass

from fnet_runtime.bundle.manifest import BF16, FP16, FP32, INT8


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release of an engine that was tried: the newest operator set and IR version that it opened, and the precisions.

    `read_in` says where this was read.
    """

    version: str
    opset: int
    ir_version: int
    precisions: tuple[str, ...]
    read_in: str


DEEP_TEST = "tests/deep/test_old_engines.py"
RELEASES: Mapping[str, tuple[Release, ...]] = {
    "ONNX Runtime": (
        Release(version="1.15.1", opset=18, ir_version=8, precisions=(FP32,), read_in="docs/bundle.md"),
        Release(version="1.16.3", opset=18, ir_version=8, precisions=(FP32, INT8), read_in=DEEP_TEST),
        Release(version="1.17.3", opset=20, ir_version=9, precisions=(FP32, INT8, FP16), read_in=DEEP_TEST),
        Release(version="1.18.1", opset=21, ir_version=10, precisions=(FP32,), read_in="docs/bundle.md"),
    ),
    "OpenVINO": (Release(version="2024.6.0", opset=20, ir_version=9, precisions=(FP32, FP16, BF16, INT8), read_in=DEEP_TEST),),
}
"""By engine, the oldest first. docs/bundle.md says what was tried in each. ONNX Runtime has no products in bf16 on CPUs.
No release was tried with fp8."""


def oldest_releases(opset: int, ir_version: int, precision: str) -> dict[str, str | None]:
    """Return the oldest release of each engine that was tried and opens such a graph. It is None if no release was tried."""
    return {
        engine: next(
            (
                release.version
                for release in releases
                if release.opset >= opset and release.ir_version >= ir_version and precision in release.precisions
            ),
            None,
        )
        for engine, releases in RELEASES.items()
    }
