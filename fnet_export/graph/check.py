"""The check that every graph passes, and silence for the libraries that make graphs."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import CheckerPass

from fnet_export.base.errors import GraphError


def checked(graph: ir.Model, what: str) -> ir.Model:
    """Return a graph that onnx.checker passes in full. Raises GraphError."""
    try:
        CheckerPass(full_check=True)(graph)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphError(f"{what} is not valid ONNX: {error}") from error
    return graph


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the talk of the tracer and the simplifier off the terminal: a library does not print."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
