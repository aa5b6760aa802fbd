"""Providers of ONNX Runtime as the shipped runtime opens them: does one take every node, is it right, how long does a text take."""

from pathlib import Path

import numpy as np
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.providers import PROVIDERS, check_provider
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE

from on_gpu.builders import GraphSet, any_length, is_path
from on_gpu.clock import timed_ms
from on_gpu.correctness import FOR_ENGINES
from on_gpu.models import base_inputs, random_ids
from on_gpu.scale import ANY_LENGTH

TRANSFORMS = ("folded", "dft", ANY_LENGTH)
"""The forms of both padding contracts: two of one length, and the graph for texts at their own length."""


def placements(scale, name, builders):
    """Open the base model's graphs by a provider; give a result per graph, and per batch that it runs."""
    provider = PROVIDERS[name]
    try:
        check_provider(provider)
    except SessionError as error:
        yield {"provider": name, "reason": str(error)}
        return
    length = scale.lengths[0]
    for transform in TRANSFORMS:
        wanted = any_length(scale) if transform == ANY_LENGTH else GraphSet(length=length, transform=transform)
        for precision in (name for name in wanted.precisions if name not in FOR_ENGINES):
            path = builders.path(wanted, precision)
            case = {"provider": name, "transform": transform, "precision": precision, "tokens": length}
            if not is_path(path):
                yield case | {"reason": path}
                continue
            yield from _opened(scale, case, Path(path), Path(builders.path(wanted, "fp32")), provider)


def _opened(scale, case, path, float32, provider):
    """Open one graph; where the provider leaves nodes to the CPU, open it with them as well, and say so."""
    length = case["tokens"]
    inputs = base_inputs(scale, length, NONE if case["transform"] == ANY_LENGTH else MAX_LENGTH)
    options = {"provider": provider, "precision": case["precision"]}
    try:
        try:
            session = OrtSession(path, inputs, **options)
            case |= {"left": ""}
        except SessionError as error:
            case |= {"left": str(error)}
            session = OrtSession(path, inputs, **options, allow_partial=True)
        ids = random_ids(scale, length, 2)
        expected = OrtSession(float32, inputs).run(ids)
        found = session.run(ids)
        yield case | {"difference": max(float(np.abs(found[name] - expected[name]).max()) for name in expected)}
        for batch in scale.batches:
            ids = random_ids(scale, length, batch)
            yield case | {"batch": batch} | timed_ms(lambda ids=ids: session.run(ids), scale)
    except SessionError as error:
        yield case | {"reason": str(error)}
