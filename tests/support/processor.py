"""Marks for tests that need a kind of processor."""

import pytest
from fnet_runtime.sessions.openvino_session import NO_VNNI
from fnet_runtime.sessions.processor import saturates_int8

needs_vnni = pytest.mark.skipif(saturates_int8(), reason=NO_VNNI)
