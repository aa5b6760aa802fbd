"""Marks for tests that need a kind of processor."""

import pytest
from fnet_runtime.sessions.openvino_session import NO_VNNI
from fnet_runtime.sessions.processor import saturates_int8

needs_vnni = pytest.mark.skipif(saturates_int8(), reason=NO_VNNI)
fails_without_vnni = pytest.mark.xfail(
    saturates_int8(),
    strict=True,
    reason="a known fault: without VNNI, ONNX Runtime 1.32 cannot run this int8 graph with exact products",
)
