"""From the options of a selection to its bundle: export the candidates, measure them, keep one."""

import shlex
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from fnet_runtime.errors import FNetRuntimeError
from fnet_runtime.sessions.runtimes import AUTO

from fnet_export.base.counted import counted
from fnet_export.base.environment import environment_of_host
from fnet_export.base.errors import EvaluationError, FNetExportError, OptionError, OutputError
from fnet_export.base.progress import OfPart, Progress
from fnet_export.base.status import FAILED
from fnet_export.benchmark.benchmark import Case, Measured, result_from_case, subjects_from_bundles
from fnet_export.benchmark.requests import Batch
from fnet_export.bundle.folder import bundle_folder, check_output
from fnet_export.evaluation.accuracy import Measurement, baseline_from_checkpoints, checkpoints_from_subject
from fnet_export.evaluation.evaluation import change_from_evaluations
from fnet_export.evaluation.labelled import Record
from fnet_export.evaluation.scoring import SCORINGS, kind_from_task
from fnet_export.parity.report.evidence import ParityError, values_from_evidence
from fnet_export.parity.report.page import share_of_limit
from fnet_export.parity.report.wording import percent
from fnet_export.plan.command_line import words_from_options
from fnet_export.plan.options import OutputOptions
from fnet_export.plan.pipeline import Export, bundle_from_plan, check_labelled_data, subject_from_plan
from fnet_export.plan.plan import Plan, plan_from_options
from fnet_export.plan.selection.combinations import PlannedCombination, combinations_from_options, planned_combinations
from fnet_export.plan.selection.options import Combination, SelectionOptions, results_folder
from fnet_export.plan.selection.results import RESULTS, write_results
from fnet_export.plan.selection.rule import chosen_from_trials, missed_by_figures
from fnet_export.plan.selection.selection import Figures, Selection, Trial
from fnet_export.precision.eight_bit import EIGHT_BITS

Exported = dict[Combination, Export | str]
"""The bundle of each candidate, or the reason why it was not exported."""


class _NothingChosen(Exception):
    """No candidate is within the limits, so no bundle takes the place of the output."""


def selection_from_options(options: SelectionOptions, progress: Progress) -> Selection:
    """Export and measure the candidates, keep the one that the rule chooses, and write the results next to it.

    If no candidate is within the limits, the results are written and no bundle is. Raises OptionError if no candidate can be
    exported and run on this host. Raises FNetError, FNetExportError or FNetRuntimeError for what is wrong with all candidates.
    """
    output = options.output.folder
    first = plan_from_options(options.first())
    results = check_output(results_folder(output), force=True, kind=RESULTS)
    _check_limit(options, first)
    check_labelled_data(first)
    planned = planned_combinations(combinations_from_options(options.candidates, first), options)
    _check_planned(options, planned)
    with (
        suppress(_NothingChosen),
        bundle_folder(output, force=options.output.force) as folder,
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.candidates-") as place,
    ):
        selection = _selection(options, first, planned, Path(place), progress)
        with bundle_folder(results, force=True, kind=RESULTS) as written:
            write_results(written, selection)
        if selection.chosen is None:
            raise _NothingChosen
        (Path(place) / selection.chosen.combination.folder).rename(folder)
    return selection


def _check_limit(options: SelectionOptions, first: Plan) -> None:
    """Refuse a limit of accuracy for a task without accuracy."""
    task, config = first.trained.task, first.trained.config
    kind = kind_from_task(task.name, config.problem_type, config.num_labels)
    if options.limits.max_accuracy_drop is not None and not SCORINGS[kind].limited:
        raise OptionError(f"--max-accuracy-drop: {kind} has no accuracy that could have a limit; leave it out")


def _check_planned(options: SelectionOptions, planned: Sequence[PlannedCombination]) -> None:
    """Refuse candidates that are all impossible here, and texts for a precision that is not among them."""
    if not any(each.plan for each in planned):
        by_reason: dict[str, list[str]] = {}
        for each in planned:
            by_reason.setdefault(str(each.reason), []).append(each.combination.name)
        reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())
        raise OptionError(f"--target, --precision, --padding: expected a candidate that this host can export and run; {reasons}")
    if options.calibration.texts is not None and all(each.combination.precision not in EIGHT_BITS for each in planned):
        named = " and ".join(EIGHT_BITS)
        raise OptionError(f"--calibration: is for {named}, which are not among the candidates. Leave it out, or add a --precision")


def _selection(
    options: SelectionOptions, first: Plan, planned: Sequence[PlannedCombination], place: Path, progress: Progress
) -> Selection:
    data = first.evaluation
    assert data is not None
    progress.stage(f"answer {counted(len(data.records), 'record')}: checkpoint")
    checkpoints = checkpoints_from_subject(
        subject_from_plan(first, None), data, with_assumed=first.padding_is_measured, on_progress=progress.step
    )
    baseline = baseline_from_checkpoints(checkpoints, first.trained_length)
    exported = _exported(planned, checkpoints, place, progress)
    measured = _measured(exported, data.records, place, options, progress)
    trials = [_trial(each, options, exported[each.combination], measured.get(each.combination), baseline) for each in planned]
    chosen, why = chosen_from_trials(trials)
    return Selection(
        model=first.trained.checkpoint.source.id,
        task=first.trained.task.name,
        data=data,
        limits=options.limits,
        timing=options.timing,
        baseline=baseline,
        trials=tuple(trials),
        chosen=chosen,
        why=why,
        folder=None if chosen is None else options.output.folder,
        results=results_folder(options.output.folder),
        environment=environment_of_host(),
    )


def _exported(
    planned: Sequence[PlannedCombination], checkpoints: Sequence[Measurement], place: Path, progress: Progress
) -> Exported:
    """Export each candidate to a folder of its own. What ends its export is its reason, unless nothing can be written."""
    exported: Exported = {}
    notes: set[str] = set()
    for number, each in enumerate(planned, 1):
        if each.plan is None:
            exported[each.combination] = str(each.reason)
            continue
        name = f"{each.combination.name} ({number} of {len(planned)})"
        output = OutputOptions(folder=place / each.combination.folder)
        plan = replace(each.plan, options=replace(each.plan.options, output=output))
        try:
            exported[each.combination] = bundle_from_plan(plan, OfPart(progress, name, notes), checkpoints=checkpoints)
        except OutputError:
            raise
        except ParityError as error:
            exported[each.combination] = _failure(error)
        except (FNetExportError, FNetRuntimeError) as error:
            exported[each.combination] = str(error)
    return exported


def _failure(error: ParityError) -> str:
    """Say which runtime failed, and by how much. The cause of the error does not say where the files are, because they vanish."""
    rows = (row for row in values_from_evidence(error.evidence)["rows"] if row["status"] == FAILED)
    shares = [share_of_limit(output) for row in rows for output in row["outputs"].values()]
    finite = [share for share in shares if share is not None]
    reach = f"; the largest error is {percent(max(finite))} of its limit" if finite else ""
    return f"{error.__cause__ or error}{reach}"


def _measured(
    exported: Exported, records: Sequence[Record], place: Path, options: SelectionOptions, progress: Progress
) -> dict[Combination, Measured | str]:
    """Time the bundles in turns. Each round answers another record, the same one with each bundle."""
    able = [combination for combination, each in exported.items() if isinstance(each, Export)]
    if not able:
        return {}
    rounds, case = options.timing.rounds, Case(batch_size=1, threads=options.timing.threads)
    progress.stage(f"time {counted(len(able), 'bundle')} in turns")
    subjects = subjects_from_bundles([place / combination.folder for combination in able], [AUTO])
    batches = [batches_from_records(records, rounds)] * len(subjects)
    result = result_from_case(case, subjects, batches, rounds=rounds, on_progress=progress.step)
    return dict(zip(able, result.results, strict=True))


def batches_from_records(records: Sequence[Record], rounds: int) -> list[Batch]:
    """Return one batch of one request for each round. If there are more records than rounds, they are evenly spaced."""
    count = min(rounds, len(records))
    chosen = (records[i * len(records) // count] for i in range(count))
    return [[(record.text, record.second)] for record in chosen]


def _trial(
    planned: PlannedCombination,
    options: SelectionOptions,
    exported: Export | str,
    measured: Measured | str | None,
    baseline: Measurement,
) -> Trial:
    """Compare what a candidate measured with the limits, or say why it measured nothing."""
    command = None if planned.plan is None else shlex.join(words_from_options(planned.plan.options))
    figures = _figures(exported, measured, baseline)
    if isinstance(figures, str):
        return Trial(combination=planned.combination, command=command, reason=figures)
    missed = missed_by_figures(options.limits, figures)
    return Trial(combination=planned.combination, command=command, figures=figures, missed=missed)


def _figures(exported: Export | str, measured: Measured | str | None, baseline: Measurement) -> Figures | str:
    if isinstance(exported, str):
        return exported
    accuracy = exported.evidence.accuracy
    assert accuracy is not None
    assert baseline.evaluation is not None
    evaluation = accuracy.bundle.evaluation
    if evaluation is None:
        return f"labelled data could not be answered: {accuracy.bundle.reason}"
    if not isinstance(measured, Measured):
        return f"not timed: {measured}"
    try:
        change = change_from_evaluations(evaluation, baseline.evaluation)
    except EvaluationError as error:
        return str(error)
    size_bytes = sum(info.size_bytes for info in exported.manifest.files.values())
    return Figures(size_bytes=size_bytes, evaluation=evaluation, change=change, measured=measured)
