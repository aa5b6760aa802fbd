"""Part of a graph, run alone: what lies between some of its values, by ONNX Runtime, or in float64 by onnx.reference."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
from fnet_runtime.errors import SessionError
from fnet_runtime.pipeline.measures import is_finite
from onnx.reference import ReferenceEvaluator
from onnx_ir.passes.common import ShapeInferencePass

from fnet_export.base.errors import GraphError

Values = dict[str, npt.NDArray[np.generic]]
"""Arrays by the name of the value."""
BFLOAT16, FLOAT8 = ir.DataType.BFLOAT16, ir.DataType.FLOAT8E4M3FN
FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, BFLOAT16)


class Part(Protocol):
    """A part of a graph that was opened, by any library."""

    def run(self, values: Mapping[str, npt.NDArray[np.generic]]) -> Values:
        """Run it on what it needs of some values, of any float. Raises SessionError."""
        ...


def part_from_graph(graph: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> ir.Model:
    """Copy what computes values from others and from the graph's own inputs; weights come from the graph.

    Raises GraphError where the outputs need more than that.
    """
    graph_inputs = [str(value.name) for value in graph.graph.inputs if value.name not in inputs]
    try:
        part = ir.convenience.extract(graph.graph, [*inputs, *graph_inputs], list(outputs))
    except ValueError as error:
        raise GraphError(
            f"the graph cannot be cut between {', '.join(inputs) or 'its inputs'} and {', '.join(outputs)}: {error}"
        ) from error
    return _needed(part, graph)


def typed(graph: ir.Model) -> ir.Model:
    """Give a graph the types that it leaves out, without which no part of it can be run."""
    if all(value.dtype is not None for node in graph.graph for value in node.outputs):
        return graph
    ShapeInferencePass()(graph)
    return graph


def part_of_node(graph: ir.Model, node: ir.Node) -> ir.Model:
    """Copy one node and its weights."""
    fed = dict.fromkeys(value for value in node.inputs if value is not None and not value.is_initializer())
    made = [output for output in node.outputs if output.name]
    view = ir.GraphView(
        list(fed),
        made,
        nodes=[node],
        initializers=list(dict.fromkeys(value for value in node.inputs if value is not None and value.is_initializer())),
        opset_imports=graph.opset_imports,
        name=node.name,
    )
    return _needed(view.clone(), graph)


def _needed(part: ir.Graph, graph: ir.Model) -> ir.Model:
    """Make a model of a part, without inputs that nothing reads; weights in a file are read."""
    for value in list(part.inputs):
        if not value.uses():
            part.inputs.remove(value)
    return ir.external_data.load_to_model(ir.Model(part, ir_version=graph.ir_version))


class OrtPart:
    """A part opened by ONNX Runtime: floating arrays are rounded to the types that it takes.

    ONNX Runtime's CPU has hardly an operator in bf16. Such a part computes in float32, and what it takes and gives is rounded to
    bf16: what hardware does that sums in float32. Arrays of bf16 are float32 arrays of numbers that bf16 has. ONNX Runtime takes
    and gives fp8 as bytes.
    """

    def __init__(self, part: ir.Model, *, name: str) -> None:
        """Open it; `name` is for errors. Raises SessionError."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # many are open at once
        values = (*part.graph.inputs, *part.graph.outputs)
        dtypes = {value.name: value.dtype for value in part.graph.inputs}
        self._bf16 = {str(value.name) for value in values if value.dtype == BFLOAT16}
        self._fp8 = {str(value.name) for value in values if value.dtype == FLOAT8}
        if self._bf16:
            part = part.clone()
            _retype(part, (BFLOAT16,), ir.DataType.FLOAT)
        try:
            data = ir.to_proto(part).SerializeToString()
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise SessionError(f"{name}: ONNX Runtime {onnxruntime.__version__} cannot open it alone ({error})") from error
        self._name = name
        self._inputs = {str(value.name): dtypes[value.name] for value in self._session.get_inputs()}
        self._outputs = [value.name for value in self._session.get_outputs()]

    def rounded(self, value: str, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Round an array to the type that the part takes it in; what is beyond it becomes infinite."""
        return rounded(array, self._inputs[value])

    def run(self, values: Mapping[str, npt.NDArray[np.generic]]) -> Values:
        """Run it on what it needs of some values, of any float. Raises SessionError."""
        fed = {name: np.asarray(self.rounded(name, values[name]), order="C") for name in self._inputs}
        try:
            outputs = self._session.run(self._outputs, {name: _for_ort(array) for name, array in fed.items()})
        except Exception as error:
            raise SessionError(f"{self._name}: ONNX Runtime failed: {error}") from error
        made = dict(zip(self._outputs, outputs, strict=True))
        made |= {name: _in_bf16(array) for name, array in made.items() if name in self._bf16}
        return made | {name: array.view(FLOAT8.numpy()) for name, array in made.items() if name in self._fp8}


class NodeByNode:
    """A part that runs each node alone: every value is stored as the graph says, which a runtime need not do.

    ONNX Runtime's CPU computes fp16 in float32, and rounds between its own groups of nodes only; bf16 it does not compute.
    """

    def __init__(self, part: ir.Model) -> None:
        """Take the part. One node is open at a time."""
        self._part, self._nodes = part, list(part.graph)
        self._outputs = [str(value.name) for value in part.graph.outputs]
        self._inputs = {str(value.name): value for value in part.graph.inputs}
        last = {str(value.name): index for index, node in enumerate(self._nodes) for value in node.inputs if value is not None}
        self._spent = [[name for name, at in last.items() if at == index] for index in range(len(self._nodes))]
        self.overflow: ir.Node | None = None

    def run(self, values: Mapping[str, npt.NDArray[np.generic]]) -> Values:
        """Run it on what it needs of some values; `overflow` is the first node that made finite numbers infinite or none.

        Raises SessionError.
        """
        known = {name: rounded(values[name], value.dtype) for name, value in self._inputs.items()}
        for node, spent in zip(self._nodes, self._spent, strict=True):
            made = OrtPart(part_of_node(self._part, node), name=str(node.name)).run(known)
            known |= made
            for name in spent:
                if name not in self._outputs:
                    known.pop(name, None)
            if self.overflow is None and not all(is_finite(array) for array in made.values()):
                self.overflow = node
        return {name: known[name] for name in self._outputs}


def rounded(array: npt.NDArray[np.generic], dtype: ir.DataType | None) -> npt.NDArray[np.generic]:
    """Round an array of any float to a float type of a graph; what is beyond it becomes infinite. Other types stay as they are."""
    if dtype == BFLOAT16:
        return _in_bf16(array)
    with np.errstate(over="ignore"):
        return array.astype(dtype.numpy()) if dtype in (*FLOATS, FLOAT8) else array


def values_in_float64(part: ir.Model, values: Mapping[str, npt.NDArray[np.generic]]) -> Values:
    """Compute every value of a part in float64, whatever the types of the graph; weights are as stored."""
    known: Values = {str(value.name): _wide(values[str(value.name)]) for value in part.graph.inputs}
    for node in part.graph:
        known |= node_in_float64(part, node, known)
    return known


def node_in_float64(graph: ir.Model, node: ir.Node, values: Mapping[str, npt.NDArray[np.generic]]) -> Values:
    """Compute one node of a graph in float64."""
    part = part_of_node(graph, node)
    _retype(part, FLOATS, ir.DataType.DOUBLE)
    evaluator = ReferenceEvaluator(ir.to_proto(part))
    names = [str(value.name) for value in part.graph.outputs]
    fed = {str(value.name): values[str(value.name)] for value in part.graph.inputs}
    with np.errstate(all="ignore"):
        return dict(zip(names, evaluator.run(names, fed), strict=True))


def _retype(part: ir.Model, kinds: Collection[ir.DataType], dtype: ir.DataType) -> None:
    """Let a part compute in another float wherever it has one of `kinds`; weights keep their numbers."""
    made = (value for node in part.graph for value in node.outputs)
    for value in (*part.graph.inputs, *made, *part.graph.initializers.values()):
        if value.dtype not in kinds:
            continue
        if value.const_value is not None:
            value.const_value = ir.tensor(value.const_value.numpy().astype(dtype.numpy()), name=value.name)
        value.type = ir.TensorType(dtype)
    for node in part.graph:
        if node.op_type == "Cast" and node.attributes.get_int("to") in kinds:
            node.attributes["to"] = ir.AttrInt64("to", dtype)


def _for_ort(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic] | onnxruntime.OrtValue:
    """Return an array as ONNX Runtime takes it. numpy has no fp8 of its own."""
    if array.dtype != FLOAT8.numpy():
        return array
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint8), FLOAT8)


def _in_bf16(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Round to the numbers that bf16 has, held in float32; what is beyond them becomes infinite."""
    with np.errstate(over="ignore"):
        return array.astype(BFLOAT16.numpy()).astype(np.float32)


def _wide(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array
