"""TensorRT-RTX builds an engine of every head in every precision."""

import struct

import pytest
import torch
from fnet_runtime.bundle.manifest import CALIBRATED, AxisProfile
from fnet_runtime.engine.options import BuildOptions
from support.checkpoints import tiny_config

from fnet_core.fnet import FNet
from fnet_core.tasks import CHOICES, TASKS
from fnet_export.engine.tensorrt import build_of_precision, engine_from_graph, library_for_target
from fnet_export.graph.file import write_graph
from fnet_export.graph.lower import lowered_from_model
from fnet_export.graph.optimize import QUANTISABLE, optimized_from_graph
from fnet_export.graph.trace import graph_from_model
from fnet_export.precision.half import HALVES, half_from_graph
from fnet_export.precision.quantised import layers_from_model, products_from_graph, quantised_from_graph

RTX = library_for_target("tensorrt-rtx")
PROFILE = AxisProfile(min=1, opt=2, max=4)


def model_of(name):
    torch.manual_seed(0)
    model = FNet(tiny_config(num_hidden_layers=3), TASKS[name]).eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return model


def built(name, graph, folder, precision="fp32"):
    write_graph(graph, folder / "model.onnx")
    ranges = {str(axis): PROFILE for axis in TASKS[name].input_axes if axis in ("batch_size", CHOICES)}
    build = build_of_precision(BuildOptions(), precision, RTX)
    return engine_from_graph(folder / "model.onnx", library=RTX, profiles=[ranges], build=build)


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("name", TASKS)
def test_half_precision(name, precision, tmp_path):
    graph = optimized_from_graph(graph_from_model(lowered_from_model(model_of(name), "folded", scaled=True)))
    assert built(name, half_from_graph(graph, precision), tmp_path).data


@pytest.mark.parametrize("precision", CALIBRATED)
@pytest.mark.parametrize("name", TASKS)
def test_eight_bits(name, precision, tmp_path):
    model = model_of(name)
    layers = layers_from_model(model)
    graph = optimized_from_graph(graph_from_model(lowered_from_model(model, "folded")), QUANTISABLE)
    products = products_from_graph(graph, layers)
    bounds = {str(product.activation.name): 3.0 + i for i, product in enumerate(products)}
    names = {product.node.name for product in products}
    engine = built(name, quantised_from_graph(graph, precision, bounds, layers, target="tensorrt-rtx"), tmp_path, precision)
    assert struct.unpack_from("<Q", engine.data, 16) == (len(engine.data),)
    assert names == {node for node, found in engine.precisions.items() if found == precision}
