"""Correctness: what the device computes against the float64 reference on the CPU, by the rules of docs/parity.md."""

import json
import math
from functools import partial
from pathlib import Path

from fnet_runtime.bundle.manifest import BF16
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.tokenizer.encoding import Padding

from on_gpu.engine import engine_session
from on_gpu.graphs import STEPS, GraphSet, all_sets, fnet, is_path, random_inputs
from on_gpu.sessions import DeviceSession, fallen_back

ROWS = 6
TRANSFORMS = ("folded", "dft")
"""Those that are checked: the form for CPUs, and the form of two large products."""


def small_heads(scale, builders, rtx_opens):
    """All eight heads, small, at every precision."""
    for wanted in all_sets(scale):
        if wanted.small:
            yield from checked(scale, wanted, builders, rtx_opens)


def base_model(scale, builders, rtx_opens):
    """The graphs that are timed, of the first length."""
    for transform in TRANSFORMS:
        yield from checked(scale, GraphSet(length=scale.lengths[0], transform=transform), builders, rtx_opens)


def checked(scale, wanted, builders, rtx_opens):
    """Run the graphs of a set on the device, and give a result per row of the parity report."""
    from fnet_export.engine.sessions.torch_session import TorchSession
    from fnet_export.graph.tensors import tensors_from_task
    from fnet_export.parity.check import Candidate, parity_from_candidates
    from fnet_export.parity.reference import reference_from_model
    from fnet_export.precision.emulation import expected_model
    from fnet_export.texts.samples import Samples

    model, exact = (fnet(scale.small if wanted.small else scale.base, wanted.length, wanted.task) for _ in range(2))
    samples = Samples.from_batch([f"random {i}" for i in range(ROWS)], random_inputs(model.task, model.config, wanted.length, ROWS))
    reference = reference_from_model(exact.double(), samples)
    inputs = tensors_from_task(model.task, model.config, Padding(wanted.length))[0]
    case = {"task": wanted.task, "transform": wanted.transform, "tokens": wanted.length}
    for precision, path in builders.paths(wanted).items():
        if not is_path(path):
            yield case | {"precision": precision, "row": "graph", "status": "not run", "reason": path}
            continue
        file = Path(path).with_name(STEPS)
        steps = json.loads(file.read_text()) if file.exists() else {}
        expected = expected_model(model, precision, steps)
        candidates = [
            Candidate(name="torch, as expected", open=partial(TorchSession, expected), precision=precision, expected=True),
        ]
        on_device = partial(DeviceSession, path, scale)
        candidates.append(Candidate(name=f"ONNX Runtime, {scale.provider}", open=on_device, precision=precision, needed=False))
        if precision != BF16:
            candidates.append(
                Candidate(name="ONNX Runtime, CPU", open=partial(OrtSession, Path(path), inputs), precision=precision)
            )
        if rtx_opens:
            opener = partial(engine_session, path, inputs, ROWS, Path(path).parent)
            candidates.append(Candidate(name="tensorrt_rtx engine", open=opener, precision=precision, needed=False))
        try:
            report = parity_from_candidates(reference, candidates, samples)
        except Exception as error:
            yield case | {"precision": precision, "row": "parity", "status": "failed", "reason": f"{type(error).__name__}: {error}"}
            continue
        for row in report.rows[1:]:
            yield case | {"precision": precision, "row": row.name, "status": row.status, "reason": row.reason} | _worst(row)
        try:
            yield case | {"precision": precision, "row": "placement"} | fallen_back(path, scale, samples.batch([0, 1]))
        except Exception as error:
            yield case | {"precision": precision, "row": "placement", "status": "not run", "reason": str(error)}


def _worst(row):
    """The output of a row that comes closest to its limit."""
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
