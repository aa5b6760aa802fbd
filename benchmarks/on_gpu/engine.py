"""TensorRT-RTX on this card: whether it opens and runs an engine, in its own words."""

import re

import numpy as np
from fnet_runtime.tokenizer.encoding import Padding

from on_gpu.graphs import CLASSIFIER, fnet, fnet_graphs, random_inputs

NO_GPU = "not run: no NVIDIA GPU on this host"
ROWS = 2


def built_engine(path, rows, folder, capabilities=None):
    """Build an engine of a graph for 1 to `rows` rows; write it to `folder` and return it. Raises EngineError."""
    from fnet_runtime.bundle.manifest import ENGINE, AxisProfile
    from fnet_runtime.engine.options import BuildOptions

    from fnet_core.tasks import BATCH
    from fnet_export.engine.library import library_from_name
    from fnet_export.engine.tensorrt import engine_from_graph

    engine = engine_from_graph(
        path,
        library=library_from_name("tensorrt_rtx"),
        profiles=[{BATCH: AxisProfile(min=1, opt=rows, max=rows)}],
        build=BuildOptions(compute_capabilities=tuple(capabilities or ())),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ENGINE).write_bytes(engine.data)
    return engine


def engine_session(path, inputs, rows, folder):
    """Build an engine and open it, whatever the manifest would say of the card. Raises EngineError or SessionError."""
    from dataclasses import replace

    from fnet_runtime.bundle.manifest import ENGINE
    from fnet_runtime.sessions.trt_session import TrtSession

    engine = built_engine(path, rows, folder)
    return TrtSession(folder / ENGINE, replace(engine.info, compute_capabilities=()), inputs)


def probe(scale, scratch):
    """Build for what the library offers, open, run, and compare with ONNX Runtime's CPU; each answer is a result."""
    from fnet_runtime.sessions.ort_session import OrtSession

    from fnet_export.engine.library import library_from_name
    from fnet_export.graph.tensors import tensors_from_task

    library = library_from_name("tensorrt_rtx")
    offered = [name for name in dir(library.module.ComputeCapability) if re.fullmatch(r"SM\d+|CURRENT", name)]
    yield {"question": "which version and targets", "answer": f"{library.version}: {', '.join(offered)}"}
    model = fnet(scale.small, scale.small["max_position_embeddings"])
    path = fnet_graphs(model, "dft", ("fp32",), scratch / "rtx")["fp32"]
    inputs = tensors_from_task(model.task, model.config, Padding(model.sequence_length))[0]
    fed = random_inputs(model.task, model.config, model.sequence_length, ROWS)
    built = built_engine(path, ROWS, scratch / "rtx")
    yield {"question": "does it build for its default targets", "answer": f"yes, {len(built.data)} bytes", "yes": True}
    if not scale.on_gpu:
        yield {"question": "does it open and run an engine here", "answer": NO_GPU, "yes": False}
        return
    try:
        session = engine_session(path, inputs, ROWS, scratch / "rtx")
        found = session.run(fed)
    except Exception as error:
        yield {"question": "does it open and run an engine here", "answer": f"no: {type(error).__name__}: {error}", "yes": False}
        return
    wanted = OrtSession(path, inputs).run(fed)
    error = max(float(np.abs(found[name] - wanted[name]).max()) for name in wanted)
    answer = f"yes; {CLASSIFIER}, small, differs from ONNX Runtime's CPU by {error:.1e} at most"
    yield {"question": "does it open and run an engine here", "answer": answer, "yes": True}
