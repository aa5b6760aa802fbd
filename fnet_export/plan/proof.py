"""The proof of precision of an export: what of the bundle really runs in the precision that was asked for."""

from collections.abc import Collection, Mapping
from pathlib import Path

import onnxruntime
from fnet_runtime.bundle.manifest import FP32, IR, MODEL, OPENVINO
from fnet_runtime.sessions.openvino_session import OpenVinoSession

from fnet_export.engine.tensorrt import Engine
from fnet_export.plan.plan import Plan
from fnet_export.precision.proof import (
    PrecisionProof,
    precisions_from_inspector,
    precisions_from_onnxruntime,
    precisions_from_openvino,
    products_from_file,
    proof_from_precisions,
)


def proof_from_plan(plan: Plan, folder: Path, engine: Engine | None, quantised: Collection[str] | None) -> PrecisionProof | None:
    """Ask the library that runs the bundle; None for float32. Raises PrecisionError when too little runs in the precision."""
    precision, library = plan.options.graph.precision, plan.library
    if precision == FP32:
        return None
    products = products_from_file(folder / MODEL, plan.trained.sequence_length)
    precisions: Mapping[str, str]
    if library is None:
        read_from = f"ONNX Runtime {onnxruntime.__version__}, its optimized graph"
        precisions = precisions_from_onnxruntime(folder / MODEL, products)
    elif library.name == OPENVINO:
        read_from = f"OpenVINO {library.version}, its execution graph on this host"
        session = OpenVinoSession(folder / IR, plan.inputs, precision=precision)
        precisions = precisions_from_openvino(session.operations(), products)
    else:
        assert engine is not None
        read_from = f"{library.name} {library.version}, the strongly typed network that it built from"
        precisions = engine.precisions
        if engine.inspected is not None:
            precisions, named = precisions_from_inspector(engine.inspected, precisions)
            read_from += f" and its engine's inspector, which names {named} of {len(products)} products"
    proof = proof_from_precisions(products, precisions, precision=precision, read_from=read_from, meant=quantised)
    proof.check()
    return proof
