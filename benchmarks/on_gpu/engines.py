"""TensorRT's engines: built on this machine, and opened as the shipped runtime opens them."""

import os
import pickle
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
from fnet_runtime.bundle.manifest import ENGINE, MODEL, SEQUENCE, AxisProfile
from fnet_runtime.engine.logger import error_logger
from fnet_runtime.engine.options import BuildOptions
from fnet_runtime.sessions.ort_session import OrtSession

from fnet_core.tasks import BATCH, CHOICES, TASKS
from fnet_export.engine.library import library_from_name
from fnet_export.engine.tensorrt import build_of_precision, engine_from_graph
from fnet_export.graph.tensors import tensors_from_task
from on_gpu.graphs import EIGHT_BITS, fnet_graphs
from on_gpu.models import NUM_CHOICES, fnet, random_inputs
from on_gpu.plan import ENGINES, STAND_IN
from on_gpu.scale import ANY_LENGTH, FEW_BATCHES
from on_gpu.step import reason_of

DESCRIPTION = "engine.pickle"
OPENS = "does it open and run an engine here"
CONTEXTS = 2
ROWS = 2
SMALL_BATCH = {BATCH: AxisProfile(min=1, opt=ROWS, max=ROWS)}
DEFAULTS = BuildOptions()


def runtime_name(scale, library):
    """Name what runs the engines of a library, as the results do."""
    return ENGINES[library] + ("" if scale.on_gpu else STAND_IN)


def engine_of_set(scale, library, wanted, precision, path, scratch, *, level=None):
    """Build the engine of a graph of a set, or take the one that another step built; return its folder and its description.

    The batches are those that are timed, and the first of them is the best one. Raises as `built_engine` does.
    """
    folder = scratch / "engines" / "-".join(map(str, (library, wanted.folder, precision, level)))
    batches = scale.batches[:FEW_BATCHES] if wanted.transform == ANY_LENGTH else scale.batches
    profile = {BATCH: AxisProfile(min=1, opt=batches[0], max=max(batches))}
    if wanted.transform == ANY_LENGTH:
        profile[SEQUENCE] = AxisProfile(min=1, opt=scale.lengths[0], max=wanted.length)
    if CHOICES in TASKS[wanted.task].input_axes:
        profile[CHOICES] = AxisProfile(min=1, opt=NUM_CHOICES, max=NUM_CHOICES)
    options = BuildOptions(optimization_level=level)
    return folder, built_engine(Path(path), folder, library, [profile], options=options, precision=precision)


def built_engine(graph, folder, library, profiles, *, options=DEFAULTS, precision="fp32"):
    """Build an engine into a folder, next to the files of its graph; return what a manifest says of it, for any GPU.

    `profiles` have the ranges of all open axes. `precision` is a name of graphs.py. An engine that is in the folder is not built
    again. Raises OptionError, PrecisionError and EngineError.
    """
    description = folder / DESCRIPTION
    if description.exists():
        return pickle.loads(description.read_bytes())
    imported = library_from_name(library)
    name = EIGHT_BITS[precision][0] if precision in EIGHT_BITS else precision
    engine = engine_from_graph(
        graph,
        library=imported,
        profiles=profiles,
        build=build_of_precision(options, name, imported),
    )
    info = replace(engine.info, compute_capabilities=())
    shutil.rmtree(folder, ignore_errors=True)  # of a step that was cut off
    folder.mkdir(parents=True)
    for file in graph.parent.glob(f"{graph.name}*"):
        os.link(file, folder / file.name)
    (folder / ENGINE).write_bytes(engine.data)
    description.write_bytes(pickle.dumps(info))
    return info


def opened_engine(scale, folder, info, inputs, *, contexts=CONTEXTS, cuda_graph=False):
    """Open the engine of a folder; on a CPU, what stands in for it. Raises SessionError."""
    opener = opened_by_tensorrt if scale.on_gpu else opened_by_stand_in
    return opener(folder / ENGINE, info, inputs, contexts=contexts, cuda_graph=cuda_graph)


def opened_by_tensorrt(engine, info, inputs, *, contexts, cuda_graph):
    """Open an engine with the shipped session; TensorRT-RTX compiles the kernels of a shape before it runs the shape."""
    from fnet_runtime.sessions import trt_session

    from on_gpu.eager_engine import EagerEngine

    with mock.patch.object(trt_session, "TrtEngine", EagerEngine):
        return trt_session.TrtSession(
            engine, info, inputs, options=trt_session.TrtOptions(contexts=contexts, cuda_graph=cuda_graph)
        )


def opened_by_stand_in(engine, info, inputs, *, contexts, cuda_graph):
    """Open the graph next to an engine with ONNX Runtime on the CPU, whatever the options."""
    return OrtSession(engine.with_name(MODEL), inputs)


def probe(scale, library, scratch):
    """Ask a library for its targets; build for its default, open, run, and compare with ONNX Runtime's CPU."""
    runtime = {"library": runtime_name(scale, library)}
    try:
        imported = library_from_name(library)
    except Exception as error:
        yield {"library": ENGINES[library], "question": "can it be imported", "answer": f"no: {reason_of(error)}", "yes": False}
        return
    yield runtime | {"question": "which version and targets", "answer": f"{imported.version}: {targets_in_words(imported.module)}"}
    model = fnet(scale.small, scale.small["max_position_embeddings"])
    graph = dict(fnet_graphs(model, "dft", ("fp32",), scratch / f"probe-{library}"))["fp32"]
    yield runtime | answer(OPENS, lambda: small_engine_in_words(scale, library, model, graph, graph.parent / "engine"))


def answer(question, act):
    """Ask a question of something that answers or raises."""
    try:
        return {"question": question, "answer": f"yes: {act()}", "yes": True}
    except Exception as error:
        return {"question": question, "answer": f"no: {reason_of(error)}", "yes": False}


def small_engine_in_words(scale, library, model, graph, folder, *, lengths=(), options=DEFAULTS, inputs=None, cuda_graph=False):
    """Build, open and run an engine of a small graph; say how long the build took, and how far ONNX Runtime's CPU is from it.

    `inputs` describe the inputs of the graph, where these are not of one length.
    """
    inputs = inputs or tensors_from_task(model.task, model.config, padding_of(model))[0]
    start = time.monotonic()
    profiles = [SMALL_BATCH | {SEQUENCE: profile} for profile in lengths] or [SMALL_BATCH]
    info = built_engine(graph, folder, library, profiles, options=options)
    seconds, size = time.monotonic() - start, (folder / ENGINE).stat().st_size
    session = opened_engine(scale, folder, info, inputs, cuda_graph=cuda_graph)
    on_cpu, worst = OrtSession(graph, inputs), 0.0
    for length in [profile.max for profile in lengths] or [model.sequence_length]:
        fed = random_inputs(model.task, model.config, length, ROWS)
        expected = on_cpu.run(fed)
        for _ in range(2 + cuda_graph):  # a CUDA graph is run again, and not only recorded
            found = session.run(fed)
        worst = max(worst, *(float(np.abs(found[name] - expected[name]).max()) for name in expected))
    return f"{size} bytes, built in {seconds:.1f} s, differs from ONNX Runtime's CPU by {worst:.1e} at most"


def padding_of(model):
    """Return the contract of a model of one length."""
    from fnet_runtime.tokenizer.encoding import Padding

    return Padding(model.sequence_length)


def targets_in_words(trt):
    """Name the GPUs that a library builds for by name, and say whether it builds for the one that is here."""
    if not hasattr(trt, "ComputeCapability"):
        return "the GPU that is here"
    offered = ", ".join(name for name in dir(trt.ComputeCapability) if re.fullmatch(r"SM\d+|CURRENT", name))
    logger = error_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    x, as_it_is = network.add_input("x", trt.float32, (8, 8)), trt.MatrixOperation.NONE
    network.mark_output(network.add_matrix_multiply(x, as_it_is, x, as_it_is).get_output(0))
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    taken = config.set_compute_capability(trt.ComputeCapability.CURRENT, 0)
    built = taken and builder.build_serialized_network(network, config) is not None
    return f"{offered}; a product for CURRENT is {'built' if built else f'refused: {logger.said()}'}"
