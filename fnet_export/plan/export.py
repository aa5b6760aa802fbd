"""An export that Python asks for, with the options of the command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fnet_runtime.bundle.manifest import FP32, NO_COMPATIBILITY, AxisProfile
from fnet_runtime.engine.options import BuildOptions
from fnet_runtime.errors import InputError
from fnet_runtime.sessions.providers import CPU

from fnet_export.base.arguments import StrPath, path_or_none, several
from fnet_export.base.errors import OptionError
from fnet_export.base.progress import Calls, OnProgress
from fnet_export.evaluation.fields import AS_STATED
from fnet_export.graph.trace import DEFAULT_OPSET
from fnet_export.parity.tolerance import tolerance_from_options
from fnet_export.plan.options import (
    CalibrationOptions,
    EngineOptions,
    ExportOptions,
    GraphOptions,
    ModelOptions,
    OutputOptions,
    ProofOptions,
)
from fnet_export.plan.pipeline import Export, bundle_from_plan
from fnet_export.plan.plan import plan_from_options
from fnet_export.plan.task_choice import AUTO_TASK
from fnet_export.plan.transform_choice import AUTO
from fnet_export.precision.calibrate import MINMAX

Sizes = tuple[int, int, int]
"""The smallest size, the size to tune for, and the largest size."""


def export(
    *,
    target: str,
    model: StrPath | None = None,
    task: str = AUTO_TASK,
    output: StrPath = "bundle",
    force: bool = False,
    revision: str | None = None,
    tokenizer: str | None = None,
    sequence_length: int | None = None,
    padding: str | None = None,
    pad_to_multiple_of: int = 1,
    accept_drift: bool = False,
    predict_positions: int | None = None,
    random_head: bool = False,
    transform: str = AUTO,
    precision: str = FP32,
    keep_float32: str | Sequence[str] = (),
    opset: int = DEFAULT_OPSET,
    no_simplify: bool = False,
    batch_profile: Sequence[Sizes] = (),
    length_profile: Sequence[Sizes] = (),
    workspace_mib: int | None = None,
    optimization_level: int | None = None,
    timing_cache: StrPath | None = None,
    version_compatible: bool = False,
    hardware_compatibility: str = NO_COMPATIBILITY,
    compute_capability: str | Sequence[str] = (),
    weight_stripped: bool = False,
    calibration: StrPath | None = None,
    calibration_method: str = MINMAX,
    max_accuracy_drop: float | None = None,
    samples: StrPath | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    min_agreement: float | None = None,
    quick: bool = False,
    provider: str = CPU,
    allow_partial: bool = False,
    evaluation: StrPath | None = None,
    column: Mapping[str, str] = AS_STATED,
    min_accuracy: float | None = None,
    on_progress: OnProgress | None = None,
) -> Export:
    """Export one task of a trained FNet as a verified bundle. Do what `fnet-export` does; docs/cli.md describes each option.

    `target` is `onnx`, `openvino`, `tensorrt` or `tensorrt-rtx`. `model` is a folder, a flax file or a hub id, None for the
    built-in model. `task` is the name of a task, or `auto` for the task that config.json names. `output` is the folder to write,
    and `force` replaces a bundle there. Each of `batch_profile` and of `length_profile` is the smallest size, the size to tune
    for, and the largest size. `column` names columns of `evaluation`, such as `{"text": "sentence"}`. `on_progress` is called with
    each ProgressEvent, in this thread. An exception of this function ends the export.

    Returns the folder, the manifest, the evidence, and the content of parity.json as `values`. Raises OptionError for options that
    do not fit, and ParityError if the bundle fails a check. Raises other FNetExportError, FNetError and FNetRuntimeError as the
    stages do. If it raises, there is no new bundle.
    """
    try:
        build = BuildOptions(
            workspace_mib=workspace_mib,
            optimization_level=optimization_level,
            timing_cache=path_or_none(timing_cache),
            version_compatible=version_compatible,
            hardware_compatibility=hardware_compatibility,
            compute_capabilities=several(compute_capability),
            weight_stripped=weight_stripped,
        )
    except InputError as error:
        raise OptionError(str(error)) from error
    options = ExportOptions(
        model=ModelOptions(
            task=task,
            checkpoint=None if model is None else str(model),
            revision=revision,
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            padding=padding,
            pad_to_multiple_of=pad_to_multiple_of,
            accept_drift=accept_drift,
            predict_positions=predict_positions,
            random_head=random_head,
        ),
        engine=EngineOptions(
            target=target,
            batch_profiles=tuple(_profile("--batch-profile", sizes) for sizes in batch_profile),
            length_profiles=tuple(_profile("--length-profile", sizes) for sizes in length_profile),
            build=build,
        ),
        graph=GraphOptions(
            transform=transform, opset=opset, simplify=not no_simplify, precision=precision, keep_float32=several(keep_float32)
        ),
        calibration=CalibrationOptions(
            texts=path_or_none(calibration), method=calibration_method, max_accuracy_drop=max_accuracy_drop
        ),
        proof=ProofOptions(
            texts=path_or_none(samples),
            tolerance=tolerance_from_options(atol, rtol),
            min_agreement=min_agreement,
            quick=quick,
            provider=provider,
            allow_partial=allow_partial,
            evaluation=path_or_none(evaluation),
            columns=column,
            min_accuracy=min_accuracy,
        ),
        output=OutputOptions(folder=Path(output), force=force),
    )
    return bundle_from_plan(plan_from_options(options), Calls(on_progress))


def _profile(option: str, sizes: Sizes) -> AxisProfile:
    try:
        smallest, tuned, largest = sizes
        return AxisProfile(min=smallest, opt=tuned, max=largest)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"{option}: expected a list of (MIN, OPT, MAX), such as [(1, 1, 8)]; found {sizes!r} in the list"
        ) from error
    except InputError as error:
        raise OptionError(f"{option}: {error}") from error
