"""GELU as one operator: the tracer writes it in seven or eight, each a pass over the widest tensor of the model."""

from typing import Any

import onnx_ir as ir
from onnxscript.rewriter import pattern
from onnxscript.rewriter.ort_fusions.gelu import GeluErfFusion, GeluTanhFusion

GELU_OPSET = 20
"""The first operator set with Gelu."""


class _Tanh(GeluTanhFusion):
    """The library's pattern, rewritten to the standard operator instead of ONNX Runtime's own."""

    def rewrite(self, op: Any, x: Any) -> Any:
        return op.Gelu(x, approximate="tanh")


class _Erf(GeluErfFusion):
    def rewrite(self, op: Any, x: Any) -> Any:
        return op.Gelu(x)


_RULES = pattern.RewriteRuleSet([_Tanh.rule(), _Erf.rule()])  # type: ignore[no-untyped-call]


class GeluPass(ir.passes.InPlacePass):
    """Write every GELU, by tanh or erf, as Gelu; graphs of an operator set before 20 stay as they are."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite a model in place."""
        known = model.opset_imports.get("", 0) >= GELU_OPSET
        return ir.passes.PassResult(model, bool(_RULES.apply_to_model(model)) if known else False)
