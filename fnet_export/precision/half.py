"""Half precision as a graph transformation: types, weights and casts say what runs in it, and no builder gets a flag.

ONNX Runtime's float16 converter knows no bfloat16 and works on protocol buffers, which end at 2 GiB; hence this one.
"""

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from fnet_export.base.errors import GraphError
from fnet_export.graph.check import checked
from fnet_export.graph.parts import FLOATS

HALVES: Mapping[str, ir.DataType] = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
"""ONNX's type of every half precision by name."""
FLOAT32 = ir.DataType.FLOAT
FLOAT32_OPERATORS = frozenset({"LayerNormalization", "Softmax"})
"""What stays in float32: statistics over a whole row, and an epsilon that half precision has no number for."""
MASKED = float(np.finfo(np.float32).min)
"""What a score is set to where a token does not count (AttentionMixing): the lowest number there is, in half precision too."""


def half_from_graph(graph: ir.Model, precision: str, *, keep: Collection[str] = ()) -> ir.Model:
    """Rewrite a float32 graph for `fp16` or `bf16`; the graph given stays as it is, inputs and outputs keep names and types.

    `keep` names nodes that stay in float32, or modules, whose nodes all do.

    Products, sums and activations take and give half precision, and so do the residuals between them. Weights become half, except
    weights of nodes that stay in float32; what several nodes read stays one. A weight is rounded to nearest, and to nought or a
    subnormal number where it is too small.

    Raises GraphError for another precision, a name that no node has, a weight beyond what the precision can hold, or when the
    result is not valid.
    """
    if precision not in HALVES:
        raise GraphError(f"precision: expected {' or '.join(HALVES)} for a graph in half precision, found {precision!r}")
    half = HALVES[precision]
    model = graph.clone()
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    wide = _staying(model, keep)
    for value in list(model.graph.initializers.values()):
        if value.dtype == FLOAT32:
            _halve_weight(model, value, precision, wide)
    for node in list(model.graph):
        if node in wide:
            _surround(model, node, precision)
            continue
        if node.op_type == "Cast" and node.attributes.get_int("to") == FLOAT32:
            node.attributes["to"] = ir.AttrInt64("to", half)
        for output in node.outputs:
            if output.dtype == FLOAT32:
                output.type = ir.TensorType(half)  # a clone shares the type objects of its original
    for index, value in enumerate(model.graph.outputs):
        if value.dtype == half:
            assert value.name is not None
            name, value.name = value.name, f"{value.name}_{precision}"
            model.graph.outputs[index] = _cast(model, value, FLOAT32, name)
    return checked(model, f"the graph in {precision}")


def _staying(model: ir.Model, keep: Collection[str]) -> set[ir.Node]:
    """Find the nodes that stay in float32."""
    wide = {node for node in model.graph if node.op_type in FLOAT32_OPERATORS} | nodes_of_shapes(model)
    for name in keep:
        nodes = [node for node in model.graph if node.name == name or f"{node.name}".startswith((f"{name}/", f"{name}."))]
        if not nodes or not name:
            raise GraphError(f"keep in float32: no node or module of the graph is named {name!r}; fnet-export bisect names them")
        wide.update(nodes)
    return wide


def nodes_of_shapes(model: ir.Model) -> set[ir.Node]:
    """Find the nodes that compute only from the shapes of inputs and from lists of numbers. They stay in float32.

    They make the matrices of the transform where a graph takes any length. An angle in half precision would be too coarse.
    """
    found: set[ir.Node] = set()

    def known(value: ir.Value | None) -> bool:
        if value is None or value.producer() in found:
            return True
        constant = value.const_value if value.is_initializer() else None
        small = constant is not None and (constant.size == 1 or len(constant.shape) <= 1)
        return small or (constant is not None and value.dtype not in FLOATS)

    for node in model.graph:
        if node.op_type == "Shape" or (any(v and v.producer() in found for v in node.inputs) and all(map(known, node.inputs))):
            found.add(node)
    return found


def _halve_weight(model: ir.Model, value: ir.Value, precision: str, wide: Collection[ir.Node]) -> None:
    """Round a weight for all of its readers but those that stay in float32; one that both kinds read becomes two."""
    half = HALVES[precision]
    readers = [use for use in value.uses() if use.node not in wide]
    if not readers:
        return
    assert value.name is not None
    assert value.const_value is not None
    name = value.name if len(readers) == len(value.uses()) else f"{value.name}_{precision}"
    tensor = ir.tensor(_rounded(value.const_value.numpy(), value.name, precision), name=name)
    if name == value.name:
        value.const_value, value.type = tensor, ir.TensorType(half)
        return
    halved = ir.Value(name=name, shape=value.shape, type=ir.TensorType(half), const_value=tensor)
    model.graph.register_initializer(halved)
    for node, index in readers:
        node.replace_input_with(index, halved)


def _rounded(weight: np.ndarray, name: str, precision: str) -> np.ndarray:
    """Round `float32[...]` to half precision. Raises GraphError when a number is too large for it."""
    half = HALVES[precision]
    within = np.where(weight == MASKED, float(half.min), weight)
    largest = float(np.abs(within).max(initial=0.0))
    if not largest <= float(half.max):  # nor is NaN
        raise GraphError(
            f"{name}: expected numbers up to {float(half.max):g}, where {precision} ends; found {largest:g}; use another precision"
        )
    return within.astype(half.numpy())


def _surround(model: ir.Model, node: ir.Node, precision: str) -> None:
    """Put casts around a node that stays in float32, but none between two of them; its weights are float32 still."""
    half = HALVES[precision]
    for index, value in enumerate(node.inputs):
        if value is None or value.is_initializer() or value.dtype not in (None, FLOAT32, half):
            continue
        producer = value.producer()
        assert producer is not None  # graph inputs are ids
        if producer.name == f"cast_{value.name}":  # what made it stays in float32 as well
            node.replace_input_with(index, producer.inputs[0])
            if not value.uses():
                model.graph.remove(producer, safe=True)
        else:
            node.replace_input_with(index, _cast(model, value, FLOAT32, f"{value.name}_fp32"))
    for output in node.outputs:
        readers = list(output.uses()) if output.dtype in (None, FLOAT32) else []
        if readers:
            halved = _cast(model, output, half, f"{output.name}_{precision}")
            for reader, index in readers:
                reader.replace_input_with(index, halved)


def _cast(model: ir.Model, value: ir.Value, dtype: ir.DataType, name: str) -> ir.Value:
    """Return the cast of a value, which is added right after what makes it."""
    for use in value.uses():
        if use.node.name == f"cast_{name}":
            return use.node.outputs[0]
    result = ir.Value(name=name, shape=value.shape, type=ir.TensorType(dtype))
    producer = value.producer()
    assert producer is not None  # graph inputs are ids
    model.graph.insert_after(producer, ir.node("Cast", [value], {"to": dtype}, outputs=[result], name=f"cast_{name}"))
    return result
