"""A bundle's graph made again from its checkpoint, in memory: what the bundle's own graph is compared with."""

import onnx_ir as ir
from fnet_runtime.bundle.manifest import FP32, POSITIONS, Manifest
from fnet_runtime.tokenizer.encoding import NONE

from fnet_core.fnet import FNet
from fnet_core.tasks import Task, task_at_positions, task_named
from fnet_export.graph.lower import LoweredFNet, lowered_for_target
from fnet_export.graph.optimize import OPTIMIZER, QUANTISABLE, optimized_from_graph
from fnet_export.graph.trace import graph_from_model
from fnet_export.precision.eight_bit import EIGHT_BITS
from fnet_export.precision.half import FLOAT32, FLOAT32_OPERATORS, HALVES, half_from_graph, nodes_of_shapes
from fnet_export.precision.quantised import layers_from_model, products_from_graph, quantised_from_graph


def task_of_manifest(manifest: Manifest) -> Task:
    """Return the task of a bundle, with the positions that it predicts."""
    task = task_named(manifest.task)
    counts = [tensor.axes[-1] for tensor in manifest.inputs if tensor.name == POSITIONS]
    return task_at_positions(task, int(counts[0])) if counts else task


def lowered_of_manifest(trained: FNet, task: Task, manifest: Manifest) -> LoweredFNet:
    """Lower a float32 model as the bundle's was."""
    return lowered_for_target(
        trained,
        task,
        manifest.transform,
        any_length=manifest.padding == NONE,
        target=manifest.target,
        precision=manifest.precision,
    )


def float32_of_manifest(lowered: LoweredFNet, manifest: Manifest, shipped: ir.Model) -> ir.Model:
    """Trace and optimize in float32; a float32 bundle may hold the graph as traced, which its nodes' names show."""
    traced = graph_from_model(lowered, opset=shipped.graph.opset_imports[""])
    optimized = optimized_from_graph(traced, QUANTISABLE if manifest.precision in EIGHT_BITS else OPTIMIZER)
    if manifest.precision == FP32 and _unlike(traced, shipped) < _unlike(optimized, shipped):
        return traced
    return optimized


def fresh_from_float32(graph: ir.Model, model: FNet, manifest: Manifest, shipped: ir.Model) -> ir.Model:
    """Give a model's float32 graph the precision of a bundle's, with the ranges, or the nodes in float32, of the bundle's graph."""
    if manifest.precision in HALVES:
        return half_from_graph(graph, manifest.precision, keep=kept_in_float32(shipped))
    if manifest.quantization is None:
        return graph
    scales = {name: value.const_value for name, value in shipped.graph.initializers.items()}
    bounds, layers, largest = {}, layers_from_model(model), EIGHT_BITS[manifest.precision].largest
    for product in products_from_graph(graph, layers):
        scale = scales.get(f"{product.activation.name}_scale")
        bounds[str(product.activation.name)] = largest * float(scale.numpy()) if scale is not None else 1.0
    kept = manifest.quantization.kept
    return quantised_from_graph(graph, manifest.precision, bounds, layers, target=manifest.target, keep=kept)


def kept_in_float32(half: ir.Model) -> tuple[str, ...]:
    """Return the names of nodes of a graph in half precision that compute in float32, except those that always do."""
    of_shapes = nodes_of_shapes(half)
    return tuple(
        str(node.name)
        for node in half.graph
        if node not in of_shapes
        and node.op_type not in (*FLOAT32_OPERATORS, "Cast")
        and any(output.dtype == FLOAT32 for output in node.outputs)
    )


def _unlike(graph: ir.Model, other: ir.Model) -> int:
    return len({node.name for node in graph.graph} ^ {node.name for node in other.graph})
