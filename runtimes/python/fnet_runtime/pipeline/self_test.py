"""The self-test: run the golden inputs of a bundle and compare the outputs with their float64 references."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fnet_runtime.bundle.golden import Golden
from fnet_runtime.pipeline.measures import largest_error, largest_magnitude, smallest_cosine
from fnet_runtime.sessions.session import Session, run_in_batches


@dataclass(frozen=True, kw_only=True)
class Check:
    """How one output compared with its reference, which may hold a part of it.

    max_abs: largest absolute error, which `limit` bounds; max_rel: that error over the reference's largest magnitude; cosine: the
    smallest over the last axis. An output of another shape, or with NaN or infinite values, has infinite errors and the cosine 0.
    """

    output: str
    max_abs: float
    max_rel: float
    cosine: float
    limit: float
    passed: bool


def checks_from_session(session: Session, golden: Golden) -> list[Check]:
    """Run the golden inputs and compare every output. Raises what the session raises."""
    outputs = run_in_batches(session, golden.inputs)
    return [_check(name, outputs.get(name), reference, golden.limits[name]) for name, reference in golden.references.items()]


def _check(name: str, output: npt.NDArray[np.floating] | None, reference: npt.NDArray[np.float64], limit: float) -> Check:
    worst, error, cosine = math.inf, math.inf, 0.0
    rows_match = output is not None and output.ndim == reference.ndim and len(output) == len(reference)
    kept = output[tuple(slice(n) for n in reference.shape)] if output is not None and rows_match else None
    if output is not None and kept is not None and kept.shape == reference.shape and np.isfinite(output).all():
        scale, worst = largest_magnitude(reference), largest_error(kept, reference)
        error = worst / scale if scale else (math.inf if worst else 0.0)
        cosine = smallest_cosine(kept.astype(np.float64), reference)
    return Check(output=name, max_abs=worst, max_rel=error, cosine=cosine, limit=limit, passed=worst <= limit)
