"""What the bytes of an engine of TensorRT-RTX say of its products. NVIDIA does not document this text; release 1.7.1 has it."""

import re

PRODUCT = re.compile(rb'fully_connected=\{ name="([^"]+)" output=\{[^}]*\} input=\{("[^}]*")')
TENSOR = re.compile(rb"tensor=\{ ([^\n]*?type=(\w+)) ")
NAME = re.compile(rb'name="([^"]+)"')


def factors_of_products(engine):
    """Return, by the name of a product's ONNX node, the types of its two factors, such as `fp8_e4m3`."""
    types = {NAME.search(whole)[1]: kind.decode() for whole, kind in TENSOR.findall(engine) if NAME.search(whole)}
    return {
        name.decode(): [types.get(factor, "?") for factor in inputs.replace(b'"', b"").split()[:2]]
        for name, inputs in PRODUCT.findall(engine)
    }
