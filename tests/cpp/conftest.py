"""The C++ runtime, built once."""

import pytest
from cpp_build import built_from_preset


@pytest.fixture(scope="session")
def built():
    """Built where `make cpp` builds."""
    return built_from_preset("default")
