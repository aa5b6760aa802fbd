"""The oldest releases of engines that open a graph."""

import itertools

import pytest
from support.paths import ROOT

from fnet_export.bundle.releases import DEEP_TEST, RELEASES, oldest_releases

PROJECTS = {"ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}


@pytest.mark.parametrize(
    ("graph", "onnxruntime", "openvino"),
    [
        ((18, 8, "fp32"), "1.15.1", "2024.6.0"),
        ((18, 8, "int8"), "1.16.3", "2024.6.0"),
        ((18, 9, "fp32"), "1.17.3", "2024.6.0"),
        ((19, 9, "fp32"), "1.17.3", "2024.6.0"),
        ((20, 9, "fp16"), "1.17.3", "2024.6.0"),
        ((20, 9, "bf16"), None, "2024.6.0"),
        ((21, 10, "fp32"), "1.18.1", None),
        ((30, 20, "fp32"), None, None),
    ],
)
def test_the_oldest_release_that_opens_a_graph(graph, onnxruntime, openvino):
    assert oldest_releases(*graph) == {"ONNX Runtime": onnxruntime, "OpenVINO": openvino}


@pytest.mark.parametrize("engine", RELEASES)
def test_rows_are_in_order_and_name_where_they_were_read(engine):
    releases = RELEASES[engine]
    versions = [tuple(map(int, release.version.split("."))) for release in releases]
    assert versions == sorted(set(versions))
    for before, after in itertools.pairwise(releases):
        assert (before.opset, before.ir_version) <= (after.opset, after.ir_version)
    for release in releases:
        text = (ROOT / release.read_in).read_text("utf-8")
        if release.read_in == DEEP_TEST:
            environment = f"{PROJECTS[engine]}-{'.'.join(release.version.split('.')[:2])}"
            assert f'"{environment}"' in text
            pins = (ROOT / "tests" / "golden" / f"{environment}.txt").read_text("utf-8").split()
            assert f"{PROJECTS[engine]}=={release.version}" in pins
        else:
            assert f"{engine} {release.version}" in text
