"""The words of engines for precisions and products, translated into the words of this project."""

import re
from collections.abc import Mapping
from typing import Any

from fnet_runtime.bundle.manifest import BF16, FP8, FP16, FP32, INT8

OF_OPENVINO = {
    "f32": FP32,
    "f16": FP16,
    "bf16": BF16,
    "i8": INT8,
    "u8": INT8,
    "i32": "int32",
    "i64": "int64",
    "boolean": "bool",
}
OF_ONNXRUNTIME = {"float": FP32, "float16": FP16, "bfloat16": BF16, "int8": INT8, "uint8": INT8, "float8e4m3fn": FP8}
INTEGER_PRODUCTS = ("MatMulIntegerToFloat", "MatMulInteger", "QLinearMatMul", "QGemm", "DynamicQuantizeMatMul")
"""The operators of ONNX Runtime that multiply whole numbers, whatever their output is."""
OF_INSPECTOR = {
    "float": FP32,
    "fp32": FP32,
    "half": FP16,
    "fp16": FP16,
    "bfloat16": BF16,
    "bf16": BF16,
    "int8": INT8,
    "fp8": FP8,
    "fp8e4m3": FP8,
}
"""Words of TensorRT's engine inspector for what a tensor holds: alone (`Half`), or in `Row major linear FP16 format`."""


def precisions_of_inspected(layer: Mapping[str, Any]) -> set[str]:
    """Return the precisions of the weights and the inputs of a layer, as TensorRT's engine inspector describes them."""
    tensors = [layer.get("Weights", {}), *layer.get("Inputs", ())]
    return {kind for tensor in tensors for kind in _precisions(tensor)}


def nodes_of_inspected(layer: Mapping[str, Any]) -> list[str]:
    """Return the names of the ONNX nodes that a layer of TensorRT's engine inspector computes."""
    return re.findall(r"\[ONNX Layer: (.+?)\]", str(layer.get("Metadata", "")))


def _precisions(tensor: Mapping[str, Any]) -> set[str]:
    types = " ".join(str(tensor.get(key, "")) for key in ("Format/Datatype", "Datatype", "Type")).lower()
    return {OF_INSPECTOR[word] for word in re.findall(r"\w+", types) if word in OF_INSPECTOR}
