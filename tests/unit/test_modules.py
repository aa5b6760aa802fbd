import importlib
import pkgutil

import pytest

MODULES = [
    module.name
    for package in ("fnet_core", "fnet_export", "fnet_runtime")
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports(name):
    assert importlib.import_module(name).__doc__
