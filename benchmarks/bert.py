"""BERT of base size as ONNX Runtime's own quantiser and OpenVINO make it, to compare with FNet at the same precision.

The recipe is the one of this project: products with weights are int8, with one scale for each activation, one for each output of a
weight, and no zero points. Products of two activations stay float32, and so do the embeddings. Without VNNI, ONNX Runtime takes 250
ms more than this graph needs, at any length: find out why before its time in int8 is compared.
"""

import tempfile
from pathlib import Path

import numpy as np
from peers import VOCAB, build_onnx, logits_module, transformers_model

CALIBRATION_ROWS = 2
SMALLEST_WEIGHT = 10_000
"""Numbers of a weight, to tell it from a constant."""


def build_bert(*, open_axes=False):
    return build_onnx("Bert", open_axes=open_axes)


def build_bert_int8(target, *, open_axes=False):
    def build(path, case):
        with tempfile.TemporaryDirectory() as scratch:
            float32 = Path(scratch) / "model.onnx"
            build_bert(open_axes=open_axes)(float32, case)
            quantise(float32, path if target == "onnx" else Path(scratch) / "int8.onnx", case)
            if target == "openvino":
                save_openvino(Path(scratch) / "int8.onnx", path)

    return build


def build_bert_openvino(path, case):
    import openvino
    import torch

    ids = torch.zeros((case.batch, case.length), dtype=torch.int64)
    model = openvino.convert_model(logits_module(transformers_model("Bert", case.length)), example_input=(ids, ids))
    openvino.save_model(model, path, compress_to_fp16=False)


def open_bert_openvino(precision):
    """The precision is OpenVINO's hint: a graph in int8 says itself what is int8."""

    def opened(path, case):
        import openvino

        options = {"INFERENCE_NUM_THREADS": case.threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if precision == "bf16" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise RuntimeError("this CPU has no bf16")
        compiled = openvino.Core().compile_model(path, "CPU", options)
        return lambda ids: compiled([ids, ids * 0])

    return opened


def quantise(float32, path, case):
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class RandomIds(CalibrationDataReader):
        def __init__(self):
            rng = np.random.default_rng(1)
            rows = (rng.integers(7, VOCAB, (case.batch, case.length)) for _ in range(CALIBRATION_ROWS))
            self.rows = ({"input_ids": ids, "token_type_ids": ids * 0} for ids in rows)

        def get_next(self):
            return next(self.rows, None)

    graph = onnx.load(float32, load_external_data=False).graph
    large = {tensor.name for tensor in graph.initializer if np.prod(tensor.dims) >= SMALLEST_WEIGHT}
    chosen = [node.name for node in graph.node if node.op_type in ("MatMul", "Gemm") and large.intersection(node.input)]
    quantize_static(
        float32,
        path,
        RandomIds(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        nodes_to_quantize=chosen,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "MatMulConstBOnly": True},
        use_external_data_format=True,
    )


def save_openvino(graph, path):
    import openvino

    openvino.save_model(openvino.convert_model(graph), path, compress_to_fp16=False)
