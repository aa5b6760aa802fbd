from functools import cache

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from support.checkpoints import LENGTH, tiny_config

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS, task_at_positions, task_of_config
from fnet_export.base.errors import GraphError
from fnet_export.graph.file import write_graph
from fnet_export.graph.lower import lowered_from_model
from fnet_export.graph.optimize import QUANTISABLE, optimized_from_graph
from fnet_export.graph.trace import graph_from_model
from fnet_export.precision.half import FORMS
from fnet_export.precision.int8 import LARGEST, TABLE, int8_from_graph, layers_from_model, products_from_graph
from fnet_export.precision.proof import precisions_from_onnxruntime, products_from_file

HYBRID = {"attention_layers": (1,), "num_attention_heads": 4}
LAYERS = [
    "encoder.embeddings.projection",
    *(f"encoder.blocks.{i}.{part}" for i in range(2) for part in ("intermediate", "output")),
]
OF_HEAD = {"masked-lm": ["head.dense", "head.decoder"], "pretraining": ["head.masked_lm.dense", "head.masked_lm.decoder"]}


@cache
def float_graph(name, positions=None, hybrid=False):
    """The optimized float32 graph of random weights."""
    config = tiny_config(**(HYBRID if hybrid else {}))
    task = task_of_config(TASKS[name] if positions is None else task_at_positions(TASKS[name], positions), config)
    torch.manual_seed(0)
    model = FNet(config, task).eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return of_model(model, task)


def of_model(model, task):
    """The optimized float32 graph of a model, which knows the model's layers."""
    graph = optimized_from_graph(graph_from_model(lowered_from_model(model, "folded", task)), QUANTISABLE)
    graph.meta["layers"] = layers_from_model(model)
    return graph


def products(graph):
    return products_from_graph(graph, graph.meta["layers"])


def int8(graph, target="onnx", **options):
    bounds = {product.activation.name: 3.0 + i for i, product in enumerate(products(graph))}
    return int8_from_graph(graph, bounds, graph.meta["layers"], target=target, **options)


def weights(graph):
    return {name: value.const_value.numpy() for name, value in graph.graph.initializers.items()}


def modules(graph):
    return [product.module for product in products(graph)]


def nodes(graph, op_type):
    return [node for node in graph.graph if node.op_type == op_type]


def fed(graph):
    """Two rows of ids for every input of a graph."""
    generator = np.random.default_rng(0)
    shapes = {value.name: [axis if isinstance(axis, int) else 2 for axis in value.shape] for value in graph.graph.inputs}
    highest = {"input_ids": tiny_config().vocab_size, "masked_lm_positions": LENGTH}
    return {name: generator.integers(0, highest.get(name, 2), shape) for name, shape in shapes.items()}


def outputs(graph, *, optimized=False):
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact products on every CPU
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = ir.to_proto(graph).SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, fed(graph))


@pytest.mark.parametrize("name", TASKS)
def test_the_linear_layers_of_every_head_are_found(name):
    assert modules(float_graph(name)) == LAYERS + OF_HEAD.get(name, [])


def test_those_of_positions_and_of_attention_too():
    assert modules(float_graph("masked-lm", positions=2)) == LAYERS + OF_HEAD["masked-lm"]
    attention = [f"encoder.blocks.1.mixing.{part}" for part in ("query", "key", "value", "output")]
    assert modules(float_graph("question-answering", hybrid=True)) == LAYERS[:3] + attention + LAYERS[3:]


def zero_biased(name, *changed, **changes):
    """A model whose biases are zeros, as every freshly made one is, or some of them: those of modules that end in `changed`."""
    config = tiny_config(**changes)
    task = task_of_config(TASKS[name], config)
    torch.manual_seed(0)
    model = FNet(config, task).eval()
    for parameter, value in model.named_parameters():
        torch.nn.init.normal_(value, std=0.3)
        if parameter.endswith(changed or "bias"):
            torch.nn.init.zeros_(value)
    return model


@pytest.mark.parametrize("changes", [{}, HYBRID, {"mixing": "linear"}, {"mixing": "identity"}])
@pytest.mark.parametrize("name", ["masked-lm", "sequence-classification"])
def test_a_layer_whose_bias_the_graph_leaves_out_is_one_too(name, changes):
    """A bias of zeros adds nothing: the tracer and the simplifier drop it."""
    for changed in ((), ("blocks.0.output.bias",)):
        model = zero_biased(name, *changed, **changes)
        graph = of_model(model, model.task)
        assert set(modules(graph)) == set(layers_from_model(model))
        assert {"encoder.embeddings.projection", "encoder.blocks.1.output"} < set(modules(graph))
        added = [node for node in nodes(graph, "Add") if node.name.startswith("encoder.blocks.0.output/")]
        assert added == []
        assert all(np.isfinite(output).all() for output in outputs(int8(graph)))


def test_layers_of_the_same_weights_are_one_product():
    model = zero_biased("question-answering", "key.weight", "query.weight", "key.bias", "query.bias", **HYBRID)
    graph = of_model(model, model.task)
    assert "encoder.blocks.1.mixing.key" not in modules(graph)
    assert graph.meta["layers"]["encoder.blocks.1.mixing.key"] == "encoder.blocks.1.mixing.query"
    assert all(np.isfinite(output).all() for output in outputs(int8(graph)))


def test_a_layer_that_the_graph_has_no_product_of_is_refused():
    graph = float_graph("sequence-classification")
    expected = "expected a product of each of the model's 6 linear layers in the graph; found none of head.dense. This is a fault"
    with pytest.raises(GraphError, match=expected):
        products_from_graph(graph, {**graph.meta["layers"], "head.dense": "head.dense"})
    unnamed = graph.clone()
    for node in nodes(unnamed, "Gather"):
        node.name = node.name.rpartition("/")[2]
    with pytest.raises(GraphError, match="found no look-up of encoder.embeddings.word"):
        int8_from_graph(unnamed, {}, {}, target="onnx")


@pytest.mark.parametrize("target", FORMS)
@pytest.mark.parametrize("name", ["masked-lm", "sequence-classification"])
def test_the_graph_given_stays_as_it_is(name, target):
    graph = float_graph(name)
    before = ir.to_proto(graph).SerializeToString(deterministic=True)
    quantised = int8(graph, target)
    onnx.checker.check_model(ir.to_proto(quantised), full_check=True)
    assert ir.to_proto(graph).SerializeToString(deterministic=True) == before
    for mine, theirs in ((quantised.graph.inputs, graph.graph.inputs), (quantised.graph.outputs, graph.graph.outputs)):
        assert [(v.name, v.dtype, v.shape) for v in mine] == [(v.name, v.dtype, v.shape) for v in theirs]


@pytest.mark.parametrize("target", FORMS)
def test_weights_are_symmetric_by_unit_and_within_half_a_step(target):
    graph = float_graph("masked-lm")
    before, after = weights(graph), weights(int8(graph, target))
    table = next(product.weight.name for product in products(graph) if product.transposed)
    for product in products(graph):
        name, axis = product.weight.name, 0 if product.transposed else 1  # of output units
        whole, scale = after.get(f"{name}_int8"), after[f"{name}_scale"]
        if whole is None:
            whole = after[f"{name}_int8_columns"].T
        assert (whole.dtype, scale.dtype) == (np.int8, np.float32)
        assert scale.shape == (before[name].shape[axis],)
        steps = np.expand_dims(scale, 1 - axis)
        assert np.abs(whole.astype(np.float32) * steps - before[name]).max(axis=1 - axis) == pytest.approx(scale / 2, rel=1)
        assert (np.abs(whole * steps - before[name]) <= 0.5001 * steps).all()
        assert (np.abs(whole.astype(int)).max(axis=1 - axis) == LARGEST).all()
    assert table not in after  # once in int8, for the look-up and the decoder alike
    assert sum(array.size == before[table].size for array in after.values()) == 1


def test_units_of_zeros_alone():
    given = float_graph("sequence-classification")
    graph = given.clone()
    graph.meta.update(given.meta)
    product = products(graph)[1]
    zeroed = product.weight.const_value.numpy().copy()
    zeroed[:, 3] = 0
    product.weight.const_value = ir.tensor(zeroed, name=product.weight.name)
    bounds = {product.activation.name: 0.0 for product in products(graph)}
    quantised = int8_from_graph(graph, bounds, graph.meta["layers"], target="onnx")
    after = weights(quantised)
    assert (after[f"{product.weight.name}_scale"][3], np.abs(after[f"{product.weight.name}_int8"][:, 3]).max()) == (1, 0)
    assert after[f"{product.activation.name}_scale"] == np.float32(1 / LARGEST)
    assert all(np.isfinite(output).all() for output in outputs(quantised))


def test_products_that_read_one_activation_share_its_scale():
    graph = float_graph("question-answering", hybrid=True)
    quantised = int8(graph)
    found = {product.module: product.activation for product in products(graph)}
    query, key, value = (found[f"encoder.blocks.1.mixing.{part}"] for part in ("query", "key", "value"))
    assert query is key is value
    assert len(nodes(quantised, "QuantizeLinear")) == len(set(found.values())) == len(found) - 2
    scales = weights(quantised)
    bounds = {product.activation.name: 3.0 + i for i, product in enumerate(products(graph))}
    for activation in set(found.values()):
        assert scales[f"{activation.name}_scale"] == np.float32(bounds[activation.name] / LARGEST)
        zero = scales[f"{activation.name}_zero"]
        assert (zero, zero.dtype) == ((128, np.uint8) if activation is query else (0, np.int8))
        of_tensorrt = weights(int8(graph, "tensorrt"))[f"{activation.name}_zero"]
        assert (of_tensorrt, of_tensorrt.dtype) == (0, np.int8)


def test_onnx_runtime_makes_an_int8_product_of_every_layer(tmp_path):
    """Without VNNI, it does so for query, key and value only if their activation is uint8."""
    for name, hybrid in (("masked-lm", False), ("question-answering", True)):
        graph = float_graph(name, hybrid=hybrid)
        path = tmp_path / f"{name}.onnx"
        write_graph(int8(graph), path)
        found = precisions_from_onnxruntime(path, products_from_file(path))
        assert {key.partition("/")[0] for key, precision in found.items() if precision == "int8"} == set(modules(graph))


@pytest.mark.parametrize("target", FORMS)
def test_biases_stay_float_and_nothing_is_int32(target):
    graph = float_graph("pretraining", hybrid=True)
    quantised = int8(graph, target)
    before, after = weights(graph), weights(quantised)
    for name, array in before.items():
        if array.ndim == 1 and array.dtype == np.float32:
            np.testing.assert_array_equal(after[name], array)
    eight_bits = ("int8", "uint8") if target == "onnx" else ("int8",)
    assert {array.dtype for array in after.values()} <= {np.dtype(kind) for kind in (*eight_bits, "int64", "float32")}
    for node in nodes(quantised, "DequantizeLinear"):
        assert node.inputs[0].dtype in (ir.DataType.INT8, None)


@pytest.mark.parametrize("target", FORMS)
def test_what_is_kept_stays_float(target):
    graph = float_graph("masked-lm")
    kept = {"encoder.blocks.0.intermediate", "head.decoder", TABLE}
    quantised = int8(graph, target, keep=kept)
    before, after = weights(graph), weights(quantised)
    for product in products(graph):
        assert (f"{product.weight.name}_int8" in after) == (product.module not in kept)
        assert (product.weight.name in after) == (product.module in kept)
    everything = int8(graph, target, keep={*modules(graph), TABLE})
    assert nodes(everything, "QuantizeLinear") == nodes(everything, "DequantizeLinear") == []
    assert weights(everything).keys() == before.keys()
    alone = int8(graph, target, keep={TABLE})  # the decoder's table in int8, the look-up's not
    assert all(np.isfinite(output).all() for output in outputs(alone))


@pytest.mark.parametrize(
    ("name", "hybrid"),
    [("masked-lm", False), ("pretraining", True), ("multiple-choice", False)],
)
def test_the_forms_of_all_targets_give_the_same_numbers(name, hybrid):
    graph = float_graph(name, hybrid=hybrid)
    wanted = outputs(int8(graph, "onnx"))
    for target in set(FORMS) - {"onnx"}:
        for found, expected in zip(outputs(int8(graph, target)), wanted, strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    for found, expected in zip(outputs(int8(graph), optimized=True), wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("target", FORMS)
@pytest.mark.parametrize("name", TASKS)
def test_nothing_is_left_behind_unused(name, target):
    graph = float_graph(name)
    quantised = int8(graph, target)
    assert all(value.uses() for value in quantised.graph.initializers.values())
    assert all(any(value.uses() or value.is_graph_output() for value in node.outputs) for node in quantised.graph)
    after = weights(quantised)
    assert not {product.weight.name for product in products(graph)} & set(after)
    sizes = [sum(array.nbytes for array in found.values()) for found in (weights(graph), after)]
    assert sizes[1] < 0.55 * sizes[0]  # most of a tiny model is the table, with a scale or two for every 12 numbers
    names = [node.name for node in quantised.graph]
    assert len(set(names)) == len(names)
