import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from fnet_runtime.bundle.manifest import CALIBRATED, IR, MODEL, AxisProfile
from fnet_runtime.engine.options import BuildOptions
from fnet_runtime.engine.products import RTX_COMPUTE_CAPABILITIES
from fnet_runtime.sessions.openvino_session import OpenVinoSession, Operation
from fnet_runtime.tokenizer.encoding import Padding
from support.checkpoints import LENGTH, tiny_config
from support.processor import needs_vnni

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.base.errors import PrecisionError
from fnet_export.engine.openvino import ir_from_graph, openvino_library
from fnet_export.engine.tensorrt import build_of_precision, engine_from_graph, library_for_target
from fnet_export.graph.file import write_graph
from fnet_export.graph.lower import lowered_from_model
from fnet_export.graph.optimize import QUANTISABLE, optimized_from_graph
from fnet_export.graph.tensors import tensors_from_task
from fnet_export.graph.trace import graph_from_model
from fnet_export.precision.half import half_from_graph
from fnet_export.precision.proof import (
    NOT_FOUND,
    Product,
    precisions_from_inspector,
    precisions_from_onnxruntime,
    precisions_from_openvino,
    products_from_file,
    proof_from_precisions,
)
from fnet_export.precision.quantised import layers_from_model, products_from_graph, quantised_from_graph

TASK = TASKS["masked-lm"]
FROM_ADA = ("8.9", "12.0", "12.1")
ENGINE_RANGES = {"batch_size": AxisProfile(min=1, opt=1, max=2)}


def product(name, size, precision="int8"):
    return Product(name=name, values=(f"{name}_value",), multiply_adds=size, precision=precision)


def proof(found, precision="int8"):
    products = [product("large", 96), product("small", 4), product("mixing", 100, "fp32")]
    return proof_from_precisions(products, found, precision=precision, read_from="a graph")


@pytest.fixture(scope="module")
def graph():
    torch.manual_seed(0)
    model = FNet(tiny_config(), TASK).eval()
    return optimized_from_graph(graph_from_model(lowered_from_model(model, "folded", TASK)), QUANTISABLE)


LAYERS = layers_from_model(FNet(tiny_config(), TASK))


@pytest.fixture(scope="module")
def bounds(graph):
    return {product.activation.name: 4.0 for product in products_from_graph(graph, LAYERS)}


def written(graph, folder):
    write_graph(graph, folder / MODEL)
    return folder / MODEL


def test_shares_are_weighed_by_multiply_adds():
    whole = proof({"large": "int8", "small": "int8", "mixing": "fp32"})
    assert (whole.share, whole.share_of_all, whole.stayed) == (1.0, 0.5, ())
    most = proof({"large": "int8", "small": "fp32", "mixing": "int8"})
    assert (most.share, most.share_of_all, most.stayed) == (0.96, 0.98, ("small",))
    most.check()


def test_too_small_a_share_names_what_stayed():
    least = proof({"small": "int8", "mixing": "fp32"})
    expected = (
        r"^4\.0 % of the multiply-adds run in int8, by a graph; expected 95 % or more\. These run in another precision: large$"
    )
    with pytest.raises(PrecisionError, match=expected):
        least.check()
    with pytest.raises(PrecisionError, match=r"0\.0 % .*: large, small$"):
        proof({}).check()


def test_products_and_their_multiply_adds(graph, bounds, tmp_path):
    modules = {p.module for p in products_from_graph(graph, LAYERS)}
    for made, precision in ((graph, "fp32"), (half_from_graph(graph, "fp16"), "fp16"), (half_from_graph(graph, "bf16"), "bf16")):
        products = products_from_file(written(made, tmp_path))
        assert {p.precision for p in products} == {precision}
        sizes = {p.name.partition("/")[0]: p.multiply_adds for p in products}
        assert sizes["encoder.blocks.0.intermediate"] == sizes["encoder.blocks.1.output"] == LENGTH * 12 * 10
        assert sizes["head.decoder"] == LENGTH * 12 * tiny_config().vocab_size
    products = products_from_file(written(quantised_from_graph(graph, "int8", bounds, LAYERS, target="onnx"), tmp_path))
    assert {p.name.partition("/")[0] for p in products if p.precision == "int8"} == modules
    assert {p.name.partition("/")[0] for p in products if p.precision == "fp32"} == {f"encoder.blocks.{i}.mixing" for i in (0, 1)}
    assert sizes == {p.name.partition("/")[0]: p.multiply_adds for p in products}


def test_onnxruntime_runs_them_in_int8(graph, bounds, tmp_path):
    path = written(quantised_from_graph(graph, "int8", bounds, LAYERS, target="onnx"), tmp_path)
    products = products_from_file(path)
    assert precisions_from_onnxruntime(path, products) == {p.name: p.precision for p in products}
    path = written(graph, tmp_path)
    products = products_from_file(path)
    assert set(precisions_from_onnxruntime(path, products).values()) == {"fp32"}


def test_onnxruntime_runs_the_form_of_tensorrt_in_int8_too(graph, bounds, tmp_path):
    """The weights have zero points, so ONNX Runtime can move the transposition of the tied table through DequantizeLinear."""
    path = written(quantised_from_graph(graph, "int8", bounds, LAYERS, target="tensorrt"), tmp_path)
    products = products_from_file(path)
    proof = proof_from_precisions(products, precisions_from_onnxruntime(path, products), precision="int8", read_from="it")
    assert (list(proof.stayed), proof.share) == ([], 1.0)
    proof.check()


def test_a_product_that_onnxruntime_makes_float_is_found_out(tmp_path):
    """Two dimensions and a bias of float32: it fuses both to Gemm before it looks for int8."""
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 20]> g (float[1,8] x) => (float[1,8] y)
        <float xs = {0.1}, int8 xz = {0}, float ws = {0.1}, int8 wz = {0}>
        { q = QuantizeLinear(x, xs, xz)  d = DequantizeLinear(q, xs, xz)  v = DequantizeLinear(w, ws, wz)
          p = MatMul(d, v)  y = Add(p, b) }""")
    for i, node in enumerate(model.graph.node):
        node.name = f"layer/{node.op_type}" if node.op_type == "MatMul" else f"layer/{i}"
    for array, name in ((np.ones((8, 8), np.int8), "w"), (np.ones(8, np.float32), "b")):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, tmp_path / MODEL)
    products = products_from_file(tmp_path / MODEL)
    assert [(p.name, p.multiply_adds, p.precision) for p in products] == [("layer/MatMul", 64, "int8")]
    found = precisions_from_onnxruntime(tmp_path / MODEL, products)
    assert found == {"layer/MatMul": "fp32"}
    with pytest.raises(PrecisionError, match="layer/MatMul"):
        proof_from_precisions(products, found, precision="int8", read_from="it").check()


@needs_vnni
def test_openvino_runs_them_in_int8(graph, bounds, tmp_path):
    path = written(quantised_from_graph(graph, "int8", bounds, LAYERS, target="openvino"), tmp_path)
    ir_from_graph(path, tmp_path, library=openvino_library())
    inputs, _ = tensors_from_task(TASK, tiny_config(), Padding(LENGTH))
    operations = OpenVinoSession(tmp_path / IR, inputs, precision="int8").operations()
    products = products_from_file(path)
    assert precisions_from_openvino(operations, products) == {p.name: p.precision for p in products}


def test_openvino_names_a_product_by_node_module_or_output():
    products = [product("a/MatMul", 1), product("b/one", 1), product("b/two", 1), product("c/MatMul", 1)]

    def operation(name, precision, kind="FullyConnected", **more):
        return Operation(name=name, kind=kind, precision=precision, shape=(1,), **more)

    operations = [
        operation("a/node_linear", "i8"),  # the only product of its module
        operation("b/two/fused", "u8"),
        operation("b/other", "i8"),  # one of two: not told which
        operation("c/MatMul_value", "f32"),  # an output of the graph
        operation("b/one", "i8", kind="Reorder"),
    ]
    assert precisions_from_openvino(operations, products) == {"a/MatMul": "int8", "b/two": "int8", "c/MatMul": "fp32"}
    assert precisions_from_openvino([operation("a/MatMul", "f64")], products) == {"a/MatMul": "f64"}
    of_its_own = [
        operation("Multiply_1", "i8", weight="a/MatMul/transpose_b"),
        operation("Multiply_2", "i8", weight="Constant_3", layers=("Multiply_2", "c/QuantizeLinear", "b/one", "b/Tanh")),
    ]
    assert precisions_from_openvino(of_its_own, products) == {"a/MatMul": "int8", "b/one": "int8"}


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8", "fp8"])
def test_tensorrt_is_given_them_in_that_precision(graph, bounds, tmp_path, precision):
    if precision in CALIBRATED:
        made = quantised_from_graph(graph, precision, bounds, LAYERS, target="tensorrt-rtx")
    else:
        made = half_from_graph(graph, precision)
    path, library = written(made, tmp_path), library_for_target("tensorrt-rtx")
    build = build_of_precision(BuildOptions(), precision, library)
    engine = engine_from_graph(path, library=library, profiles=[ENGINE_RANGES], build=build)
    products = products_from_file(path)
    assert engine.precisions == {p.name: p.precision for p in products}
    assert precision in set(engine.precisions.values())
    assert engine.info.compute_capabilities == (FROM_ADA if precision == "fp8" else RTX_COMPUTE_CAPABILITIES)


def test_types_that_are_none_of_ours(tmp_path):
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["" : 20]> g (double[2,3] x, double[3,4] w) => (double[2,4] y)
        { y = MatMul(x, w) }""")
    (found,) = products_from_file(written(model, tmp_path))
    assert (found.multiply_adds, found.precision) == (24, NOT_FOUND)


def inspected(*layers):
    return json.dumps({"Layers": list(layers), "Bindings": ["input_ids"]})


def layer(names, *tensors, weights=None):
    metadata = "\x1e".join(f"[ONNX Layer: {name}]" for name in names)
    inputs = [{"Name": "x", "Format/Datatype": said} for said in tensors]
    return {"Name": "fused", "LayerType": "gemm", "Inputs": inputs, "Metadata": metadata} | (weights or {})


@pytest.mark.parametrize(
    ("told", "expected", "named"),
    [
        (layer(["a/MatMul", "a/Add"], "Int8", "Float"), "int8", 1),
        (layer(["a/MatMul"], "Row major linear FP16 format", "Half"), "fp16", 1),
        (layer(["a/MatMul"], "Half", weights={"Weights": {"Type": "Int8", "Count": 4}}), "int8", 1),
        (layer(["a/MatMul"], "FP8", "FP8"), "fp8", 1),
        (layer(["a/MatMul"], "BFloat16", "Float"), "bf16 and fp32", 1),
        (layer(["a/MatMul"], "Int64"), "int8", 0),  # tells nothing
        (layer(["other/MatMul"], "Float"), "int8", 0),
        ("fused a/MatMul", "int8", 0),  # names alone
    ],
)
def test_the_engines_inspector_corrects_the_network(told, expected, named):
    network = {"a/MatMul": "int8", "b/MatMul": "fp32"}
    assert precisions_from_inspector(inspected(told), network) == ({"a/MatMul": expected, "b/MatMul": "fp32"}, named)


def test_nothing_left_to_run_is_an_error_of_its_own():
    with pytest.raises(PrecisionError, match=r"model.onnx has no products in int8: all were kept in float32 .*--max-accuracy-drop"):
        proof_from_precisions([product("mixing", 100, "fp32")], {}, precision="int8", read_from="a graph").check()
