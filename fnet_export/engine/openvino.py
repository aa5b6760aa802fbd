"""From an ONNX graph to OpenVINO's own form (IR): the one file that imports `openvino`.

Read by the frontend itself, not by `openvino.convert_model`, which sends usage data; OpenVINO folds constants when it compiles.
"""

import importlib
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.manifest import IR, OPENVINO, EngineInfo

from fnet_export.base.errors import EngineError
from fnet_export.engine.library import Importer, Library, library_from_name

KEPT = "precise_0"
"""OpenVINO's mark of a node whose precision stays."""


def openvino_library(*, importer: Importer = importlib.import_module) -> Library:
    """Import OpenVINO. Raises EngineError with the line to install when it is missing."""
    return library_from_name(OPENVINO, importer=importer)


def ir_from_graph(graph: Path, folder: Path, *, library: Library) -> EngineInfo:
    """Write model.xml and model.bin, weights at the precision they have: same graph, same bytes. Raises EngineError."""
    ov = library.module
    try:
        model = ov.Core().read_model(graph)
        _name_by_order(model)
        _keep_float32(model, ov.Type.f32)
        ov.save_model(model, folder / IR, compress_to_fp16=False)
    except RuntimeError as error:
        raise EngineError(f"{graph.name}: OpenVINO {library.version} cannot convert it: {' '.join(str(error).split())}") from error
    return EngineInfo(file=IR, library=library.name, version=library.version, compute_capabilities=(), profiles=())


def _name_by_order(model: Any) -> None:
    """Number the nodes that the graph gives no name: OpenVINO does so by a counter of the whole process."""
    for index, node in enumerate(model.get_ordered_ops()):
        if node.get_friendly_name() == node.get_name():
            node.set_friendly_name(f"{node.get_type_name()}_{index}")


def _keep_float32(model: Any, float32: Any) -> None:
    """Mark what is computed in float32 from lengths alone: angles, which a session in bf16 would round to 8 bits.

    OpenVINO's CPU plugin leaves a node with this mark in its precision (tried with 2024.6 and 2026.4).
    """
    of_texts: set[str] = set()
    for node in model.get_ordered_ops():
        kind, sources = node.get_type_name(), [value.get_source_output().get_node().get_friendly_name() for value in node.inputs()]
        if kind == "Parameter" or (kind != "ShapeOf" and not of_texts.isdisjoint(sources)):
            of_texts.add(node.get_friendly_name())
        elif kind != "Constant" and node.get_output_element_type(0) == float32:
            node.get_rt_info()[KEPT] = ""
