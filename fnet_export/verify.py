"""A bundle checked again on this host, by the shipped runtime, with the references that it carries: no torch needed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fnet_runtime.errors import SessionError
from fnet_runtime.golden import Check, Golden, checks_from_session, golden_from_file
from fnet_runtime.manifest import GOLDEN, Manifest, manifest_from_folder
from fnet_runtime.pipelines import load, runtimes_from_manifest

from fnet_export.environment import environment_of_host
from fnet_export.status import FAILED, NOT_RUN, PASSED
from fnet_export.tolerance import Tolerance

REFERENCE = "the float64 references of golden.safetensors"


@dataclass(frozen=True, kw_only=True)
class OutputResult:
    """How one output compared, the limit of its `max_abs`, and whether that holds."""

    check: Check
    limit_max_abs: float
    passed: bool


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
    rows = tuple(_row(folder, name, installed.get(name.replace("-", "_")), golden, tolerance) for name in names)
    return Verification(manifest=manifest, samples=len(next(iter(golden.inputs.values()))), rows=rows)


def _row(folder: Path, runtime: str, version: str | None, golden: Golden, tolerance: Tolerance | None) -> RuntimeResult:
    status, reason, outputs = NOT_RUN, None, {}
    try:
        session = load(folder, runtime=runtime).session
        status = FAILED
        scales = {name: float(np.abs(reference).max()) for name, reference in golden.references.items()}
        outputs = {check.output: _result(check, scales[check.output], tolerance) for check in checks_from_session(session, golden)}
        status = PASSED if all(output.passed for output in outputs.values()) else FAILED
    except SessionError as error:
        reason = str(error)
    return RuntimeResult(runtime=runtime, version=version, status=status, reason=reason, outputs=outputs)


def _result(check: Check, scale: float, tolerance: Tolerance | None) -> OutputResult:
    if tolerance is None:
        return OutputResult(check=check, limit_max_abs=check.limit, passed=check.passed)
    limit = tolerance.limit(scale)
    return OutputResult(check=check, limit_max_abs=limit, passed=check.max_abs <= limit)


def _output_values(output: OutputResult) -> dict[str, Any]:
    found = {name: getattr(output.check, name) for name in ("max_abs", "max_rel", "cosine")}
    finite = {name: value if math.isfinite(value) else None for name, value in found.items()}
    return finite | {"limit_max_abs": output.limit_max_abs, "passed": output.passed}
