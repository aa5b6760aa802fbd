"""From a traced graph to the one that ships: what the tracer leaves behind is folded, fused and shared."""

from collections.abc import Sequence

import onnx_ir as ir
from onnx_ir.passes import common

from fnet_export.graph.check import checked
from fnet_export.graph.passes.gelu import GeluPass
from fnet_export.graph.passes.tied import TiedPass
from fnet_export.graph.simplify import simplified_from_graph

OPTIMIZER: tuple[ir.passes.PassBase, ...] = (
    GeluPass(),
    TiedPass(),
    common.CommonSubexpressionEliminationPass(),
    common.DeduplicateHashedInitializersPass(),
    common.RemoveUnusedNodesPass(),
    common.RemoveUnusedOpsetsPass(),
)
"""The passes after onnxsim, in order.

LayerNormalization comes whole from the tracer. A product and its bias stay two nodes, MatMul and Add. As Gemm they need a Reshape
before and after, and ONNX Runtime is no faster (277.5 ms and 278.6 of fnet-base). So do the sum of a residual and its
LayerNormalization: ONNX Runtime's kernel for both is the slower one (fnet_runtime's OrtSession).
"""


QUANTISABLE = tuple(change for change in OPTIMIZER if not isinstance(change, TiedPass))
"""Those before quantised.py, which has no Gemm: a tied decoder stays a product of the transposed table."""


def optimized_from_graph(graph: ir.Model, passes: Sequence[ir.passes.PassBase] = OPTIMIZER) -> ir.Model:
    """Simplify a traced graph with onnxsim and run the passes on it. Raises GraphError when the result is not valid."""
    model = simplified_from_graph(graph)
    for change in passes:
        model = change(model).model
    return checked(model, "the optimized graph")
