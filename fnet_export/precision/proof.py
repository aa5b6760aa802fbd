"""Precision proof: which multiply-adds of what was built really run at the precision that was asked for, read back from it.

model.onnx says what is wanted. ONNX Runtime gives the graph that it runs after its optimizer, and OpenVINO its execution graph.
TensorRT gives the strongly typed network that it builds from (tensorrt.py reads it). If a GPU opens the engine, its inspector
describes the layers.
"""

import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
import onnxruntime
from fnet_runtime.bundle.manifest import BF16, FP8, FP16, FP32, INT8, SEQUENCE
from fnet_runtime.sessions.openvino_session import Operation

from fnet_export.base.errors import PrecisionError
from fnet_export.engine.words import INTEGER_PRODUCTS, OF_OPENVINO, nodes_of_inspected, precisions_of_inspected

ENOUGH = 0.95
"""Share of the multiply-adds below which an export fails."""
OF_TYPE: dict[int, str] = {
    onnx.TensorProto.FLOAT: FP32,
    onnx.TensorProto.FLOAT16: FP16,
    onnx.TensorProto.BFLOAT16: BF16,
    onnx.TensorProto.INT8: INT8,
    onnx.TensorProto.UINT8: INT8,
    onnx.TensorProto.FLOAT8E4M3FN: FP8,
}
PRODUCTS = ("MatMul", "Gemm", "FusedMatMul", "FusedGemm", *INTEGER_PRODUCTS)
OPENVINO_PRODUCTS = ("FullyConnected", "MatMul", "Gemm")
NOT_FOUND = "not found"


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product of matrices in model.onnx: its node, the values that hold it (with its bias, too), its size and its precision."""

    name: str
    values: tuple[str, ...]
    multiply_adds: int
    precision: str


@dataclass(frozen=True, kw_only=True)
class PrecisionProof:
    """Hold the share of the intended multiply-adds that run at a precision, and their share of all multiply-adds.

    `read_from` says what was read back; `stayed` names the nodes that were asked to, and run at another.
    """

    precision: str
    read_from: str
    share: float
    share_of_all: float
    stayed: tuple[str, ...]

    def check(self) -> None:
        """Raise PrecisionError, naming the products that run in another precision, below ENOUGH."""
        if not (self.share or self.stayed):
            raise PrecisionError(
                f"model.onnx has no products in {self.precision}: all were kept in float32 for the accuracy. Allow a larger "
                "--max-accuracy-drop, or export in fp32"
            )
        if self.share < ENOUGH:
            raise PrecisionError(
                f"{100 * self.share:.1f} % of the multiply-adds run in {self.precision}, by {self.read_from}; expected "
                f"{100 * ENOUGH:.0f} % or more. These run in another precision: {', '.join(self.stayed)}"
            )


def proof_from_precisions(
    products: Sequence[Product],
    precisions: Mapping[str, str],
    *,
    precision: str,
    read_from: str,
    meant: Collection[str] | None = None,
) -> PrecisionProof:
    """Weigh the products of model.onnx by what each was found to run at, by name.

    `meant` are the modules of the model that are to run in the precision; None means what model.onnx has in it.
    """
    asked = [
        product
        for product in products
        if (product.precision == precision if meant is None else product.name.rpartition("/")[0] in meant)
    ]
    runs = [product for product in products if precisions.get(product.name) == precision]
    return PrecisionProof(
        precision=precision,
        read_from=read_from,
        share=_multiply_adds([product for product in asked if product in runs]) / max(1, _multiply_adds(asked)),
        share_of_all=_multiply_adds(runs) / max(1, _multiply_adds(products)),
        stayed=tuple(product.name for product in asked if product not in runs),
    )


def _multiply_adds(products: Sequence[Product]) -> int:
    return sum(product.multiply_adds for product in products)


def products_from_file(graph: Path, sequence_length: int = 1) -> list[Product]:
    """List the products of model.onnx, each with the multiply-adds of one row: one text, or one choice of one.

    Where texts keep their own length, the text has `sequence_length` tokens.
    """
    model = onnx.load(graph, load_external_data=False)
    for value in model.graph.input:
        for axis in value.type.tensor_type.shape.dim:
            axis.dim_value = axis.dim_value or (sequence_length if axis.dim_param == SEQUENCE else 1)
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes, types = _shapes_and_types(model)
    dequantised = {
        node.output[0]: OF_TYPE.get(types.get(node.input[2], 0), NOT_FOUND)  # its zero point has the type
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
    }
    sums = {name: node.output[0] for node in model.graph.node if node.op_type == "Add" for name in node.input}
    return [
        Product(
            name=node.name,
            values=(node.output[0], *([sums[node.output[0]]] if node.output[0] in sums else [])),
            multiply_adds=prod(shapes.get(node.output[0], [0])) * shapes.get(node.input[0], [0])[-1],
            precision=dequantised.get(node.input[0]) or OF_TYPE.get(types.get(node.input[0], 0), NOT_FOUND),
        )
        for node in model.graph.node
        if node.op_type in PRODUCTS
    ]


def precisions_from_onnxruntime(graph: Path, products: Sequence[Product]) -> dict[str, str]:
    """Say in what precision ONNX Runtime runs each product on the CPU, after its own optimizer."""
    with tempfile.TemporaryDirectory(prefix="fnet-proof-") as scratch:
        path = Path(scratch) / "optimized.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "optimized.data")
        onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        model = onnx.load(path, load_external_data=False)
    _, types = _shapes_and_types(model)
    by_value = {value: product.name for product in products for value in product.values}
    return {
        by_value[node.output[0]]: INT8 if node.op_type in INTEGER_PRODUCTS else OF_TYPE.get(types.get(node.input[0], 1), NOT_FOUND)
        for node in model.graph.node
        if node.op_type in PRODUCTS and node.output[0] in by_value
    }


def precisions_from_inspector(text: str, network: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """Check what TensorRT's network says of products against its engine's inspector; return it corrected, and how many it named.

    A layer of the engine names the ONNX nodes that it computes. A product is in another precision than the network says if no
    tensor of its layer has that precision. `text` is the inspector's JSON, built with detailed verbosity.
    """
    precisions, named = dict(network), set()
    for layer in json.loads(text)["Layers"]:
        if not isinstance(layer, dict):  # a name alone
            continue
        kinds = precisions_of_inspected(layer)
        for name in nodes_of_inspected(layer):
            if name in network and kinds:
                named.add(name)
                if network[name] not in kinds:
                    precisions[name] = " and ".join(sorted(kinds))
    return precisions, len(named)


def precisions_from_openvino(operations: Sequence[Operation], products: Sequence[Product]) -> dict[str, str]:
    """Say in what precision OpenVINO runs each product.

    It knows one by the name of its node, of its module, whose nodes become one, or of the output that it makes. A product that a
    scale was fused to may get a name of OpenVINO's own. Then what makes its weight, or a node that was fused to it, names it.
    """
    names = {product.name for product in products}
    by_value = {value: product.name for product in products for value in product.values}
    modules: dict[str, list[str]] = {}
    for product in products:
        modules.setdefault(product.name.rpartition("/")[0], []).append(product.name)

    def named(name: str, *, alone: bool) -> str | None:
        module, *rest = by_value.get(name, name).split("/")
        node, of_module = "/".join([module, *rest[:1]]), modules.get(module, [])
        return node if node in names else of_module[0] if alone and len(of_module) == 1 else None

    precisions = {}
    for operation in operations:
        if operation.kind in OPENVINO_PRODUCTS:
            direct = (named(name, alone=True) for name in (operation.name, operation.weight))
            fused = (named(name, alone=False) for name in operation.layers)  # a layer's QuantizeLinear is fused to what feeds it
            product_name = next((name for name in (*direct, *fused) if name is not None), None)
            if product_name is not None:
                precisions[product_name] = OF_OPENVINO.get(operation.precision, operation.precision)
    return precisions


def _shapes_and_types(model: onnx.ModelProto) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Return the shape and type of every value for which a graph states them."""
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    shapes = {value.name: [axis.dim_value or 1 for axis in value.type.tensor_type.shape.dim] for value in values}
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    shapes |= {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return shapes, types
