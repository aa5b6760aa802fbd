"""onnxsim, which never sees the large weights: it copies a graph several times over, and a protocol buffer ends at 2 GiB."""

import numpy as np
import onnx_ir as ir
import onnxsim

from fnet_export.graph.check import checked, quiet

HIDDEN_ABOVE_BYTES = 1024
"""Smaller constants are shapes and the like, for it to fold; all but matrices, whose products with a bias it would make Gemm."""


def simplified_from_graph(graph: ir.Model) -> ir.Model:
    """Fold constants and drop what is redundant; weights are shared with the graph given, which stays as it is.

    Raises GraphError when the result is not valid.
    """
    lean = graph.clone()
    weights: dict[str, ir.TensorProtocol] = {}
    for name, value in list(lean.graph.initializers.items()):
        if value.const_value is not None and (value.const_value.nbytes > HIDDEN_ABOVE_BYTES or len(value.const_value.shape) > 1):
            rows = np.ascontiguousarray(value.const_value.numpy())  # the tracer's transposed weights are views
            weights[name] = ir.tensor(rows, name=name)
            del lean.graph.initializers[name]
            value.const_value = None
            lean.graph.inputs.append(value)
    with quiet():
        proto, _ = onnxsim.simplify(ir.to_proto(lean))  # that it computes the same is for parity to say
    simplified = ir.from_proto(proto)
    simplified.metadata_props.clear()  # its options, which say nothing of the graph
    for value in list(simplified.graph.inputs):
        if value.name in weights:
            simplified.graph.inputs.remove(value)
            value.const_value = weights[value.name]
            simplified.graph.register_initializer(value)
    return checked(simplified, "the simplified graph")
