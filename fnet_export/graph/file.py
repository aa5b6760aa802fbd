"""A graph as a file: model.onnx, and model.onnx.data where its weights are large."""

from pathlib import Path

import onnx_ir as ir
from fnet_runtime.bundle.manifest import MODEL_DATA
from onnx.helper import find_min_ir_version_for, make_opsetid

EXTERNAL_DATA_ABOVE_BYTES = 64_000_000
"""Weights of larger graphs are in a separate file. ONNX Runtime maps it instead of holding the weights twice while it opens the
graph (fnet-base: 288 MB at the peak instead of 479)."""


def write_graph(graph: ir.Model, path: Path, *, external_above_bytes: int = EXTERNAL_DATA_ABOVE_BYTES) -> None:
    """Write a checked graph at the lowest IR version, with large weights next to it in `model.onnx.data`. Raises OSError.

    The graph given stays as it is.
    """
    size = sum(value.const_value.nbytes for value in graph.graph.initializers.values() if value.const_value is not None)
    external = MODEL_DATA if size > external_above_bytes else None
    traced_at, graph.ir_version = graph.ir_version, lowest_ir_version(graph)
    try:
        ir.save(graph, path, external_data=external, size_threshold_bytes=1024)
    finally:
        graph.ir_version = traced_at


def lowest_ir_version(graph: ir.Model) -> int:
    """Return the IR version of the first ONNX release that has a graph's operator sets.

    An engine refuses a version newer than its own. The types in our graphs (bfloat16, int8) are older than any of these releases.
    """
    operator_sets = [make_opsetid(domain, version) for domain, version in graph.opset_imports.items()]
    return int(find_min_ir_version_for(operator_sets, ignore_unknown=True))
