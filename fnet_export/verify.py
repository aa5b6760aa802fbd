"""A bundle checked again on this host, by the shipped runtime, with the references that it carries: no torch needed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from fnet_runtime.errors import SessionError
from fnet_runtime.golden import Check, Golden, checks_from_session, golden_from_file
from fnet_runtime.manifest import FP32, GOLDEN, AxisProfile, Manifest, manifest_from_folder
from fnet_runtime.pipelines import load, runtimes_from_manifest
from fnet_runtime.session import Ids, Outputs, run_in_batches

from fnet_export.agreement import Agreement
from fnet_export.environment import environment_of_host
from fnet_export.status import FAILED, NOT_RUN, PASSED
from fnet_export.tolerance import Tolerance

Floats = npt.NDArray[np.float64]
DECIDES = "logits"
"""Ends the name of an output of which the highest is an answer."""
REFERENCE = "the float64 references of golden.safetensors"


@dataclass(frozen=True, kw_only=True)
class OutputResult:
    """How one output compared, the limit of its `max_abs`, and whether that holds; where it decides something, how often alike."""

    check: Check
    limit_max_abs: float
    passed: bool
    agreement: Agreement | None


@dataclass(frozen=True, kw_only=True)
class RuntimeResult:
    """One runtime: how its outputs compared, or why it did not run, or failed."""

    runtime: str
    version: str | None
    status: str
    reason: str | None
    outputs: Mapping[str, OutputResult]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Every runtime that the bundle has a file for, or the one that was asked for."""

    manifest: Manifest
    samples: int
    rows: tuple[RuntimeResult, ...]

    @property
    def ran(self) -> bool:
        """Tell whether any runtime ran."""
        return any(row.status != NOT_RUN for row in self.rows)

    @property
    def passed(self) -> bool:
        """Tell whether something ran and nothing that ran failed."""
        return self.ran and all(row.status != FAILED for row in self.rows)

    def values(self) -> dict[str, Any]:
        """Return JSON's own types; an infinite figure is null."""
        return {
            "passed": self.passed,
            "reference": REFERENCE,
            "samples": self.samples,
            "rows": [
                {"runtime": row.runtime, "version": row.version, "status": row.status, "reason": row.reason}
                | {"outputs": {name: _output_values(output) for name, output in row.outputs.items()}}
                for row in self.rows
            ],
        }


def verification_from_bundle(folder: Path, *, runtime: str = "auto", tolerance: Tolerance | None = None) -> Verification:
    """Run the golden inputs by every runtime that the bundle has a file for, or the one named, and compare.

    A runtime that cannot be opened here is a row "not run" with the reason; one that opens and then fails is a row "failed".
    Raises BundleError for a folder that is not a whole, unaltered bundle, InputError for a runtime that it has no file for.
    """
    manifest = manifest_from_folder(folder)
    golden = golden_from_file(folder / GOLDEN)
    names = runtimes_from_manifest(manifest) if runtime == "auto" else (runtime,)
    installed = environment_of_host().libraries
    ties = manifest.precision == FP32
    rows = tuple(_row(folder, name, installed.get(name.replace("-", "_")), golden, tolerance, ties=ties) for name in names)
    return Verification(manifest=manifest, samples=len(next(iter(golden.inputs.values()))), rows=rows)


def _row(
    folder: Path, runtime: str, version: str | None, golden: Golden, tolerance: Tolerance | None, *, ties: bool
) -> RuntimeResult:
    status, reason, outputs = NOT_RUN, None, {}
    try:
        session = load(folder, runtime=runtime).session
        status = FAILED
        answered = _Answered(run_in_batches(session, golden.inputs))
        outputs = {
            check.output: _result(check, golden.references[check.output], answered.run({}).get(check.output), tolerance, ties=ties)
            for check in checks_from_session(answered, golden)
        }
        status = PASSED if all(output.passed for output in outputs.values()) else FAILED
    except SessionError as error:
        reason = str(error)
    return RuntimeResult(runtime=runtime, version=version, status=status, reason=reason, outputs=outputs)


class _Answered:
    """A session that has answered already."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        rows = len(next(iter(outputs.values())))
        self.batch = AxisProfile(min=rows, opt=rows, max=rows)

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Return the outputs, whatever the inputs."""
        return self._outputs


def _result(
    check: Check, reference: Floats, output: npt.NDArray[np.floating] | None, tolerance: Tolerance | None, *, ties: bool
) -> OutputResult:
    limit = check.limit if tolerance is None else tolerance.limit(float(np.abs(reference).max()))
    passed = check.passed if tolerance is None else check.max_abs <= limit
    agreement = None if output is None else _agreement(check.output, output, reference, limit, ties=ties)
    return OutputResult(check=check, limit_max_abs=limit, passed=passed, agreement=agreement)


def _agreement(name: str, output: npt.NDArray[np.floating], reference: Floats, limit: float, *, ties: bool) -> Agreement | None:
    """Count equal decisions; None where an output decides nothing, or its reference holds some of the choices only."""
    if not name.endswith(DECIDES) or output.ndim != reference.ndim or output.shape[-1] != reference.shape[-1]:
        return None
    kept = output[tuple(slice(n) for n in reference.shape)]
    if kept.shape != reference.shape:
        return None
    chosen, right = kept.argmax(axis=-1)[..., None], reference.argmax(axis=-1)[..., None]
    margins = np.take_along_axis(reference, right, axis=-1) - np.take_along_axis(reference, chosen, axis=-1)
    differs = (chosen != right) | ~np.isfinite(kept).all(axis=-1, keepdims=True)
    tied = differs & (margins <= 2 * limit) & np.isfinite(kept).all(axis=-1, keepdims=True)
    return Agreement(decisions=differs.size, differ=int(differs.sum()), ties=int(tied.sum()) if ties else 0)


def _output_values(output: OutputResult) -> dict[str, Any]:
    found = {name: getattr(output.check, name) for name in ("max_abs", "max_rel", "cosine")}
    finite = {name: value if math.isfinite(value) else None for name, value in found.items()}
    agreement = None if output.agreement is None else output.agreement.values()
    return finite | {"limit_max_abs": output.limit_max_abs, "agreement": agreement, "passed": output.passed}
