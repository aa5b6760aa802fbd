"""Damages of an exported graph: ten that parity must refuse and `bisect` must place, five of an int8 graph, three of fp8."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from safetensors.torch import load_file, save_file
from support.checkpoints import save_tiny

from fnet_export.graph.names import module_of_node
from fnet_export.precision.half import half_from_graph

PAD_ID = 3
DC = 300.0
"""The mean of what overflowing checkpoints embed: 32 x 12 times that is beyond fp16's 65504."""


@dataclass(frozen=True)
class Mutation:
    """A damage to a clone of a float32 graph with `folded` or `dft` mixing, and where it is: module and operator.

    `overflows` tells that it is one only of a checkpoint whose transform of one input exceeds 65504 (save_overflowing), and that
    the result is in fp16.
    """

    mutate: Callable[[ir.Model], ir.Model]
    module: str
    operator: str
    overflows: bool = False


def save_overflowing(folder, task="sequence-classification", **changes):
    """A tiny checkpoint whose embeddings have a mean of DC."""
    save_tiny(folder, task, **changes)
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.projection.bias"] += DC
    save_file(tensors, folder / "model.safetensors")
    return folder


def dft_row_off_by_one(graph):
    """Row 5 of the cosines along the sequence becomes row 6, in block 0."""
    return _with_constant(graph, _sequence_products(graph)[0], 0, lambda matrix: _with_row(matrix, 5, matrix[6]))


def sine_sign_flipped(graph):
    """The sines along the sequence change their sign, in block 0."""
    products = _sequence_products(graph)

    def flipped(matrix):
        sines = np.arange(matrix.shape[1]) >= (matrix.shape[0] if len(products) == 1 else 0)  # dft: they stand beside the cosines
        return np.where(sines, -matrix, matrix)

    return _with_constant(graph, products[-1], 0, flipped)


def hidden_units_swapped(graph):
    """Block 1 reads units 2 and 3 of its feed-forward the other way round."""

    def swapped(weight):
        return _with_row(_with_row(weight, 2, weight[3]), 3, weight[2])

    return _with_constant(graph, _node(graph, "encoder.blocks.1.output", "MatMul"), 1, swapped)


def eps_wrong(graph):
    """The LayerNorm of the embeddings adds 1e-5, not 1e-12."""
    model = graph.clone()
    _node(model, "encoder.embeddings.norm", "LayerNormalization").attributes["epsilon"] = ir.AttrFloat32("epsilon", 1e-5)
    return model


def gelu_exact(graph):
    """GELU without the tanh approximation in block 0."""
    model = graph.clone()
    _node(model, "encoder.blocks.0", "Gelu").attributes["approximate"] = ir.AttrString("approximate", "none")
    return model


def padding_with_0(graph):
    """Word embeddings see <pad>, id 3, as id 0."""
    model = graph.clone()
    node = _node(model, "encoder.embeddings.word", "Gather")
    ids = node.inputs[1]
    pad, other = (_constant(model, f"damage_{n}", np.array(n)) for n in (PAD_ID, 0))
    equal = ir.node("Equal", [ids, pad], name="damage/Equal")
    where = ir.node("Where", [equal.outputs[0], other, ids], name="damage/Where")
    for made, name, dtype in ((equal, "damage_equal", ir.DataType.BOOL), (where, "damage_where", ir.DataType.INT64)):
        made.outputs[0].name, made.outputs[0].type = name, ir.TensorType(dtype)
    model.graph.insert_before(node, [equal, where])
    node.replace_input_with(1, where.outputs[0])
    return model


def layer_norm_bias_dropped(graph):
    """The LayerNorm after block 1's mixing has no bias."""
    model = graph.clone()
    node = _node(model, "encoder.blocks.1.mixing_norm", "LayerNormalization")
    name = node.inputs[2].name
    node.resize_inputs(2)
    del model.graph.initializers[name]
    return model


def projection_transposed(graph):
    """The square projection of the embeddings, transposed."""
    return _with_constant(graph, _node(graph, "encoder.embeddings.projection", "MatMul"), 1, lambda weight: weight.T)


def last_position_wrong(graph):
    """The last position is embedded as the one before it."""
    orders = [node.inputs[1] for node in graph.graph if node.op_type == "Gather" and node.inputs[0].name == "input_ids"]

    def wrong(table):
        order = orders[0].const_value.numpy().tolist() if orders else list(range(len(table)))
        last = len(table) - 1
        return _with_row(table, order.index(last), table[order.index(last - 1)])

    node = next(n for n in graph.graph if module_of_node(n) == "encoder.embeddings" and n.inputs[1].is_initializer())
    return _with_constant(graph, node, 1, wrong)


def dc_overflows(graph):
    """Fp16 with mixing that is not scaled: the sum of all numbers of an input ends at 65504."""
    return half_from_graph(graph, "fp16")


LAYER = "fnet.encoder.layer"
MUTATIONS = {
    "one DFT row off by one": Mutation(dft_row_off_by_one, f"{LAYER}.0.fourier.self", "MatMul"),
    "sine sign flipped": Mutation(sine_sign_flipped, f"{LAYER}.0.fourier.self", "MatMul"),
    "two hidden units swapped": Mutation(hidden_units_swapped, f"{LAYER}.1.output.dense", "MatMul"),
    "eps wrong": Mutation(eps_wrong, "fnet.embeddings.LayerNorm", "LayerNormalization"),
    "gelu exact instead of tanh": Mutation(gelu_exact, f"{LAYER}.0.intermediate.intermediate_act_fn", "Gelu"),
    "padding with 0": Mutation(padding_with_0, "fnet.embeddings.word_embeddings", "Gather"),
    "one LayerNorm bias dropped": Mutation(layer_norm_bias_dropped, f"{LAYER}.1.fourier.output.LayerNorm", "LayerNormalization"),
    "transposed projection": Mutation(projection_transposed, "fnet.embeddings.projection", "MatMul"),
    "last position wrong": Mutation(last_position_wrong, "fnet.embeddings.position_embeddings", "Add"),
    "fp16 DC overflow": Mutation(dc_overflows, f"{LAYER}.0.fourier.self", "MatMul", overflows=True),
}


def _dequantised(graph, index):
    """The activations or the weights that linear layers read: nodes DequantizeLinear of a clone, and the clone."""
    model = graph.clone()
    products = [node for node in model.graph if node.op_type == "MatMul"]
    given = (node.inputs[index].producer() for node in products if node.inputs[index] is not None)
    return model, [node for node in given if node is not None and node.op_type == "DequantizeLinear"]


def _with_input(model, node, index, change):
    value = node.inputs[index]
    name = f"{value.name}_damaged_{len(model.graph.initializers)}"
    node.replace_input_with(index, _constant(model, name, change(value.const_value.numpy())))


def weight_scale_doubled(graph, layer):
    """The weight of one product is twice as large."""
    model, found = _dequantised(graph, 1)
    _with_input(model, found[layer], 1, lambda scale: scale * np.float32(2))
    return model


def activation_scale_doubled(graph, layer):
    """What one product reads is rounded by steps twice as long."""
    return _with_activation_scale(graph, layer, 2.0)


def activation_scale_halved(graph, layer):
    """What one product reads is cut off at half of its bound."""
    return _with_activation_scale(graph, layer, 0.5)


def zero_point_off_by_one(graph, layer):
    """What one product reads is read back one step lower."""
    model, found = _dequantised(graph, 0)
    _with_input(model, found[layer], 2, lambda zero: zero + np.int8(1))
    return model


def zero_point_of_uint8(graph, layer):
    """What one product reads is read back as if it were half of the range away."""
    model, found = _dequantised(graph, 0)
    _with_input(model, found[layer], 2, lambda zero: zero + np.int8(64))
    return model


def activation_read_back_doubled(graph, layer):
    """What one product reads is read back twice as large."""
    model, found = _dequantised(graph, 0)
    _with_input(model, found[layer], 1, lambda scale: scale * np.float32(2))
    return model


def _with_activation_scale(graph, layer, factor):
    model, found = _dequantised(graph, 0)
    for node in (found[layer].inputs[0].producer(), found[layer]):
        _with_input(model, node, 1, lambda scale: scale * np.float32(factor))
    return model


INT8_MUTATIONS = {
    "weight scale doubled": weight_scale_doubled,
    "activation scale doubled": activation_scale_doubled,
    "activation scale halved": activation_scale_halved,
    "zero point off by one": zero_point_off_by_one,
    "zero point off by half the range": zero_point_of_uint8,
}
"""Each takes the number of a linear layer, in the order of the graph: from an int8 graph to a damaged clone."""
FP8_MUTATIONS = {
    "weight scale doubled": weight_scale_doubled,
    "activation scale halved": activation_scale_halved,
    "activation read back doubled": activation_read_back_doubled,
}
"""The same of an fp8 graph. A doubled scale of an activation is no damage: the steps of fp8 follow the size of its numbers."""


def _node(graph, module, operator):
    return next(node for node in graph.graph if module_of_node(node) == module and node.op_type == operator)


def _sequence_products(graph):
    """Block 0's products with a matrix on the left: of the sequence axis; `folded` has the cosines first, then the sines."""
    of_mixing = (node for node in graph.graph if module_of_node(node) == "encoder.blocks.0.mixing" and node.op_type == "MatMul")
    return [node for node in of_mixing if node.inputs[0].is_initializer()]


def _with_row(matrix, index, row):
    changed = matrix.copy()
    changed[index] = row
    return changed


def _constant(model, name, array):
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(ir.DataType.from_numpy(array.dtype)))
    value.const_value = ir.tensor(np.array(array, order="C"), name=name)
    model.graph.register_initializer(value)
    return value


def _with_constant(graph, node, index, change):
    """Change a constant for one of its readers: matrices of the mixing are one for all blocks."""
    model = graph.clone()
    own = next(other for other in model.graph if other.name == node.name)
    value = own.inputs[index]
    own.replace_input_with(index, _constant(model, f"{value.name}_damaged", change(value.const_value.numpy())))
    if not value.uses():
        del model.graph.initializers[value.name]
    return model
