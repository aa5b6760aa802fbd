"""The names of nodes: each begins with the module of the model that the node computes a part of."""

import ast

import onnx_ir as ir

NO_MODULE = "_empty_nn_module_stack"
"""What torch.export notes where it knows no module."""
SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch.onnx notes the modules of a node."""


def name_with_module(node: ir.Node) -> str:
    """Name a node by the module that it computes a part of, as in `encoder.blocks.0.intermediate/node_MatMul_31`."""
    scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))  # from the model to the operator
    module = scopes[-2].removeprefix("model.") if len(scopes) > 1 else ""
    if module.startswith(NO_MODULE):
        module = ""
    return f"{module}/{node.name}" if module else str(node.name)


def module_of_node(node: ir.Node) -> str:
    """Return the module that a node computes a part of, by its name, or an empty name."""
    return (node.name or "").rpartition("/")[0]
