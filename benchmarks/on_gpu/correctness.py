"""Correctness: what the device computes against the float64 reference on the CPU, by the rules of docs/parity.md."""

import json
import math
from functools import partial
from pathlib import Path

from fnet_runtime.bundle.manifest import BF16
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE, Padding

from on_gpu.builders import GraphSet, all_sets, any_length, is_path
from on_gpu.engines import engine_of_set, opened_engine, runtime_name
from on_gpu.graphs import EIGHT_BITS, FP8, HALF_NORM, INT8_ENGINE, STEPS
from on_gpu.models import fnet, random_inputs
from on_gpu.scale import ANY_LENGTH
from on_gpu.sessions import DeviceSession, fallen_back
from on_gpu.step import reason_of

ROWS = 6
TRANSFORMS = ("dft", "folded", HALF_NORM)
"""Those that are checked: the form of two large products, the form for CPUs, and the first one with fewer casts."""
FOR_ENGINES = (INT8_ENGINE, FP8)
"""Precisions of graphs that ONNX Runtime runs on a CPU, to check the graph, and not on a GPU."""
IN_ENGINES = ("fp16", *FOR_ENGINES)
"""Precisions that are checked in engines, which take long to build."""


def small_heads(scale, builders, library, scratch):
    """Check all eight heads, small, at every precision; `library` is one that opens engines here, or None."""
    for wanted in all_sets(scale):
        if wanted.small:
            yield from checked(scale, wanted, builders, library, scratch)


def base_model(scale, builders, library, scratch):
    """Check the graphs that are timed, of the first length, and the graph for texts at their own length."""
    for transform in TRANSFORMS:
        yield from checked(scale, GraphSet(length=scale.lengths[0], transform=transform), builders, library, scratch)
    yield from checked(scale, any_length(scale), builders, library, scratch)


def checked(scale, wanted, builders, library, scratch):
    """Run the graphs of a set on the device, and give a result per row of the parity report."""
    from fnet_export.graph.tensors import tensors_from_task
    from fnet_export.parity.check import parity_from_candidates
    from fnet_export.parity.reference import reference_from_model

    model, exact = (fnet(scale.small if wanted.small else scale.base, wanted.length, wanted.task) for _ in range(2))
    samples = _samples(scale, wanted, model)
    reference = reference_from_model(exact.double(), samples)
    contract = NONE if wanted.transform == ANY_LENGTH else MAX_LENGTH
    inputs = tensors_from_task(model.task, model.config, Padding(wanted.length, contract=contract))[0]
    case = {"task": wanted.task, "transform": wanted.transform, "tokens": wanted.length}
    for precision in wanted.precisions:
        case |= {"precision": precision}
        path = builders.path(wanted, precision)
        if not is_path(path):
            yield case | {"row": "graph", "status": "not run", "reason": path}
            continue
        try:
            candidates = _candidates(scale, wanted, model, precision, Path(path), inputs, library, scratch)
            report = parity_from_candidates(reference, candidates, samples)
        except Exception as error:
            yield case | {"row": "parity", "status": "failed", "reason": reason_of(error)}
            continue
        for row in report.rows[1:]:
            yield case | {"row": row.name, "status": row.status, "reason": row.reason} | _worst(row)
        if precision in FOR_ENGINES:
            continue
        try:
            yield case | {"row": "placement"} | fallen_back(path, scale, samples.batch([0]))
        except Exception as error:
            yield case | {"row": "placement", "status": "not run", "reason": reason_of(error)}


def _samples(scale, wanted, model):
    """Draw random inputs: of the model's length, or of several where texts keep their own."""
    from fnet_export.texts.samples import Samples

    names = [f"random {i}" for i in range(ROWS)]
    if wanted.transform != ANY_LENGTH:
        return Samples.from_batch(names, random_inputs(model.task, model.config, wanted.length, ROWS))
    longest = scale.lengths[0]
    lengths = [longest, longest, longest // 2 + 1, longest // 2 + 1, longest // 4 - 1, 1]
    rows = (random_inputs(model.task, model.config, length, 1, seed=i) for i, length in enumerate(lengths))
    return Samples(tuple(names), tuple(rows))


def _candidates(scale, wanted, model, precision, path, inputs, library, scratch):
    """List what runs a graph: torch as the precision is expected to, ONNX Runtime on the device and the CPU, and an engine."""
    from fnet_export.engine.sessions.torch_session import TorchSession
    from fnet_export.parity.check import Candidate
    from fnet_export.precision.emulation import expected_model

    file = path.with_name(STEPS)
    steps = json.loads(file.read_text()) if file.exists() else {}
    kind = EIGHT_BITS[precision][0] if precision in EIGHT_BITS else precision
    expected = expected_model(model, kind, steps)
    candidates = [Candidate(name="torch, as expected", open=partial(TorchSession, expected), precision=kind, expected=True)]

    def add(name, opener, *, needed=False):
        candidates.append(Candidate(name=name, open=opener, precision=kind, needed=needed))

    if precision not in FOR_ENGINES:
        add(f"ONNX Runtime, {scale.provider}", partial(DeviceSession, path, scale, strict=wanted.transform == HALF_NORM))
    if precision != BF16:
        add("ONNX Runtime, CPU", partial(OrtSession, path, inputs), needed=True)
    if precision not in IN_ENGINES or wanted.transform == HALF_NORM:
        return candidates

    def engine():
        try:
            folder, info = engine_of_set(scale, library, wanted, precision, path, scratch)
        except Exception as error:
            raise SessionError(reason_of(error)) from error  # a reason for this row, and not for the others
        return opened_engine(scale, folder, info, inputs)

    if library is None:
        add("engine", "no library of TensorRT opens engines here")
    else:
        add(runtime_name(scale, library), engine)
    return candidates


def _worst(row):
    """Return the output of a row that comes closest to its limit."""
    if not row.outputs:
        return {}
    name, output = max(row.outputs.items(), key=lambda pair: pair[1].share_of_limit)
    share = output.share_of_limit
    return {
        "output": name,
        "max_abs": output.difference.max_abs,
        "limit": output.limit.max_abs,
        "share_of_limit": share if math.isfinite(share) else None,
    }
