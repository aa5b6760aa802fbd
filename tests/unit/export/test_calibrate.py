import json

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from fnet_runtime.bundle.manifest import MODEL
from fnet_runtime.errors import SessionError
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from support.checkpoints import LENGTH, VOCABULARY, tiny_config

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.graph.file import write_graph
from fnet_export.graph.lower import lowered_from_model
from fnet_export.graph.optimize import QUANTISABLE, optimized_from_graph
from fnet_export.graph.tensors import tensors_from_task
from fnet_export.graph.trace import graph_from_model
from fnet_export.precision import calibrate
from fnet_export.precision.calibrate import bounds_from_graph, calibration_cache
from fnet_export.precision.quantised import layers_from_model, products_from_graph
from fnet_export.texts.emails import emails
from fnet_export.texts.samples import samples_from_texts

TASK = TASKS["sequence-classification"]
INPUTS, _ = tensors_from_task(TASK, tiny_config(), Padding(LENGTH))


LAYERS = layers_from_model(FNet(tiny_config(), TASK))


def samples(count=3):
    return samples_from_texts(TASK, Tokenizer.from_file(VOCABULARY), emails()[:count], padding=Padding(LENGTH), choices=1)


@pytest.fixture(scope="module")
def graph():
    torch.manual_seed(0)
    model = FNet(tiny_config(), TASK).eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return optimized_from_graph(graph_from_model(lowered_from_model(model, "folded", TASK)), QUANTISABLE)


@pytest.fixture
def file(graph, tmp_path):
    write_graph(graph, tmp_path / MODEL)
    return tmp_path / MODEL


@pytest.fixture(scope="module")
def tensors(graph):
    return [product.activation.name for product in products_from_graph(graph, LAYERS)]


@pytest.fixture
def runs(monkeypatch):
    """Counts how often a graph is opened to be run."""
    opened = []

    class Counted(calibrate.OrtSession):
        def __init__(self, *arguments):
            opened.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(calibrate, "OrtSession", Counted)
    return opened


def activations(graph, tensors):
    """Every activation of all samples, by ONNX Runtime alone."""
    model = ir.to_proto(graph)
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(tensors, session.run(list(tensors), samples().batch(range(3))), strict=True))


def test_minmax_is_the_largest_magnitude(graph, file, tensors, tmp_path):
    found = bounds_from_graph(file, tensors, INPUTS, samples(), "minmax", cache=tmp_path)
    wanted = {name: float(np.abs(array).max()) for name, array in activations(graph, tensors).items()}
    assert found == pytest.approx(wanted, rel=1e-5)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".json"] == [MODEL]  # no scratch is left


def test_percentile_and_entropy_clip(graph, file, tensors, tmp_path, monkeypatch):
    largest = bounds_from_graph(file, tensors, INPUTS, samples(), "minmax", cache=tmp_path)
    monkeypatch.setattr(calibrate, "PERCENT", 90.0)
    clipped = bounds_from_graph(file, tensors, INPUTS, samples(), "percentile", cache=tmp_path)
    entropy = bounds_from_graph(file, tensors, INPUTS, samples(), "entropy", cache=tmp_path)
    for name, array in activations(graph, tensors).items():
        assert 0 < clipped[name] < largest[name]
        assert np.mean(np.abs(array) <= clipped[name]) == pytest.approx(0.9, abs=0.02)
        assert 0 < entropy[name] <= 1.0001 * largest[name]


def test_bounds_are_kept(file, tensors, tmp_path, runs):
    first = bounds_from_graph(file, tensors, INPUTS, samples(), "minmax", cache=tmp_path / "cache")
    again = bounds_from_graph(file, tensors, INPUTS, samples(), "minmax", cache=tmp_path / "cache")
    assert (first, len(runs)) == (again, 1)
    assert list(first) == tensors
    (kept,) = (tmp_path / "cache").iterdir()
    assert json.loads(kept.read_text()) == first


def test_other_samples_methods_tensors_and_graphs_are_kept_apart(graph, file, tensors, tmp_path, runs):
    def found(count=3, method="minmax", path=file, names=tensors):
        return bounds_from_graph(path, names, INPUTS, samples(count), method, cache=tmp_path / "cache")

    other = graph.clone()
    weight = products_from_graph(other, LAYERS)[0].weight
    weight.const_value = ir.tensor(2 * weight.const_value.numpy(), name=weight.name)
    (tmp_path / "other").mkdir()
    write_graph(other, tmp_path / "other" / MODEL)
    for _ in range(2):
        found()
        found(count=2)
        found(method="percentile")
        found(names=tensors[:2])
        found(path=tmp_path / "other" / MODEL)
    assert len(runs) == len(list((tmp_path / "cache").iterdir())) == 5


def test_weights_beside_the_graph_count_too(graph, tensors, tmp_path, runs):
    write_graph(graph, tmp_path / MODEL, external_above_bytes=0)
    first = bounds_from_graph(tmp_path / MODEL, tensors, INPUTS, samples(), "minmax", cache=tmp_path / "cache")
    data = tmp_path / f"{MODEL}.data"
    data.write_bytes(bytes(len(data.read_bytes())))
    assert bounds_from_graph(tmp_path / MODEL, tensors, INPUTS, samples(), "minmax", cache=tmp_path / "cache") != first
    assert len(runs) == 2


@pytest.mark.parametrize("text", ["", '{"a": 1'])
def test_a_damaged_file_is_computed_again(file, tensors, tmp_path, runs, text):
    cache = tmp_path / "cache"
    first = bounds_from_graph(file, tensors, INPUTS, samples(), "minmax", cache=cache)
    (kept,) = cache.iterdir()
    kept.write_text(text)
    assert bounds_from_graph(file, tensors, INPUTS, samples(), "minmax", cache=cache) == first
    assert (json.loads(kept.read_text()), list(cache.iterdir()), len(runs)) == (first, [kept], 2)


def test_where_bounds_are_kept(file, tensors, tmp_path, monkeypatch):
    monkeypatch.setenv("FNET_EXPORT_CACHE", str(tmp_path / "own"))
    assert calibration_cache() == tmp_path / "own" / "calibration"
    bounds_from_graph(file, tensors, INPUTS, samples(), "minmax")
    assert len(list((tmp_path / "own" / "calibration").iterdir())) == 1
    monkeypatch.delenv("FNET_EXPORT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert calibration_cache() == tmp_path / "xdg" / "fnet-export" / "calibration"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert calibration_cache() == tmp_path / "home" / ".cache" / "fnet-export" / "calibration"


def test_a_cache_that_cannot_be_written_is_named_and_ends_nothing(file, tensors, tmp_path):
    (tmp_path / "cache").write_text("a file")
    notes = []
    found = bounds_from_graph(file, tensors, INPUTS, samples(), "minmax", cache=tmp_path / "cache" / "in", on_note=notes.append)
    assert list(found) == tensors
    assert notes == [
        f"{tmp_path / 'cache' / 'in'}: cannot be written (Not a directory), so the ranges are not kept and the next export "
        "measures them again; FNET_EXPORT_CACHE names another folder"
    ]


def test_a_graph_that_cannot_be_run(file, tmp_path):
    with pytest.raises(SessionError, match=r"model\.onnx: ONNX Runtime \S+ cannot open it"):
        bounds_from_graph(file, ["no such tensor"], INPUTS, samples(), "minmax", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
