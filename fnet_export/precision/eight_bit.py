"""The types of eight bits that linear layers compute in: int8 and fp8, side by side.

fp8 is E4M3: four bits of exponent and three of mantissa, up to 448. TensorRT rounds to it as ONNX does:
https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/quantized-types-schemes.html. Its scales are of whole
tensors, as in NVIDIA's own quantiser, so that the product itself applies them. TensorRT-RTX 1.7 applies scales of output units
after the product.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from fnet_runtime.bundle.manifest import FP8, INT8


@dataclass(frozen=True, kw_only=True)
class Form:
    """What differs between targets: the table of word embeddings, and activations that several products read.

    look_up_int8: rows are looked up in int8 and then scaled, which saves ONNX Runtime the 6 ms that 32,000 of them take; TensorRT
    takes an int8 constant before DequantizeLinear only. tied_columns: a table that a tied decoder reads is stored transposed, as
    ONNX Runtime multiplies it. shared_unsigned: an activation that several products read is uint8 with the zero point 128, whose
    steps are the same. On CPUs without VNNI, ONNX Runtime 1.32 multiplies such an activation in float32 if it is int8.
    """

    look_up_int8: bool = False
    tied_columns: bool = False
    shared_unsigned: bool = False


@dataclass(frozen=True, kw_only=True)
class EightBit:
    """A type of eight bits: its largest number in use, its type in ONNX, and the oldest operator set that quantises to it.

    `of_units`: a weight has a scale per output unit, otherwise one scale. `forms` are the targets that compute in the type; the
    graph of the first target stands for all when layers are ranked, because ONNX Runtime runs it on a CPU.
    """

    largest: float
    dtype: ir.DataType
    opset: int
    of_units: bool
    forms: Mapping[str, Form]

    def rounded(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.generic]:
        """Round numbers, which a scale brought into the range of the type, to the nearest, and halfway to the even one."""
        within = np.clip(values, -self.largest, self.largest)
        return (np.round(within) if self.dtype == ir.DataType.INT8 else within).astype(self.dtype.numpy())


EIGHT_BITS: Mapping[str, EightBit] = {
    INT8: EightBit(
        largest=127.0,  # the same on both sides
        dtype=ir.DataType.INT8,
        opset=13,
        of_units=True,
        forms={
            "onnx": Form(look_up_int8=True, tied_columns=True, shared_unsigned=True),
            "openvino": Form(look_up_int8=True),
            "tensorrt": Form(),
            "tensorrt-rtx": Form(),
        },
    ),
    FP8: EightBit(
        largest=448.0,
        dtype=ir.DataType.FLOAT8E4M3FN,
        opset=19,
        of_units=False,
        forms={"tensorrt": Form(), "tensorrt-rtx": Form()},
    ),
}
"""By precision."""
