"""Linear layers and word embeddings in eight bits, between QuantizeLinear and DequantizeLinear, scaled by what calibration found.

Every target gets symmetric numbers, with a scale per tensor for activations. Biases, mixing, normalisation and the small heads stay
in float32 (TensorRT-RTX refuses an int32 bias). `eight_bit.py` has the differences between int8, fp8 and the targets.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from onnx_ir.passes import common
from torch import nn

from fnet_core.fnet import FNet
from fnet_core.variants import LinearMixing
from fnet_export.base.errors import GraphError
from fnet_export.graph.check import checked
from fnet_export.graph.names import module_of_node
from fnet_export.precision.eight_bit import EIGHT_BITS

TABLE = "encoder.embeddings.word"
FLOAT_MODULES = ("pooler.", "head.classifier", "head.qa_outputs", "head.seq_relationship", "head.next_sentence")
"""Layers that read one token or give a few numbers: in eight bits they lose most and save nothing."""

FAULT = "This is a fault of fnet-export: report it, and export in fp32 until then"


@dataclass(frozen=True, kw_only=True)
class Product:
    """A linear layer in a graph: its module, its MatMul, its activation and its weight, which a tied decoder reads transposed."""

    module: str
    node: ir.Node
    activation: ir.Value
    weight: ir.Value
    transposed: bool


Layers = Mapping[str, str]
"""The linear layers that are quantised, by module; each with the first of its siblings that has the same weights, mostly itself."""


def layers_from_model(model: FNet) -> Layers:
    """List the linear layers of a model to quantise: all but mixing matrices, and the small layers of FLOAT_MODULES.

    A graph may compute a query and a key of the same weights by one product. A model on the meta device has no weights to compare.
    """
    modules = dict(model.named_modules())
    mixing = {id(matrix) for module in modules.values() if isinstance(module, LinearMixing) for matrix in module.children()}
    layers: dict[str, str] = {}
    for name, layer in modules.items():
        if isinstance(layer, nn.Linear) and id(layer) not in mixing and not name.startswith(FLOAT_MODULES):
            siblings = (other for other in layers if other.rpartition(".")[0] == name.rpartition(".")[0])
            layers[name] = next((other for other in siblings if _are_equal(modules[other], layer)), name)
    return layers


def _are_equal(one: nn.Module, other: nn.Module) -> bool:
    values, others = one.state_dict(), other.state_dict()
    return not any(value.is_meta for value in values.values()) and all(torch.equal(values[key], others[key]) for key in values)


def is_quantised(parameter: str, layers: Layers) -> bool:
    """Return, by the name of a model's parameter, whether it is stored in eight bits:

    weights of linear layers and the word embeddings.
    """
    module, _, kind = parameter.rpartition(".")
    return kind == "weight" and (module in layers or module == TABLE)


def products_from_graph(graph: ir.Model, layers: Layers) -> list[Product]:
    """List the products of a model's linear layers, in the order of the graph; whether a bias is added does not matter.

    Raises GraphError for a layer that the graph has no product of.
    """
    products = []
    for node in graph.graph:
        module = module_of_node(node)
        if node.op_type != "MatMul" or module not in layers:
            continue
        activation, weight = node.inputs
        assert activation is not None
        assert weight is not None
        producer = weight.producer()
        transposed = producer is not None and producer.op_type == "Transpose"
        stored = producer.inputs[0] if producer is not None and transposed else weight
        if stored is not None and stored.is_initializer() and stored.shape is not None and len(stored.shape) == 2:
            products.append(Product(module=module, node=node, activation=activation, weight=stored, transposed=transposed))
    computed = {layers[product.module] for product in products}
    missing = [layer for layer, same in layers.items() if same not in computed]
    if missing:
        raise GraphError(
            f"quantisation: expected a product of each of the model's {len(layers)} linear layers in the graph; found none of "
            f"{', '.join(missing)}. {FAULT}"
        )
    return products


def quantised_from_graph(
    graph: ir.Model,
    precision: str,
    bounds: Mapping[str, float],
    layers: Layers,
    *,
    target: str,
    keep: Collection[str] = (),
) -> ir.Model:
    """Quantise the linear layers of an optimized graph to a precision of EIGHT_BITS, except `keep`, and the word embeddings.

    `bounds` are the largest magnitudes of activations, by the name of the value (calibrate.py), and `keep` are modules. The graph
    given is not changed. Raises GraphError for a layer that the graph has no product of, and when the result is not valid.
    """
    model = graph.clone()
    products = [product for product in products_from_graph(model, layers) if product.module not in keep]
    quantiser = _Quantiser(model, precision, bounds, target, products)
    for product in products:
        quantiser.quantise(product)
    if TABLE not in keep:
        for node in _look_ups(model):
            quantiser.quantise_table(node)
    for change in (common.RemoveUnusedNodesPass(), common.NameFixPass()):
        model = change(model).model
    return checked(model, f"the {precision} graph")


def steps_from_bounds(
    graph: ir.Model, precision: str, bounds: Mapping[str, float], layers: Layers, keep: Collection[str] = ()
) -> dict[str, float]:
    """Return the scales that the activations of linear layers are to be divided by, by module, from their bounds.

    The word embeddings, whose ids have no scale, stand at nought. No quantised graph is read: its scales are what is checked.
    """
    largest = EIGHT_BITS[precision].largest
    of_first = {
        layers[product.module]: (bounds[cast(str, product.activation.name)] or 1.0) / largest  # 1.0: of zeros alone
        for product in products_from_graph(graph, layers)
        if product.module not in keep
    }
    steps = {layer: of_first[first] for layer, first in layers.items() if first in of_first and layer not in keep}
    return steps if TABLE in keep else steps | {TABLE: 0.0}


def _look_ups(graph: ir.Model) -> list[ir.Node]:
    look_ups = [node for node in graph.graph if node.op_type == "Gather" and module_of_node(node) == TABLE]
    if not look_ups:
        raise GraphError(
            f"quantisation: expected a look-up of the word embeddings in the graph; found no look-up of {TABLE}. {FAULT}"
        )
    return look_ups


class _Quantiser:
    """What one graph shares while it is quantised: a weight, and an activation, once each."""

    def __init__(
        self, model: ir.Model, precision: str, bounds: Mapping[str, float], target: str, products: Sequence[Product]
    ) -> None:
        self._graph, self._bounds, self._precision = model.graph, bounds, precision
        self._type = EIGHT_BITS[precision]
        self._form = self._type.forms[target]
        self._readers = Counter(product.activation for product in products)
        self._weights: dict[tuple[ir.Value, int | None], tuple[ir.Value, ir.Value, ir.Value]] = {}
        self._activations: dict[ir.Value, ir.Value] = {}
        self._columns: dict[ir.Value, ir.Value] = {}

    def quantise(self, product: Product) -> None:
        """Put a linear layer's activation and weight between QuantizeLinear and DequantizeLinear."""
        node, axis = product.node, 0 if product.transposed else 1
        node.replace_input_with(0, self._activation(product))
        whole, scales, zeros = self._weight(product.weight, axis)
        if product.transposed and self._form.tied_columns:
            whole = self._columns[product.weight] = self._constant(f"{whole.name}_columns", np.ascontiguousarray(_array(whole).T))
            node.replace_input_with(1, self._dequantised(node, whole, scales, zeros, axis=1))
            return
        weight = self._dequantised(node, whole, scales, zeros, axis=axis)
        node.replace_input_with(1, self._insert(node, "Transpose", (weight,), perm=[1, 0]) if product.transposed else weight)

    def quantise_table(self, node: ir.Node) -> None:
        """Quantise a look-up of rows."""
        table, ids = node.inputs
        assert table is not None
        rows, scales, zeros = self._weight(table, 0)
        if not self._form.look_up_int8:
            node.replace_input_with(0, self._dequantised(node, rows, scales, zeros, axis=0))
            return
        if table in self._columns:
            embedded = self._insert(node, "Gather", (self._columns[table], ids), axis=1)
            embedded = self._insert(node, "Transpose", (embedded,), perm=[1, 2, 0])
        else:
            embedded = self._insert(node, "Gather", (rows, ids))
        column = self._constant(f"{scales.name}_column", _array(scales)[:, None])
        scaled = self._insert(
            node,
            "Mul",
            (
                self._insert(node, "Cast", (embedded,), to=ir.DataType.FLOAT),
                self._insert(node, "Gather", (column, ids)),
            ),
        )
        scaled.shape, scaled.type = node.outputs[0].shape, node.outputs[0].type
        node.outputs[0].replace_all_uses_with(scaled)
        self._graph.remove(node, safe=True)

    def _dequantised(self, before: ir.Node, whole: ir.Value, scales: ir.Value, zeros: ir.Value, *, axis: int) -> ir.Value:
        """Turn a constant of eight bits into floats, by the scales along an axis if there are several."""
        along = {"axis": axis} if self._type.of_units else {}
        return self._insert(before, "DequantizeLinear", (whole, scales, zeros), **along)

    def _weight(self, value: ir.Value, axis: int) -> tuple[ir.Value, ir.Value, ir.Value]:
        """A constant in eight bits, its scales and zero points: along an axis, or one of each.

        Without zero points, ONNX Runtime makes one for the whole weight on CPUs without VNNI (1.32), and then cannot run the graph.
        """
        key = value, axis if self._type.of_units else None
        if key not in self._weights:
            weight = _array(value)
            others = 1 - axis if self._type.of_units else None
            scale = np.abs(weight).max(axis=others, keepdims=True) / np.float32(self._type.largest)
            scale[scale == 0] = 1  # of zeros alone
            whole = self._type.rounded(weight / scale)
            scale = scale.reshape(-1 if self._type.of_units else ())
            self._weights[key] = (
                self._constant(f"{value.name}_{self._precision}", whole),
                self._constant(f"{value.name}_scale", scale),
                self._constant(f"{value.name}_zeros", np.zeros(scale.shape, whole.dtype)),
            )
        return self._weights[key]

    def _activation(self, product: Product) -> ir.Value:
        """An activation, quantised and back, before the first product that reads it."""
        value = product.activation
        if value not in self._activations:
            bound = self._bounds[cast(str, value.name)] or 1.0  # of zeros alone
            scale = self._constant(f"{value.name}_scale", np.array(bound / self._type.largest, np.float32))
            unsigned = self._form.shared_unsigned and self._readers[value] > 1
            zero_point = np.array(128, np.uint8) if unsigned else np.zeros((), self._type.dtype.numpy())
            zero = self._constant(f"{value.name}_zero", zero_point)
            quantised = self._insert(product.node, "QuantizeLinear", (value, scale, zero))
            self._activations[value] = self._insert(product.node, "DequantizeLinear", (quantised, scale, zero))
        return self._activations[value]

    def _insert(
        self, before: ir.Node, op_type: str, inputs: tuple[ir.Value | None, ...], **attributes: int | list[int] | ir.DataType
    ) -> ir.Value:
        """Put a node before another, as a part of the same module; return its output."""
        module = module_of_node(before)
        name = f"{module}/{op_type}" if module else op_type
        node = ir.node(op_type, inputs, attributes=attributes, name=name)
        self._graph.insert_before(before, node)
        return node.outputs[0]

    def _constant(self, name: str, array: npt.NDArray[np.generic]) -> ir.Value:
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(ir.DataType.from_numpy(array.dtype)))
        value.const_value = ir.tensor(array, name=name)
        self._graph.register_initializer(value)
        return value


def _array(value: ir.Value) -> npt.NDArray[np.float32]:
    assert value.const_value is not None
    return value.const_value.numpy()
