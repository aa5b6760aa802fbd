"""A tied decoder reads the word embeddings as they are: the product transposes them, not a node that makes a second table."""

from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter import pattern


class _Tied(pattern.RewriteRuleClassBase):
    def pattern(self, op: Any, x: Any, weight: Any, bias: Any) -> Any:
        return op.Add(op.MatMul(x, op.Transpose(weight, perm=[1, 0])), bias)

    def check(self, _: Any, x: ir.Value, weight: ir.Value, bias: ir.Value) -> bool:  # type: ignore[override]
        """Take the products of two-dimensional weights with values whose shape leaves one axis open."""
        shape = x.shape
        return weight.is_initializer() and shape is not None and sum(not isinstance(axis, int) for axis in shape) <= 1

    def rewrite(self, op: Any, x: ir.Value, weight: ir.Value, bias: ir.Value) -> Any:
        assert x.shape is not None
        assert weight.shape is not None
        outputs, hidden = weight.shape
        rows = ir.tensor(np.array([-1, hidden]), name="tied_rows")
        back = ir.tensor(np.array([*(axis if isinstance(axis, int) else -1 for axis in x.shape[:-1]), outputs]), name="tied_back")
        product = op.Gemm(op.Reshape(x, op.initializer(rows)), weight, bias, transB=1)
        return op.Reshape(product, op.initializer(back))


_RULES = pattern.RewriteRuleSet([_Tied.rule()])  # type: ignore[no-untyped-call]


class TiedPass(ir.passes.InPlacePass):
    """Write every product with a transposed weight, and its bias, as Gemm with transB.

    A table below 8,192 numbers the tracer has folded already.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite a model in place."""
        return ir.passes.PassResult(model, bool(_RULES.apply_to_model(model)))
