"""fnet-base and BERT of base size in float32, bfloat16 and int8, in ONNX Runtime and OpenVINO, next to transformers.

Weights are random and int8 is calibrated on random ids: the numbers mean nothing, time and size are those of any weights.

How they are measured is said in turns.py.

    python benchmarks/precision.py [--lengths 512] [--batches 1] [--threads 2] [--rounds 15]
"""

import tempfile
from pathlib import Path

import numpy as np
from bert import build_bert, build_bert_int8, build_bert_openvino, open_bert_int8, open_bert_openvino
from peers import (
    OPENVINO,
    ORT,
    OURS,
    TORCH,
    VOCAB,
    build_ours,
    chart,
    nothing,
    open_onnxruntime,
    open_ours,
    open_torch,
    our_config,
)
from turns import Benchmark, Subject, main

CALIBRATION_ROWS = 2
LONGEST = 512
"""Tokens of the longest text of a graph for any length."""


def inputs_of(case, axis=None):
    from fnet_runtime.bundle.manifest import TensorInfo

    return [
        TensorInfo(name=name, dtype="int64", axes=("batch_size", axis or case.length)) for name in ("input_ids", "token_type_ids")
    ]


def build_int8(target, *, any_length=False):
    def build(path, case):
        import torch
        from fnet_runtime.bundle.manifest import SEQUENCE

        from fnet_core.fnet import FNet
        from fnet_core.tasks import TASKS
        from fnet_export.graph.file import write_graph
        from fnet_export.graph.lower import any_length_from_model, lowered_from_model
        from fnet_export.graph.optimize import QUANTISABLE, optimized_from_graph
        from fnet_export.graph.trace import graph_from_model
        from fnet_export.precision.calibrate import MINMAX, bounds_from_graph
        from fnet_export.precision.quantised import layers_from_model, products_from_graph, quantised_from_graph
        from fnet_export.texts.samples import Samples

        torch.manual_seed(0)
        length = LONGEST if any_length else case.length
        model = FNet(our_config(length), TASKS["sequence-classification"], sequence_length=length).eval()
        lowered = any_length_from_model(model) if any_length else lowered_from_model(model, "folded")
        graph = optimized_from_graph(graph_from_model(lowered), QUANTISABLE)
        layers = layers_from_model(model)
        ids = np.random.default_rng(1).integers(7, VOCAB, (CALIBRATION_ROWS, length))
        samples = Samples.from_batch(("0", "1"), {"input_ids": ids, "token_type_ids": ids * 0})
        with tempfile.TemporaryDirectory() as scratch:
            float32 = Path(scratch) / "model.onnx"
            write_graph(graph, float32)
            names = [str(product.activation.name) for product in products_from_graph(graph, layers)]
            inputs = inputs_of(case, SEQUENCE if any_length else None)
            bounds = bounds_from_graph(float32, names, inputs, samples, MINMAX, cache=Path(scratch))
        write(quantised_from_graph(graph, "int8", bounds, layers, target=target), path)

    def write(graph, path):
        from fnet_export.graph.file import write_graph

        if target == "onnx":
            write_graph(graph, path)
            return
        with tempfile.TemporaryDirectory() as scratch:
            write_graph(graph, Path(scratch) / "model.onnx")
            convert(Path(scratch) / "model.onnx", path)

    return build


def build_openvino(precision):
    def build(path, case):
        import onnx_ir

        from fnet_export.graph.file import write_graph
        from fnet_export.precision.half import HALVES, half_from_graph

        with tempfile.TemporaryDirectory() as scratch:
            graph = Path(scratch) / "model.onnx"
            build_ours(widen=False)(graph, case)  # as the export does for OpenVINO
            if precision in HALVES:
                write_graph(half_from_graph(onnx_ir.load(graph), precision), graph)
            convert(graph, path)

    return build


def convert(graph, path):
    from fnet_export.engine.openvino import ir_from_graph, openvino_library

    ir_from_graph(graph, path.parent, library=openvino_library())


def open_openvino(precision):
    def opened(path, case):
        from fnet_runtime.sessions.openvino_session import OpenVinoSession

        session = OpenVinoSession(path, inputs_of(case), precision=precision, threads=case.threads)
        return lambda ids: session.run({"input_ids": ids, "token_type_ids": np.zeros_like(ids)})

    return opened


SUBJECTS = {
    "transformers FNet, eager": Subject(nothing, open_torch("FNet", compiled=False), TORCH),
    "ours, ONNX Runtime, fp32": Subject(build_ours(), open_ours(), OURS),
    "ours, ONNX Runtime, int8": Subject(build_int8("onnx"), open_ours(), OURS),
    "ours, OpenVINO, fp32": Subject(build_openvino("fp32"), open_openvino("fp32"), OPENVINO),
    "ours, OpenVINO, bf16": Subject(build_openvino("bf16"), open_openvino("bf16"), OPENVINO),
    "ours, OpenVINO, int8": Subject(build_int8("openvino"), open_openvino("int8"), OPENVINO),
    "BERT, ONNX Runtime, fp32": Subject(build_bert(), open_onnxruntime, ORT),
    "BERT, ONNX Runtime, int8": Subject(build_bert_int8("onnx"), open_bert_int8, OURS),
    "BERT, OpenVINO, fp32": Subject(build_bert_openvino, open_bert_openvino("f32"), OPENVINO),
    "BERT, OpenVINO, bf16": Subject(build_bert_openvino, open_bert_openvino("bf16"), OPENVINO),
    "BERT, OpenVINO, int8": Subject(build_bert_int8("openvino"), open_bert_openvino("f32"), OPENVINO),
}

if __name__ == "__main__":
    main(Benchmark(name="precision", subjects=SUBJECTS, lengths=(512,), batches=(1,), threads=(2,), chart=chart))
