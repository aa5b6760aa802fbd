"""From a model to an ONNX graph: traced by torch.onnx, checked by onnx."""

from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor
from torch.fx.experimental import _config as config

from fnet_core.fnet import FNet
from fnet_core.tasks import BATCH, CHOICES, DYNAMIC_AXES, SEQUENCE
from fnet_export.base.errors import GraphError, OptionError, is_out_of_memory
from fnet_export.graph.check import checked, quiet
from fnet_export.graph.lower import LoweredFNet
from fnet_export.graph.names import name_with_module

MIN_OPSET, DEFAULT_OPSET, MAX_OPSET = 18, 20, 25
"""From 20 on GELU is one operator; onnxscript's converter ends at the newest."""
EXAMPLE_LENGTHS = {BATCH: 2, CHOICES: 3, SEQUENCE: 5}
"""Lengths of the dynamic axes while tracing: unequal, and above 1, which the tracer would take for a constant."""

TracedModel = FNet | LoweredFNet


def check_opset(opset: int) -> None:
    """Raise OptionError for an operator set other than 18 to 25."""
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise OptionError(f"--opset: expected {MIN_OPSET} to {MAX_OPSET}, found {opset}")


def graph_from_model(model: TracedModel, *, opset: int = DEFAULT_OPSET) -> ir.Model:
    """Trace a model in evaluation mode: dynamic batch (and choices), the task's tensor names.

    The sequence length is fixed, unless the model was lowered for any length. Most weights are views of the model's own.

    `opset` is the ONNX operator set, 18 to 25. Raises OptionError for another, GraphError when torch.onnx cannot trace the model.
    """
    check_opset(opset)
    task = model.task
    any_length = isinstance(model, LoweredFNet) and model.any_length
    longest = model.sequence_length
    lengths = EXAMPLE_LENGTHS | {SEQUENCE: min(longest, EXAMPLE_LENGTHS[SEQUENCE]) if any_length else longest}
    open_axes = {name: torch.export.Dim(name) for name in DYNAMIC_AXES}
    if any_length:
        open_axes[SEQUENCE] = torch.export.Dim(SEQUENCE, min=1, max=model.sequence_length)
    # a fresh tensor each: the tracer would give two uses of one tensor one name
    example = {
        name: torch.zeros([a if isinstance(a, int) else lengths[a] for a in axes], dtype=torch.int64)
        for name, axes in task.inputs.items()
    }
    dynamic = {name: {i: open_axes[str(a)] for i, a in enumerate(axes) if a in open_axes} for name, axes in task.inputs.items()}
    try:
        with quiet():
            program = program_from_model(model, example=example, dynamic_shapes=dynamic, opset=opset)
    except Exception as error:  # the tracer raises many kinds; the cause is kept
        if is_out_of_memory(error):
            raise MemoryError from error
        raise GraphError(f"{task.name}: torch.onnx cannot trace the model: {error}") from error
    graph = program.model
    graph.metadata_props.clear()
    for node in graph.graph:
        node.name = name_with_module(node)
        node.metadata_props.clear()  # stack traces carry this machine's paths
        node.doc_string = None
    return checked(graph, f"{task.name}: the traced graph")


def program_from_model(
    model: TracedModel, *, example: dict[str, Tensor], dynamic_shapes: dict[str, dict[int, Any]], opset: int
) -> torch.onnx.ONNXProgram:
    """Capture a model with torch.export, and translate the capture with torch.onnx.

    To decompose operators that it cannot translate, torch.onnx captures every model again, which takes half of the time of a
    trace. Here only models with such an operator are captured again.
    """
    # as torch.onnx captures: a length of 1 is like every other
    with config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        captured = torch.export.export(
            model, (), example, dynamic_shapes=dynamic_shapes, prefer_deferred_runtime_asserts_over_guards=True
        )
    decomposed = captured.run_decompositions

    def decomposed_if_known(table: dict[torch._ops.OperatorBase, Any]) -> torch.export.ExportedProgram:
        return decomposed(table) if any(node.target in table for node in captured.graph.nodes) else captured

    def translated() -> torch.onnx.ONNXProgram:
        program = torch.onnx.export(
            captured,
            dynamo=True,
            input_names=list(model.task.inputs),
            output_names=list(model.task.outputs),
            dynamic_shapes=dynamic_shapes,  # the names of the axes
            opset_version=opset,
            optimize=True,  # else torch's chunk stays a SplitToSequence, which TensorRT cannot parse
            verbose=False,
        )
        assert program is not None
        return program

    captured.run_decompositions = decomposed_if_known
    try:
        return translated()
    except torch.onnx.OnnxExporterError as error:  # the table does not list every operator
        if is_out_of_memory(error):
            raise
        captured.run_decompositions = decomposed
        return translated()
