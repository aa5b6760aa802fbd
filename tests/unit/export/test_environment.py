"""Versions of the libraries that a report names."""

from importlib import metadata

import pytest

from fnet_export.base.environment import environment_of_host, version_of


def test_the_build_for_gpus_is_onnx_runtime_too(monkeypatch):
    """Its distribution has another name, and takes the place of the usual one."""
    installed = {"onnxruntime-gpu": "1.30.0"}

    def version(name):
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)
    assert (version_of("onnxruntime"), version_of("openvino")) == ("1.30.0", None)
    assert environment_of_host().libraries == {"onnxruntime": "1.30.0"}


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "fnet-export"])
def test_a_library_that_is_installed(name):
    assert version_of(name) == metadata.version(name)
