from functools import cache

import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from fnet_runtime.bundle.manifest import CALIBRATED
from support.checkpoints import LENGTH, tiny_config

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS, task_at_positions, task_of_config
from fnet_export.base.errors import GraphError
from fnet_export.graph.file import write_graph
from fnet_export.graph.lower import lowered_from_model
from fnet_export.graph.optimize import QUANTISABLE, optimized_from_graph
from fnet_export.graph.trace import graph_from_model
from fnet_export.plan.options import TARGET_PRECISIONS
from fnet_export.precision.eight_bit import EIGHT_BITS
from fnet_export.precision.emulation import EIGHT_BIT_ROUNDS
from fnet_export.precision.proof import precisions_from_onnxruntime, products_from_file
from fnet_export.precision.quantised import TABLE, layers_from_model, products_from_graph, quantised_from_graph

LARGEST = 127
FORMS = EIGHT_BITS["int8"].forms
FP8 = EIGHT_BITS["fp8"]
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


def in_eight_bits(graph, precision, target, **options):
    bounds = {product.activation.name: 3.0 + i for i, product in enumerate(products(graph))}
    return quantised_from_graph(graph, precision, bounds, graph.meta["layers"], target=target, **options)


def int8(graph, target="onnx", **options):
    return in_eight_bits(graph, "int8", target, **options)


def fp8(graph, target="tensorrt", **options):
    return in_eight_bits(graph, "fp8", target, **options)


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
        quantised_from_graph(unnamed, "int8", {}, {}, target="onnx")


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
    quantised = quantised_from_graph(graph, "int8", bounds, graph.meta["layers"], target="onnx")
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


# ---- fp8


@pytest.mark.parametrize("target", FP8.forms)
@pytest.mark.parametrize(("name", "hybrid"), [("masked-lm", False), ("question-answering", True)])
def test_fp8_is_between_quantise_and_dequantise(name, hybrid, target):
    graph = float_graph(name, hybrid=hybrid)
    before = ir.to_proto(graph).SerializeToString(deterministic=True)
    made = fp8(graph, target)
    onnx.checker.check_model(ir.to_proto(made), full_check=True)
    assert ir.to_proto(graph).SerializeToString(deterministic=True) == before
    float8 = ir.DataType.FLOAT8E4M3FN
    for node in nodes(made, "QuantizeLinear"):
        assert (node.inputs[2].dtype, node.inputs[2].const_value.numpy()) == (float8, 0)
    for node in nodes(made, "DequantizeLinear"):
        assert [value.dtype for value in node.inputs[1:]] == [ir.DataType.FLOAT, float8]
        assert node.inputs[1].const_value.shape == ()  # of the whole tensor, which TensorRT needs to multiply in fp8
    quantised = {node.inputs[0].producer().op_type for node in nodes(made, "DequantizeLinear") if node.inputs[0].producer()}
    assert quantised == {"QuantizeLinear"}
    products = products_from_graph(graph, graph.meta["layers"])
    by_name = {node.name: node for node in made.graph}
    for product in products:
        activation, weight = by_name[product.node.name].inputs
        weight = weight.producer().inputs[0] if product.transposed else weight
        assert [value.producer().op_type for value in (activation, weight)] == ["DequantizeLinear"] * 2


def test_fp8_weights_are_within_half_a_step():
    graph = float_graph("masked-lm")
    before, after = weights(graph), weights(fp8(graph))
    for product in products(graph):
        name = product.weight.name
        whole, scale = after[f"{name}_fp8"].astype(np.float32), after[f"{name}_scale"]
        assert (after[f"{name}_fp8"].dtype, scale.dtype, scale.shape) == (FP8.dtype.numpy(), np.float32, ())
        assert np.abs(whole).max() == FP8.largest == 448
        relative = np.maximum(np.abs(before[name]), scale * 2.0**-6)  # below 2^-6 the steps no longer shrink
        assert (np.abs(whole * scale - before[name]) <= 1.0001 * 2.0**-4 * relative).all()
    table = next(product.weight.name for product in products(graph) if product.transposed)
    assert table not in after  # once in fp8, for the look-up and the decoder alike
    assert sum(array.size == before[table].size for array in after.values()) == 1


def test_fp8_scales_are_those_of_the_bounds_and_zeros_have_one_too():
    given = float_graph("sequence-classification")
    graph = given.clone()
    graph.meta.update(given.meta)
    product = products(graph)[1]
    product.weight.const_value = ir.tensor(np.zeros(product.weight.shape.numpy(), np.float32), name=product.weight.name)
    bounds = {product.activation.name: 44.8 * i for i, product in enumerate(products(graph))}
    made = quantised_from_graph(graph, "fp8", bounds, graph.meta["layers"], target="tensorrt")
    after = weights(made)
    assert after[f"{product.weight.name}_scale"] == 1
    assert [after[f"{p.activation.name}_scale"] for p in products(graph)] == pytest.approx(
        [1 / 448, *(0.1 * i for i in range(1, len(bounds)))]
    )
    assert all(np.isfinite(output).all() for output in outputs(made))


@pytest.mark.parametrize("name", ["masked-lm", "question-answering"])
def test_onnx_runtime_gives_the_same_numbers_in_fp8_with_and_without_its_optimizer(name):
    graph = float_graph(name, hybrid=True)
    made = fp8(graph)
    for found, expected in zip(outputs(made, optimized=True), outputs(made), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_what_is_kept_stays_float_in_fp8_too():
    graph = float_graph("masked-lm")
    kept = {"encoder.blocks.0.intermediate", TABLE}
    after = weights(fp8(graph, keep=kept))
    for product in products(graph):
        assert (f"{product.weight.name}_fp8" in after) == (product.module not in kept)
    everything = fp8(graph, keep={*modules(graph), TABLE})
    assert nodes(everything, "QuantizeLinear") == nodes(everything, "DequantizeLinear") == []


def test_the_types_are_the_calibrated_precisions():
    assert tuple(EIGHT_BITS) == CALIBRATED
    for precision, of_type in EIGHT_BITS.items():
        assert {target for target, precisions in TARGET_PRECISIONS.items() if precision in precisions} == set(of_type.forms)


def test_eight_bits_round_to_the_nearest_and_halfway_to_the_even_one():
    """fp8 as onnx itself rounds, and as torch does, which the emulation uses."""
    generator = np.random.default_rng(0)
    numbers = np.concatenate([generator.normal(0, scale, 2000) for scale in (1e-3, 1e-2, 1, 100)]).astype(np.float32)
    numbers = np.concatenate([numbers, np.float32([0, 2.5, 17, 19, 447, 449, 464, 1e6, -1e6, 2.0**-10, 1.5 * 2.0**-9])])
    rounded = FP8.rounded(numbers).astype(np.float32)
    assert list(rounded[-9:]) == [16, 20, 448, 448, 448, 448, -448, 0, 2.0**-8]
    np.testing.assert_array_equal(rounded, EIGHT_BIT_ROUNDS["fp8"](torch.from_numpy(numbers)).numpy())
    reference = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 20]> g (float[N] x) => (float[N] y)
        <float one = {1.0}, float8e4m3fn zero = {0}> { q = QuantizeLinear(x, one, zero)  y = DequantizeLinear(q, one, zero) }""")
    np.testing.assert_array_equal(rounded, onnx.reference.ReferenceEvaluator(reference).run(None, {"x": numbers})[0])
    assert list(EIGHT_BITS["int8"].rounded(np.float32([0.5, 1.5, -2.5, 300, -300]))) == [0, 2, -2, 127, -127]
