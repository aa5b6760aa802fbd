"""From an ONNX graph to OpenVINO's own form (IR): the one file that imports `openvino`.

Read by the frontend itself, not by `openvino.convert_model`, which sends usage data; OpenVINO folds constants when it compiles.
"""

import importlib
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.manifest import IR, OPENVINO, EngineInfo

from fnet_export.base.errors import EngineError
from fnet_export.engine.library import Importer, Library, library_from_name


def openvino_library(*, importer: Importer = importlib.import_module) -> Library:
    """Import OpenVINO. Raises EngineError with the line to install when it is missing."""
    return library_from_name(OPENVINO, importer=importer)


def ir_from_graph(graph: Path, folder: Path, *, library: Library) -> EngineInfo:
    """Write model.xml and model.bin, weights at the precision they have: same graph, same bytes. Raises EngineError."""
    ov = library.module
    try:
        model = ov.Core().read_model(graph)
        _name_by_order(model)
        ov.save_model(model, folder / IR, compress_to_fp16=False)
    except RuntimeError as error:
        raise EngineError(f"{graph.name}: OpenVINO {library.version} cannot convert it: {' '.join(str(error).split())}") from error
    return EngineInfo(
        file=IR, library=library.name, version=library.version, compute_capabilities=(), length_profiles=(), batch_profile={}
    )


def _name_by_order(model: Any) -> None:
    """Number the nodes that the graph gives no name: OpenVINO does so by a counter of the whole process."""
    for index, node in enumerate(model.get_ordered_ops()):
        if node.get_friendly_name() == node.get_name():
            node.set_friendly_name(f"{node.get_type_name()}_{index}")
