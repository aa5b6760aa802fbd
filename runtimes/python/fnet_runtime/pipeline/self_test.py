"""The self-test: run the golden inputs of a bundle and compare the outputs with their float64 references."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fnet_runtime.bundle.golden import Golden
from fnet_runtime.pipeline.measures import largest_error, largest_magnitude, smallest_cosine
from fnet_runtime.sessions.session import Outputs, Session, run_in_batches


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
    return checks_from_outputs([run_in_batches(session, case.inputs) for case in golden.cases], golden)


def checks_from_outputs(outputs: Sequence[Outputs], golden: Golden) -> list[Check]:
    """Compare the outputs of each case with its references, and return the worst of all cases by output."""
    return [_check(name, outputs, golden) for name in golden.limits]


def _check(name: str, outputs: Sequence[Outputs], golden: Golden) -> Check:
    limit, references = golden.limits[name], [case.references[name] for case in golden.cases]
    kept = [_kept(of_case.get(name), reference) for of_case, reference in zip(outputs, references, strict=True)]
    scale = max(largest_magnitude(reference) for reference in references)
    worst, cosine = 0.0, 1.0
    for output, reference in zip(kept, references, strict=True):
        worst = max(worst, math.inf if output is None else largest_error(output, reference))
        cosine = min(cosine, 0.0 if output is None else smallest_cosine(output.astype(np.float64), reference))
    error = worst / scale if scale else (math.inf if worst else 0.0)
    return Check(output=name, max_abs=worst, max_rel=error, cosine=cosine, limit=limit, passed=worst <= limit)


def _kept(output: npt.NDArray[np.floating] | None, reference: npt.NDArray[np.float64]) -> npt.NDArray[np.floating] | None:
    """Return the part of an output that its reference holds, None for another shape or numbers that are not finite."""
    if output is None or output.ndim != reference.ndim or len(output) != len(reference) or not np.isfinite(output).all():
        return None
    part = output[tuple(slice(n) for n in reference.shape)]
    return part if part.shape == reference.shape else None
