"""BERT of base size as ONNX Runtime's own quantiser and OpenVINO make it, to compare with FNet at the same precision.

The recipe is the one of this project. The 72 linear layers of the encoder are int8, with one scale for each activation and one for
each output of a weight. Their outputs, the residuals, products of two activations, the pooler and the classifier stay float32. The
word embeddings stay float32 too, unlike this project's: they take no time, only space. ONNX Runtime opens the graph as the runtime
opens a bundle, with exact products on CPUs without VNNI.

Without VNNI, ONNX Runtime 1.32 makes no int8 product of an int8 activation that several products read, so queries, keys and values
stayed float32, and their weights were dequantised in every run. So the activations of ONNX Runtime are uint8 with the zero point
128. Where all axes are fixed, it also joins a product and its bias before it looks for int8, so its graph has open axes.
"""

import tempfile
from pathlib import Path

import numpy as np
from peers import LAYERS, VOCAB, build_onnx, logits_module, transformers_model

CALIBRATION_ROWS = 2
LINEAR_LAYERS = 6 * LAYERS
SMALLEST_WEIGHT = 10_000
"""Numbers of a weight, to tell it from a constant."""


def build_bert(*, open_axes=False):
    return build_onnx("Bert", open_axes=open_axes)


def build_bert_int8(target):
    def build(path, case):
        with tempfile.TemporaryDirectory() as scratch:
            float32 = Path(scratch) / "model.onnx"
            build_bert(open_axes=target == "onnx")(float32, case)
            if target == "onnx":
                quantise(float32, path, case, activations="QUInt8")
                check_onnxruntime(path)
            else:
                quantise(float32, Path(scratch) / "int8.onnx", case, activations="QInt8")
                save_openvino(Path(scratch) / "int8.onnx", path)

    return build


def open_bert_int8(path, case):
    """Open a graph with open axes as the runtime opens a bundle."""
    from fnet_runtime.bundle.manifest import SEQUENCE, TensorInfo
    from fnet_runtime.sessions.ort_session import OrtSession

    inputs = [TensorInfo(name=name, dtype="int64", axes=("batch_size", SEQUENCE)) for name in ("input_ids", "token_type_ids")]
    session = OrtSession(path, inputs, threads=case.threads)
    return lambda ids: session.run({"input_ids": ids, "token_type_ids": np.zeros_like(ids)})


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


def quantise(float32, path, case, *, activations):
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
    chosen = [node.name for node in graph.node if node.op_type == "MatMul" and large.intersection(node.input)]
    quantize_static(
        float32,
        path,
        RandomIds(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType[activations],
        weight_type=QuantType.QInt8,
        nodes_to_quantize=chosen,
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "MatMulConstBOnly": True,
            "OpTypesToExcludeOutputQuantization": ["MatMul"],
        },
        use_external_data_format=True,
    )
    keep_residuals(path, chosen)


def keep_residuals(path, chosen):
    """Let only the chosen products read quantised activations. The quantiser rounds the residual that shares an activation too."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    producers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.name in chosen:
            continue
        for i, name in enumerate(node.input):
            if name in producers and producers[name].op_type == "DequantizeLinear":
                quantised = producers.get(producers[name].input[0])  # None for a weight
                if quantised is not None:
                    node.input[i] = quantised.input[0]
    onnx.save(model, path)


def check_onnxruntime(path):
    """Fail the build unless ONNX Runtime makes an int8 product of every linear layer."""
    from fnet_runtime.bundle.manifest import INT8

    from fnet_export.precision.proof import precisions_from_onnxruntime, products_from_file

    found = list(precisions_from_onnxruntime(path, products_from_file(path)).values()).count(INT8)
    if found != LINEAR_LAYERS:
        raise RuntimeError(f"BERT in int8: expected {LINEAR_LAYERS} int8 products in ONNX Runtime, found {found}")


def save_openvino(graph, path):
    import openvino

    openvino.save_model(openvino.convert_model(graph), path, compress_to_fp16=False)
