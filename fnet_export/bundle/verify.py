"""A bundle checked again on this host, by the shipped runtime, with the references that it carries: no torch needed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from fnet_runtime.bundle.golden import Golden, golden_from_file
from fnet_runtime.bundle.manifest import FP32, GOLDEN, Manifest, manifest_from_folder
from fnet_runtime.errors import SessionError
from fnet_runtime.pipeline.measures import largest_magnitude
from fnet_runtime.pipeline.open import load
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.pipeline.self_test import Check, checks_from_outputs
from fnet_runtime.sessions.providers import CPU
from fnet_runtime.sessions.runtimes import AUTO, RUNTIMES, runtime_from_name, runtimes_from_manifest
from fnet_runtime.sessions.session import notes_from_session, run_in_batches

from fnet_export.base.arguments import StrPath, check_providers
from fnet_export.base.environment import environment_of_host
from fnet_export.base.status import FAILED, NOT_RUN, PASSED
from fnet_export.evaluation.decisions import SIGN, decision_of_task, differing
from fnet_export.parity.agreement import Agreement, attentions
from fnet_export.parity.tolerance import Tolerance, tolerance_from_options

Floats = npt.NDArray[np.float64]
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
    """One runtime: how its outputs compared, or why it did not run, or failed.

    A runtime with a provider of a GPU has the provider in its name. `notes` says which nodes that provider left to the CPU.
    """

    runtime: str
    version: str | None
    status: str
    reason: str | None
    outputs: Mapping[str, OutputResult]
    notes: tuple[str, ...] = ()

    @property
    def attentions(self) -> list[str]:
        """Name the outputs whose decisions agree too rarely with the reference."""
        return attentions({name: output.agreement for name, output in self.outputs.items()})


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Every runtime that the bundle has a file for, or the one that was asked for."""

    manifest: Manifest
    samples: int
    rows: tuple[RuntimeResult, ...]

    @property
    def ran(self) -> bool:
        """Return whether any runtime ran."""
        return any(row.status != NOT_RUN for row in self.rows)

    @property
    def passed(self) -> bool:
        """Return whether something ran and nothing that ran failed."""
        return self.ran and all(row.status != FAILED for row in self.rows)

    def values(self) -> dict[str, Any]:
        """Return the values of the report; an infinite figure becomes null in JSON."""
        return {
            "passed": self.passed,
            "reference": REFERENCE,
            "samples": self.samples,
            "rows": [
                {"runtime": row.runtime, "version": row.version, "status": row.status, "reason": row.reason}
                | {"notes": list(row.notes)}
                | {"outputs": {name: _output_values(output) for name, output in row.outputs.items()}, "attention": row.attentions}
                for row in self.rows
            ],
        }


def verify(
    bundle: StrPath,
    *,
    runtime: str = AUTO,
    provider: str = CPU,
    allow_partial: bool = False,
    atol: float | None = None,
    rtol: float | None = None,
) -> Verification:
    """Run the golden inputs of a bundle, and compare with its float64 references. Do what `fnet-export verify` does.

    `runtime` is the name of a runtime, or `auto` for every runtime that the bundle has a file for. `fnet_runtime.load` explains
    `provider` and `allow_partial`. `atol` and `rtol` replace the limits of the bundle. `passed` of the result says whether a
    runtime ran and no runtime failed. A runtime that fails raises nothing.

    Raises BundleError for a folder that is not a whole, unaltered bundle. Raises InputError for a runtime that the bundle has no
    file for, and OptionError for an invalid tolerance.
    """
    check_providers([provider], allow_partial=allow_partial)
    tolerance = tolerance_from_options(atol, rtol)
    return verification_from_bundle(
        Path(bundle), runtime=runtime, provider=provider, allow_partial=allow_partial, tolerance=tolerance
    )


def verification_from_bundle(
    folder: Path, *, runtime: str = AUTO, provider: str = CPU, allow_partial: bool = False, tolerance: Tolerance | None = None
) -> Verification:
    """Run the golden inputs by every runtime that the bundle has a file for, or the one named, and compare.

    With a provider of a GPU, only ONNX Runtime runs, by that provider; see `fnet_runtime.load`.

    A runtime that cannot be opened here is a row "not run" with the reason; one that opens and then fails is a row "failed".
    Raises BundleError for a folder that is not a whole, unaltered bundle, InputError for a runtime that it has no file for.
    """
    manifest = manifest_from_folder(folder)
    golden = golden_from_file(folder / GOLDEN)
    if runtime == AUTO and provider == CPU:
        names = runtimes_from_manifest(manifest)
    else:
        names = (runtime_from_name(runtime, manifest, folder, provider=provider),)
    installed = environment_of_host().libraries
    rows = tuple(
        _row(
            golden,
            tolerance,
            name=name if provider == CPU else f"{name}, {provider}",
            version=installed.get(RUNTIMES[name].library),
            open_bundle=partial(load, folder, runtime=name, provider=provider, allow_partial=allow_partial),
        )
        for name in names
    )
    return Verification(manifest=manifest, samples=golden.rows, rows=rows)


def _row(
    golden: Golden, tolerance: Tolerance | None, *, name: str, version: str | None, open_bundle: Callable[[], Pipeline]
) -> RuntimeResult:
    status, reason = NOT_RUN, None
    notes: tuple[str, ...] = ()
    outputs: dict[str, OutputResult] = {}
    try:
        pipeline = open_bundle()
        status = FAILED
        notes = notes_from_session(pipeline.session)
        answered = [run_in_batches(pipeline.session, case.inputs) for case in golden.cases]
        manifest = pipeline.manifest
        decision = decision_of_task(manifest.task, pipeline.problem_type, len(manifest.labels))
        ties = manifest.precision == FP32
        for check in checks_from_outputs(answered, golden):
            output, limit = check.output, check.limit
            if tolerance is not None:
                limit = tolerance.limit(max(largest_magnitude(case.references[output]) for case in golden.cases))
            agreements = [
                _agreement(of_case.get(output), case.references[output], limit, decision, ties=ties)
                for of_case, case in zip(answered, golden.cases, strict=True)
            ]
            outputs[output] = OutputResult(
                check=check,
                limit_max_abs=limit,
                passed=check.passed if tolerance is None else check.max_abs <= limit,
                agreement=_sum([agreement for agreement in agreements if agreement is not None]),
            )
        status = PASSED if all(result.passed for result in outputs.values()) else FAILED
    except SessionError as error:
        reason = str(error)
    return RuntimeResult(runtime=name, version=version, status=status, reason=reason, outputs=outputs, notes=notes)


def _agreement(
    output: npt.NDArray[np.floating] | None, reference: Floats, limit: float, decision: str | None, *, ties: bool
) -> Agreement | None:
    """Count equal decisions; None where nothing is decided, or the reference holds some of the choices only."""
    if decision is None or output is None or output.ndim != reference.ndim or output.shape[-1] != reference.shape[-1]:
        return None
    kept = output[tuple(slice(n) for n in reference.shape)]
    if kept.shape != reference.shape:
        return None
    finite = np.isfinite(kept) if decision == SIGN else np.isfinite(kept).all(axis=-1)
    differs, margins = differing(kept, reference, decision)
    differs |= ~finite
    tied = differs & finite & (margins <= limit)
    return Agreement(decisions=differs.size, differ=int(differs.sum()), ties=int(tied.sum()) if ties else 0)


def _sum(agreements: Sequence[Agreement]) -> Agreement | None:
    """Add up the decisions of several cases; None where nothing is decided."""
    if not agreements:
        return None
    return Agreement(
        decisions=sum(agreement.decisions for agreement in agreements),
        differ=sum(agreement.differ for agreement in agreements),
        ties=sum(agreement.ties for agreement in agreements),
    )


def _output_values(output: OutputResult) -> dict[str, Any]:
    figures = {name: getattr(output.check, name) for name in ("max_abs", "max_rel", "cosine")}
    agreement = None if output.agreement is None else output.agreement.values()
    return figures | {"limit_max_abs": output.limit_max_abs, "agreement": agreement, "passed": output.passed}
