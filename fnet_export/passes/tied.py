"""A tied decoder's weight once: the tracer folds the transpose of the word embeddings into a second tensor as large as they are."""

import numpy as np
import onnx_ir as ir


class TiedPass(ir.passes.InPlacePass):
    """Have every product whose constant is another one transposed (Gemm's B) take the other, by transB."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite a model in place; what is then unused is for a later pass."""
        modified = False
        for node in model.graph:
            if node.op_type != "Gemm" or node.attributes.get_int("transB"):
                continue
            other = _transposed(node.inputs[1], model)
            if other is not None:
                node.replace_input_with(1, other)
                node.attributes["transB"] = ir.AttrInt64("transB", 1)
                modified = True
        return ir.passes.PassResult(model, modified)


def _transposed(value: ir.Value | None, model: ir.Model) -> ir.Value | None:
    """The constant that a constant is the transpose of, if there is one."""
    if value is None or value.const_value is None:
        return None
    wanted = value.const_value.numpy().T
    if wanted.ndim != 2 or wanted.shape[0] == wanted.shape[1]:
        return None  # of a square one and its transpose neither is the one to keep
    for other in model.graph.initializers.values():
        if other.const_value is not None and tuple(other.const_value.shape.numpy()) == wanted.shape:
            found = other.const_value.numpy()
            if np.array_equal(found[0], wanted[0]) and np.array_equal(found, wanted):  # the first row tells most apart
                return other
    return None
