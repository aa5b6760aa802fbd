"""Times of the base model in engines of TensorRT; copies of ids to the card and of logits back are included."""

import time

from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE

from on_gpu.builders import GraphSet, any_length, is_path
from on_gpu.clock import timed_ms
from on_gpu.engines import engine_of_set, opened_engine, runtime_name
from on_gpu.graphs import FP8, INT8_ENGINE
from on_gpu.models import base_inputs, random_ids
from on_gpu.operations import flops_of_case, measured
from on_gpu.scale import ANY_LENGTH, FEW_BATCHES
from on_gpu.step import reason_of


def goal_times(scale, library, length, builders, scratch):
    """Time what the goals ask for: FNet and BERT in fp16, one run after the other and as a CUDA graph."""
    for model, transform in (("FNet", "dft"), ("BERT", None), ("FNet", "folded")):
        wanted = GraphSet(model=model, length=length, transform=transform)
        yield from _timed(scale, library, wanted, "fp16", builders, scratch, cuda_graph=True)


def other_times(scale, library, length, builders, scratch):
    """Time the other precisions, texts at their own length, and the highest level of optimization."""
    padded = GraphSet(length=length, transform="dft")
    for precision in (FP8, INT8_ENGINE):
        yield from _timed(scale, library, padded, precision, builders, scratch)
    yield from _timed(scale, library, any_length(scale), "fp16", builders, scratch)
    yield from _timed(scale, library, padded, "fp16", builders, scratch, level=5)
    yield from _timed(scale, library, padded, "fp32", builders, scratch)


def _timed(scale, library, wanted, precision, builders, scratch, *, level=None, cuda_graph=False):
    """Build an engine and time it, and as a CUDA graph too if asked for; what fails gives its reason."""
    open_length = wanted.transform == ANY_LENGTH
    lengths = scale.lengths if open_length else [wanted.length]
    batches = scale.batches[:FEW_BATCHES] if open_length else scale.batches
    subject = {
        "subject": f"{wanted.model}, {runtime_name(scale, library)}" + ("" if level is None else f", level {level}"),
        "transform": wanted.transform,
        "precision": "int8" if precision == INT8_ENGINE else precision,
        "tokens": lengths[0],
    }
    path = builders.path(wanted, precision)
    if not is_path(path):
        yield subject | {"reason": path}
        return
    start = time.monotonic()
    try:
        folder, info = engine_of_set(scale, library, wanted, precision, path, scratch, level=level)
    except Exception as error:
        yield subject | {"reason": reason_of(error)}
        return
    subject |= {"built_s": round(time.monotonic() - start, 1)}
    inputs = base_inputs(scale, wanted.length, NONE if open_length else MAX_LENGTH)

    def opened(**options):
        return opened_engine(scale, folder, info, inputs, **options)

    yield from _session_times(scale, opened, path, subject, lengths, batches)
    if cuda_graph:
        subject |= {"subject": f"{subject['subject']}, CUDA graph"}
        yield from _session_times(scale, lambda: opened(cuda_graph=True), path, subject, lengths, batches[:FEW_BATCHES])


def _session_times(scale, opened, path, subject, lengths, batches):
    try:
        session = opened()
    except Exception as error:
        yield subject | {"reason": reason_of(error)}
        return
    for length in lengths:
        case = subject | {"tokens": length}
        flops = flops_of_case(scale, path, case)
        for batch in batches:
            ids = random_ids(scale, length, batch)
            try:
                yield measured(case, batch, timed_ms(lambda ids=ids: session.run(ids), scale), flops)
            except Exception as error:
                yield case | {"batch": batch, "reason": reason_of(error)}
