"""A choice among bundles that Python asks for, with the options of the command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fnet_export.base.arguments import StrPath, path_or_none, several
from fnet_export.base.progress import Calls, OnProgress
from fnet_export.benchmark.bench import DEFAULT_ROUNDS
from fnet_export.evaluation.fields import AS_STATED
from fnet_export.plan.options import CalibrationOptions, ModelOptions, OutputOptions, ProofOptions
from fnet_export.plan.selection.measure import selection_from_options
from fnet_export.plan.selection.options import CandidateOptions, SelectionLimits, SelectionOptions, TimingOptions
from fnet_export.plan.selection.selection import Selection
from fnet_export.plan.task_choice import AUTO_TASK
from fnet_export.precision.calibrate import MINMAX


def choose(
    *,
    data: StrPath,
    column: Mapping[str, str] = AS_STATED,
    model: StrPath | None = None,
    task: str = AUTO_TASK,
    output: StrPath = "bundle",
    force: bool = False,
    revision: str | None = None,
    tokenizer: str | None = None,
    sequence_length: int | None = None,
    accept_drift: bool = False,
    target: str | Sequence[str] = (),
    precision: str | Sequence[str] = (),
    padding: str | Sequence[str] = (),
    calibration: StrPath | None = None,
    calibration_method: str = MINMAX,
    quick: bool = False,
    max_accuracy_drop: float | None = None,
    max_latency_ms: float | None = None,
    max_size_mb: float | None = None,
    rounds: int = DEFAULT_ROUNDS,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> Selection:
    """Export a model in several ways, measure each bundle on this host, and keep one. Do what `fnet-export choose` does.

    `data` is labelled data of the task (docs/evaluate.md). The candidates are each of `target` with each of `precision` and
    `padding`. Empty means all that run on this host, and the padding that the checkpoint states. The limits are
    `max_accuracy_drop` in points of 100 below the checkpoint, `max_latency_ms` for the median text, and `max_size_mb`.
    docs/choose.md describes the rule, and docs/cli.md each option.

    If no candidate is within the limits, nothing is raised: `folder` and `chosen` of the result are None, and `trials` say what
    each candidate missed. Raises OptionError if no candidate can be exported and run on this host. Raises other FNetExportError,
    FNetError and FNetRuntimeError for what is wrong with all candidates, such as labelled data that cannot be read.
    """
    options = SelectionOptions(
        model=ModelOptions(
            task=task,
            checkpoint=None if model is None else str(model),
            revision=revision,
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            accept_drift=accept_drift,
        ),
        calibration=CalibrationOptions(texts=path_or_none(calibration), method=calibration_method),
        proof=ProofOptions(evaluation=Path(data), columns=column, quick=quick),
        output=OutputOptions(folder=Path(output), force=force),
        candidates=CandidateOptions(targets=several(target), precisions=several(precision), paddings=several(padding)),
        limits=SelectionLimits(max_accuracy_drop=max_accuracy_drop, max_latency_ms=max_latency_ms, max_size_mb=max_size_mb),
        timing=TimingOptions(rounds=rounds, threads=threads),
    )
    return selection_from_options(options, Calls(on_progress))
