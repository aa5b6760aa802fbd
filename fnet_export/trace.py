"""From a model to an ONNX graph: traced by torch.onnx, simplified by onnxsim, checked by onnx."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass

import onnx
import onnxsim
import torch
from google.protobuf.message import EncodeError

from fnet_core.fnet import FNet
from fnet_core.tasks import BATCH, CHOICES, DYNAMIC_AXES, SEQUENCE
from fnet_export.errors import GraphError
from fnet_export.lower import LoweredFNet

MIN_OPSET, DEFAULT_OPSET, MAX_OPSET = 18, 20, 25
"""From 20 on GELU is one operator; onnxscript's converter ends at the newest."""
EXAMPLE_LENGTHS = {BATCH: 2, CHOICES: 3}
"""Lengths of the dynamic axes while tracing: unequal, and above 1, which the tracer would take for a constant."""


TracedModel = FNet | LoweredFNet


@dataclass(frozen=True, kw_only=True)
class TraceOptions:
    """How a model is traced. `opset` is the ONNX operator set, 18 to 25; raises GraphError for another."""

    opset: int = DEFAULT_OPSET

    def __post_init__(self) -> None:
        if not MIN_OPSET <= self.opset <= MAX_OPSET:
            raise GraphError(f"opset: expected {MIN_OPSET} to {MAX_OPSET}, found {self.opset}")


def graph_from_model(model: TracedModel, options: TraceOptions | None = None) -> onnx.ModelProto:
    """Trace a model in evaluation mode: dynamic batch (and choices), fixed sequence length, the task's tensor names.

    Raises GraphError when torch.onnx cannot trace it.
    """
    task = model.task
    lengths = EXAMPLE_LENGTHS | {SEQUENCE: model.sequence_length}
    open_axes = {name: torch.export.Dim(name) for name in DYNAMIC_AXES}
    # a fresh tensor each: the tracer would give two uses of one tensor one name
    example = {
        name: torch.zeros([a if isinstance(a, int) else lengths[a] for a in axes], dtype=torch.int64)
        for name, axes in task.inputs.items()
    }
    dynamic = {name: {i: open_axes[str(a)] for i, a in enumerate(axes) if a in open_axes} for name, axes in task.inputs.items()}
    try:
        with _quiet():
            program = torch.onnx.export(
                model,
                kwargs=example,
                dynamo=True,
                input_names=list(task.inputs),
                output_names=list(task.outputs),
                dynamic_shapes=dynamic,
                opset_version=(options or TraceOptions()).opset,
                optimize=True,  # else torch's chunk stays a SplitToSequence, which TensorRT cannot parse
                verbose=False,
            )
    except Exception as error:  # the tracer raises many kinds; the cause is kept
        raise GraphError(f"{task.name}: torch.onnx cannot trace the model: {error}") from error
    assert program is not None
    graph = program.model_proto
    del graph.metadata_props[:]
    for node in graph.graph.node:  # stack traces carry this machine's paths
        del node.metadata_props[:]
        node.doc_string = ""
    return checked(graph, f"{task.name}: the traced graph")


def simplified_from_graph(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants and drop what is redundant, with onnxsim. Raises GraphError when the result is not valid."""
    with _quiet():
        simplified, _ = onnxsim.simplify(graph)  # that it computes the same is for parity to say
    return checked(simplified, "the simplified graph")


def checked(graph: onnx.ModelProto, what: str) -> onnx.ModelProto:
    """Return a graph that onnx.checker passes in full. Raises GraphError, also where it passes the 2 GiB of a protocol buffer."""
    try:
        onnx.checker.check_model(graph, full_check=True)
    except EncodeError as error:
        raise GraphError(f"{what} passes 2 GiB, which is all that a graph in memory can have; export a smaller model") from error
    except onnx.checker.ValidationError as error:
        raise GraphError(f"{what} is not valid ONNX: {error}") from error
    return graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracer's and the simplifier's talk off the terminal: a library does not print."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
