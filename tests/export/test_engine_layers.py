"""The layers that an export reads back from its own engine."""

import json
from collections import Counter
from pathlib import Path

import jsonschema
import onnx_ir as ir
import onnxruntime
import openvino
import pytest
from fnet_runtime.bundle.manifest import MODEL, PARITY, PARITY_PAGE
from support.checkpoints import tiny_config
from support.exports import export
from support.processor import needs_vnni

from fnet_core.tasks import TASKS
from fnet_export.parity.report import evidence
from fnet_export.plan import engine_layers
from fnet_export.precision.proof import OPENVINO_PRODUCTS, PRODUCTS, products_from_file
from fnet_export.precision.steps import places_from_graph

SCHEMA = json.loads((Path(evidence.__file__).parent / "parity.schema.json").read_text())
ENGINES = {
    "onnx": (f"ONNX Runtime {onnxruntime.__version__}", PRODUCTS),
    "openvino": (f"OpenVINO {openvino.__version__.split('-')[0]}", OPENVINO_PRODUCTS),
}
"""By target: what runs the bundle, and its words for a product of matrices."""


def profile_of(folder):
    values = json.loads((folder / PARITY).read_text())
    jsonschema.validate(values, SCHEMA)
    return values["engine_layers"]


@pytest.mark.parametrize(
    ("target", "precision"),
    [("onnx", "fp32"), ("onnx", "int8"), ("openvino", "fp32"), pytest.param("openvino", "int8", marks=needs_vnni)],
)
def test_every_product_is_a_layer_at_its_precision(target, precision, bundles):
    task = "question-answering" if precision == "int8" else "sequence-classification"
    folder = bundles(task, target=target, precision=precision)
    profile = profile_of(folder)
    name, kinds = ENGINES[target]
    assert (profile["engine"], profile["reason"]) == (name, None)
    places = places_from_graph(ir.load(folder / MODEL), tiny_config(), TASKS[task])
    products = Counter((places[product.name], product.precision) for product in products_from_file(folder / MODEL))
    layers = [layer for layer in profile["layers"] if layer["kind"] in kinds]
    assert Counter((layer["modules"][0], layer["precision"]) for layer in layers) == products
    assert {precision, "fp32"} == {kind for _, kind in products}


@pytest.mark.parametrize("target", ENGINES)
def test_times_add_up_to_a_run(target, bundles):
    profile = profile_of(bundles("sequence-classification", target=target))
    run, times = profile["run"], [layer["median_ms"] for layer in profile["layers"]]
    assert (run["input"], run["batch_size"], run["rounds"]) == ("text 0", 1, engine_layers.ROUNDS)
    assert 0 < sum(times) < 2 * run["median_ms"]
    assert len({layer["name"] for layer in profile["layers"]}) == len(times)
    unnamed = sum(ms for layer, ms in zip(profile["layers"], times, strict=True) if not layer["modules"])
    assert unnamed < 0.1 * sum(times)


def test_the_page_shows_them_and_the_terminal_has_one_line(checkpoint, tmp_path, pages):
    done = export(checkpoint, tmp_path / "b")
    page = (done.folder / PARITY_PAGE).read_text()
    assert "Layers of the engine" in page
    assert "<code>fnet.encoder.layer.1.output.dense</code><small>encoder.blocks.1.output/node_" in page
    assert "<code>fnet.encoder.layer.*.fourier.self</code>" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]  # what the profiler wrote is gone


def test_the_layers_are_not_a_part_of_the_bundle(checkpoint, tmp_path, monkeypatch):
    asked = export(checkpoint, tmp_path / "asked")
    monkeypatch.setattr(engine_layers, "layers_from_onnxruntime", lambda *_: ())
    silent = export(checkpoint, tmp_path / "silent")
    assert silent.manifest.files == asked.manifest.files
    profile = profile_of(silent.folder)
    assert (profile["reason"], profile["run"], profile["layers"]) == ("the engine reported no layers", None, [])
    assert silent.evidence.passed


def test_a_profiler_that_fails_costs_no_bundle(checkpoint, tmp_path, monkeypatch):
    def broken(*_):
        raise KeyError("dur")

    monkeypatch.setattr(engine_layers, "layers_from_onnxruntime", broken)
    assert profile_of(export(checkpoint, tmp_path / "b").folder)["reason"] == "KeyError: 'dur'"


def test_an_engine_without_a_gpu_has_a_reason(checkpoint, tmp_path, pages, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = export(checkpoint, tmp_path / "b", target="tensorrt-rtx")
    profile = profile_of(done.folder)
    assert profile["engine"].startswith("TensorRT-RTX 1.")
    assert profile["layers"] == []
    assert f"{profile['engine']}: not run: {profile['reason']}" in (done.folder / PARITY_PAGE).read_text()
    rows = {row.name: row.reason for row in done.evidence.parity.rows}
    assert profile["reason"] == rows["tensorrt_rtx engine"]
