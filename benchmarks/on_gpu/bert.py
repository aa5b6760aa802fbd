"""Graphs of BERT made on the machine itself, with an attention that runtimes compute as fast as they can.

torch.onnx writes attention with a mask of ones and a search for rows without a token. No runtime fuses that, and BERT would lose.
"""

from unittest import mock

import numpy as np
import torch
from fnet_runtime.bundle.manifest import MODEL

ATTENTION = "torch.nn.functional.scaled_dot_product_attention"
FUSED = "fused attention"
"""The form of a graph of BERT for ONNX Runtime. It stands in place of a transform."""


def _plain_attention(query, key, value, attn_mask=None, **_):
    """Attend to all tokens: two products and a softmax. TensorRT fuses them if the factor is before the first product."""
    return torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2), dim=-1) @ value


def _fused_attention(query, key, value, attn_mask=None, **_):
    """Attend to all tokens, by ONNX Runtime's own operator."""
    rows, heads, length, size = query.shape
    tokens = [x.transpose(1, 2).reshape(rows, length, heads * size) for x in (query, key, value)]
    attended = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        tokens,
        {"num_heads": heads},
        dtype=query.dtype,
        shape=tokens[0].shape,
        version=1,
    )
    return attended.reshape(rows, length, heads, size).transpose(1, 2)


def bert_graphs(model, length, precisions, folder, *, fused):
    """Write the graphs of a BERT, as fnet_graphs does: traced by torch.onnx, and in half precision throughout.

    ONNX Runtime's own quantiser makes int8, and `fused` graphs have its operator for attention, which no other runtime takes.
    """
    import onnx_ir
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    from fnet_export.graph.check import quiet
    from fnet_export.graph.file import write_graph
    from on_gpu.half import half_from_graph_except

    class Rows(CalibrationDataReader):
        def __init__(self):
            ids = np.random.default_rng(2).integers(4, 400, (1, length))
            self.rows = iter([{"input_ids": ids, "token_type_ids": np.zeros_like(ids)}])

        def get_next(self):
            return next(self.rows, None)

    for precision in precisions:
        place = folder / precision
        place.mkdir(parents=True)
        path = place / MODEL
        if precision == "fp32":
            batch = torch.export.Dim("batch_size")
            example = tuple(torch.zeros(2, length, dtype=torch.int64) for _ in range(2))
            with quiet(), mock.patch(ATTENTION, _fused_attention if fused else _plain_attention):
                program = torch.onnx.export(
                    model,
                    example,
                    dynamo=True,
                    input_names=["input_ids", "token_type_ids"],
                    output_names=["logits"],
                    dynamic_shapes=({0: batch}, {0: batch}),
                    opset_version=20,
                    verbose=False,
                )
            write_graph(program.model, path)
        elif precision == "int8":
            with quiet():
                quantize_static(
                    folder / "fp32" / MODEL,
                    path,
                    Rows(),
                    op_types_to_quantize=["MatMul"],
                    per_channel=True,
                    activation_type=QuantType.QInt8,
                    weight_type=QuantType.QInt8,
                    use_external_data_format=True,
                )
        else:
            write_graph(half_from_graph_except(onnx_ir.load(folder / "fp32" / MODEL), precision, ()), path)
        yield precision, path
