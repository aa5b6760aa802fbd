"""Parity: every way of running the model against its float64 torch.fft reference, on the same real inputs."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from fnet_runtime.bundle.manifest import CALIBRATED, FP32
from fnet_runtime.errors import NoDeviceError, SessionError
from fnet_runtime.sessions.session import Outputs, Session, notes_from_session, run_in_batches

from fnet_export.base.errors import CompareError
from fnet_export.base.status import FAILED, NOT_RUN, PASSED
from fnet_export.engine.sessions.torch_session import ROWS_AT_ONCE
from fnet_export.evaluation.decisions import decision_of_task
from fnet_export.parity.agreement import Agreement, points_of
from fnet_export.parity.answers import texts_from_outputs
from fnet_export.parity.compare import Comparison
from fnet_export.parity.reference import Reference
from fnet_export.parity.result import Distance, OutputRow, ParityReport, Row, Shown, WorstInput
from fnet_export.parity.tolerance import (
    DistanceLimit,
    Errors,
    Limit,
    Tolerance,
    expected_from_errors,
    limit_from_emulation,
    limit_from_expected,
)
from fnet_export.texts.samples import Samples

KEPT_BYTES = 400_000_000
"""How much memory the outputs of several inputs may take. The vocabulary logits of one input of fnet-base are 131 MB in float64."""
ROUNDS = 2
"""Times that each row is opened at least, in opposite order the second time, so that what else the host does falls on all alike."""
TOGETHER = 2
"""Inputs of a round that run as one batch; the others run one by one, and all of these but the first are timed."""
OPEN_BYTES = 500_000_000
"""How many weights may be in memory, so that all rows are open at once."""
WORST = 10

Opener = Callable[[], Session]
Step = Callable[[int, str], None]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way of running the model: what opens it, or why there is nothing to open; its precision.

    `expected`: its error is what its precision is expected to have; the first one of a precision counts. `shipped`: it runs a file
    of the bundle as that is meant to be run. `needed`: that it cannot be opened, or fails later, is an error; of others
    the first is a reason for not having run, the second a failed row.
    """

    name: str
    open: Opener | str
    precision: str = FP32
    expected: bool = False
    shipped: bool = False
    needed: bool = True


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What rows are held to: a tolerance in place of the measured limits, and the least agreement (of 1) of a shipped row."""

    tolerance: Tolerance | None = None
    min_agreement: float | None = None


MEASURED = Judgement()


def parity_from_candidates(
    reference: Reference,
    candidates: Sequence[Candidate],
    samples: Samples,
    *,
    part: Sequence[int] | None = None,
    judgement: Judgement = MEASURED,
    timed_in_turns: bool = False,
    on_step: Step = lambda runs, what: None,
) -> ParityReport:
    """Run every candidate on a part of the samples, by number, and the shipped one on all; compare each with the reference.

    The shipped row is the last candidate that is shipped and could run. What says what to expect of its precision runs on all as
    well, but in float32, whose limit is wide enough for the part. Two candidates at most are open at a time, so that no more than
    two models are in memory. With `timed_in_turns` all are open at once, and run each input in turns.

    One that this host has no device for, or that is not needed and cannot be opened, is a row "not run" with the reason. Raises
    SessionError when one fails otherwise, CompareError when a precision has nothing that says what to expect of it. `on_step`
    hears of every run of one input, and what runs.
    """
    unexpected = {c.precision for c in candidates} - {c.precision for c in candidates if c.expected}
    if unexpected:
        raise CompareError(f"expected a candidate that says what to expect of {', '.join(sorted(unexpected))}; found none")
    runs = [_Run(candidate, reference) for candidate in candidates]
    models: dict[str, _Run] = {}
    for run in runs:
        if run.candidate.expected:
            models.setdefault(run.candidate.precision, run)
    whole, some = range(reference.count), list(range(reference.count) if part is None else part)
    rounds = _rounds(some, reference.bytes_of_one // 2 if _emulation(models) is not None else 0)
    if timed_in_turns:
        _turns(runs, models, rounds, reference, samples, on_step)
    else:
        for turn, inputs in enumerate(rounds):
            _round(runs, models, inputs, reference, samples, backwards=turn % 2 == 1, on_step=on_step)
    shipped = next((run for run in reversed(runs) if run.candidate.shipped and run.reason is None), None)
    if shipped is not None:
        _rest(shipped, models, [i for i in whole if i not in some], reference, samples, on_step)
    expected = {precision: run.expected() for precision, run in models.items()}
    return ParityReport(
        rows=tuple(run.row(models[run.candidate.precision], judgement) for run in runs),
        inputs=reference.count,
        expected=expected,
        shipped=next((candidate.name for candidate in reversed(candidates) if candidate.shipped), None),
        timed_in_turns=timed_in_turns,
        shown=None if shipped is None else shipped.shown(samples.names, reference, models[shipped.candidate.precision], judgement),
    )


def fit_together(candidates: Sequence[Candidate], bytes_of_one: int) -> bool:
    """Return whether all candidates may be open at once, given the bytes of the weights of one."""
    return _able(candidates) * bytes_of_one <= OPEN_BYTES


def runs_of(candidates: Sequence[Candidate], *, part: int, whole: int) -> int:
    """Return how many runs of one input a check takes at most, for a bar."""
    in_float32 = all(candidate.precision == FP32 for candidate in candidates)
    return _able(candidates) * part + (whole - part) * (1 if in_float32 else 2)


def _able(candidates: Sequence[Candidate]) -> int:
    return sum(not isinstance(candidate.open, str) for candidate in candidates)


def _rounds(inputs: Sequence[int], bytes_of_one: int) -> list[list[int]]:
    """Share inputs out to rounds, each with no more outputs of the emulation than may be kept."""
    most = max(1, KEPT_BYTES // bytes_of_one if bytes_of_one else len(inputs))
    rounds = min(len(inputs), max(ROUNDS, math.ceil(len(inputs) / most)))
    return [list(inputs[i::rounds]) for i in range(rounds)]


def _round(
    runs: Sequence["_Run"],
    models: Mapping[str, "_Run"],
    inputs: Sequence[int],
    reference: Reference,
    samples: Samples,
    *,
    backwards: bool,
    on_step: Step,
) -> None:
    """Open one candidate after the other, those first that say what to expect, and run each on these inputs."""
    parts = _parts(inputs, samples)
    first, emulation = list(models.values()), _emulation(models)
    others = [run for run in runs if run not in first]
    emulated: list[Outputs] = []
    for run in (*first, *(reversed(others) if backwards else others)):
        if run.reason is not None:
            continue
        session = run.session()
        if session is None:
            on_step(len(inputs), run.candidate.name)
            continue
        beside: Sequence[Outputs | None] = emulated if run.candidate.precision in CALIBRATED else [None] * len(parts)
        try:
            for index, (part, outputs) in enumerate(zip(parts, run.timed(session, samples, parts), strict=True)):
                if run is emulation:
                    emulated.append(outputs)
                run.compare_each(part, outputs, reference.outputs_again, beside[index])
                on_step(len(part), run.candidate.name)
        except SessionError as error:
            run.fail(error)
        del session  # before the next one opens


def _turns(
    runs: Sequence["_Run"],
    models: Mapping[str, "_Run"],
    rounds: Sequence[Sequence[int]],
    reference: Reference,
    samples: Samples,
    on_step: Step,
) -> None:
    """Open all candidates, and run them on each input in turns, each time with a different one first.

    What int8 or fp8 is compared with is always the first.
    """
    emulation = _emulation(models)
    able = sorted((run for run in runs if run.reason is None), key=lambda run: run is not emulation)
    opened = [(run, run.session()) for run in able]
    sessions = {run: session for run, session in opened if session is not None}
    for run, session in opened:
        if session is None:
            on_step(sum(len(inputs) for inputs in rounds), run.candidate.name)
    for inputs in rounds:
        parts = _parts(inputs, samples)
        answers = {run: run.timed(session, samples, parts) for run, session in sessions.items()}
        for index, part in enumerate(parts):
            emulated = None
            for run in _rotated(list(answers), index, fixed=int(emulation is not None)):
                if run.failed:
                    continue
                try:
                    outputs = next(answers[run])
                    if run is emulation:
                        emulated = outputs
                    beside = emulated if run.candidate.precision in CALIBRATED else None
                    run.compare_each(part, outputs, reference.outputs_again, beside)
                except SessionError as error:
                    run.fail(error)
                on_step(len(part), run.candidate.name)


def _emulation(models: Mapping[str, "_Run"]) -> "_Run | None":
    """Return what int8 or fp8 is compared with, next to the reference; None in other precisions."""
    return next((run for precision, run in models.items() if precision in CALIBRATED), None)


def _rotated(runs: Sequence["_Run"], count: int, *, fixed: int) -> list["_Run"]:
    """Return runs with another one first, after those at the beginning that are `fixed`."""
    others = runs[fixed:]
    start = count % len(others) if others else 0
    return [*runs[:fixed], *others[start:], *others[:start]]


def _parts(inputs: Sequence[int], samples: Samples) -> list[list[int]]:
    """Cut the inputs of a round: most alone, and the last ones of one shape TOGETHER where there are enough."""
    alike = max(samples.batches(inputs, len(inputs)), key=len)
    if len(inputs) <= TOGETHER + 1 or len(alike) < TOGETHER:
        return [[i] for i in inputs]
    together = alike[-TOGETHER:]
    return [*([i] for i in inputs if i not in together), together]


def _rest(
    shipped: "_Run", models: Mapping[str, "_Run"], inputs: Sequence[int], reference: Reference, samples: Samples, on_step: Step
) -> None:
    """Run the shipped candidate, and but in float32 what says what to expect of it, on the inputs that are left."""
    model = models[shipped.candidate.precision]
    both = (shipped,) if model is shipped or shipped.candidate.precision == FP32 else (model, shipped)
    at_once = max(1, min(ROWS_AT_ONCE, KEPT_BYTES // 4 // reference.bytes_of_one))
    if not inputs:
        return
    sessions = {run.candidate.name: run.session() for run in both}
    for some in samples.batches(inputs, at_once):
        reference_outputs, emulated = reference.outputs(some), None
        for run in both:
            session = sessions[run.candidate.name]
            assert session is not None  # it was opened before
            outputs = run_in_batches(session, samples.batch(some))
            if run is _emulation(models):
                emulated = outputs
            run.compare(some, outputs, reference_outputs, emulated)
            on_step(len(some), run.candidate.name)


@dataclass
class _OutputComparison:
    """Compare one output of a candidate with the reference, and with the emulation of its precision."""

    reference: Comparison
    emulation: Comparison


class _Run:
    """What is found of one candidate, part by part."""

    def __init__(self, candidate: Candidate, reference: Reference) -> None:
        self.candidate, self._task, self._config = candidate, reference.task, reference.config
        self._decision = decision_of_task(self._task.name, self._config.problem_type, self._config.num_labels)
        self.reason = candidate.open if isinstance(candidate.open, str) else None
        self.failed = False
        self._notes: tuple[str, ...] = ()
        self._comparisons = {
            name: _OutputComparison(
                Comparison(decision=self._decision, ties=candidate.precision == FP32, counts=candidate.shipped),
                Comparison(decision=None),
            )
            for name in self._task.outputs
        }
        self._answers: dict[int, tuple[str, str]] = {}
        self._times: list[float] = []

    def session(self) -> Session | None:
        """Open the candidate, or keep the reason why not."""
        assert not isinstance(self.candidate.open, str)
        try:
            session = self.candidate.open()
        except SessionError as error:
            if self.candidate.needed and not isinstance(error, NoDeviceError):
                raise
            self.reason = str(error)
            return None
        self._notes = notes_from_session(session)
        return session

    def fail(self, error: SessionError) -> None:
        """Keep why the candidate failed after it was opened, if the error does not end the whole check."""
        if self.candidate.needed:
            raise error
        self.reason, self.failed = str(error), True

    def timed(self, session: Session, samples: Samples, parts: Sequence[Sequence[int]]) -> Iterator[Outputs]:
        """Run inputs part by part, and time those of one input after the first, which warms up."""
        single = sum(len(part) == 1 for part in parts) == 1
        for index, part in enumerate(parts):
            given = samples.batch(part)
            if index == 0 and single:
                run_in_batches(session, given)
            start = time.perf_counter()
            outputs = run_in_batches(session, given)
            if len(part) == 1 and (index > 0 or single):
                self._times.append(1e3 * (time.perf_counter() - start))
            yield outputs

    def compare_each(
        self, inputs: Sequence[int], outputs: Outputs, reference: Callable[[int], Outputs], emulated: Outputs | None
    ) -> None:
        """Compare the outputs of each input with what `reference` gives for it, one at a time."""
        for i, number in enumerate(inputs):
            of_one, beside = (each and {name: array[i : i + 1] for name, array in each.items()} for each in (outputs, emulated))
            assert of_one is not None
            self.compare([number], of_one, reference(number), beside)

    def compare(self, inputs: Sequence[int], outputs: Outputs, reference_outputs: Outputs, emulated: Outputs | None) -> None:
        """Compare outputs with the reference's, and with the emulation's if the precision has one."""
        for name, comparison in self._comparisons.items():
            comparison.reference.add(outputs[name], reference_outputs[name], inputs)
            if emulated is not None:
                comparison.emulation.add(outputs[name], np.nan_to_num(emulated[name]), inputs)
        if self.candidate.shipped:
            texts = (texts_from_outputs(self._task, self._config, each) for each in (reference_outputs, outputs))
            self._answers |= dict(zip(inputs, zip(*texts, strict=True), strict=True))

    def expected(self, inputs: Sequence[int] | None = None) -> dict[str, Errors]:
        """Return what to expect of the candidate's precision. Raises CompareError when it cannot hold the outputs at all."""
        precision = self.candidate.precision
        result = {
            name: expected_from_errors(comparison.reference.errors(inputs), precision)
            for name, comparison in self._comparisons.items()
        }
        for name, errors in result.items():
            if not math.isfinite(errors.max_abs):
                raise CompareError(
                    f"{name}: {self.candidate.name} gives NaN or infinite values for this checkpoint; expected finite ones. "
                    "Its weights are damaged, or need another --precision"
                )
        return result

    def _limits(self, model: "_Run", judgement: Judgement) -> tuple[dict[str, Limit], dict[str, DistanceLimit]]:
        """Return the limits by output, and those of the distance from the emulation, of the same inputs where it ran."""
        inputs, precision = self._inputs(), self.candidate.precision
        same = inputs if set(inputs) <= set(model._inputs()) else None
        errors = model.expected(same)
        medians = {name: comparison.reference.median_abs(same) for name, comparison in model._comparisons.items()}
        return (
            {name: limit_from_expected(expected, precision, judgement.tolerance) for name, expected in errors.items()},
            {name: limit_from_emulation(expected, medians[name], judgement.tolerance) for name, expected in errors.items()},
        )

    def _inputs(self) -> tuple[int, ...]:
        return next(iter(self._comparisons.values())).reference.inputs

    def row(self, model: "_Run", judgement: Judgement) -> Row:
        """Judge what was found; `model` says what to expect of the precision."""
        outputs: dict[str, OutputRow] = {}
        answers = None
        if self.reason is None:
            limits, distances = self._limits(model, judgement)
            for name, comparison in self._comparisons.items():
                outputs[name] = self._output(name, comparison, limits[name], distances[name], judgement)
            if self._decision is not None:
                unlike = [comparison.reference.otherwise(limits[name]) for name, comparison in self._comparisons.items()]
                differ = frozenset[int]().union(*(one for one, _ in unlike))
                tied = {i for i in differ if all(i not in one or i in ties for one, ties in unlike)}
                answers = Agreement(decisions=len(self._inputs()), differ=len(differ), ties=len(tied))
        status = PASSED if all(o.passed for o in outputs.values()) else FAILED
        if self.reason is not None:
            status = FAILED if self.failed else NOT_RUN
        return Row(
            name=self.candidate.name,
            precision=self.candidate.precision,
            status=status,
            reason=self.reason if self.reason is not None else "; ".join(o.too_few for o in outputs.values() if o.too_few) or None,
            inputs=len(self._inputs()),
            median_ms=statistics.median(self._times) if self._times else None,
            answers=answers,
            outputs=outputs,
            notes=self._notes,
        )

    def _output(
        self, name: str, comparison: _OutputComparison, limit: Limit, distance: DistanceLimit, judgement: Judgement
    ) -> OutputRow:
        """Judge one output, and say so when too few of its decisions are the reference's."""
        difference = comparison.reference.difference(limit)
        held, agreement = difference.within(limit), difference.agreement
        emulation = None
        if comparison.emulation.inputs:
            apart = comparison.emulation
            emulation = Distance(median_abs=apart.median_abs(), mean_abs=apart.errors().mean_abs, limit=distance)
            held = held and emulation.within
        if agreement is not None and self.candidate.precision == FP32:
            held = held and agreement.differ == agreement.ties
        too_few, least = None, judgement.min_agreement
        if agreement is not None and self.candidate.shipped and least is not None and agreement.share < least:
            too_few = f"{name}: {points_of(agreement.share)} of the decisions agree; --min-agreement asks for {points_of(least)}"
        return OutputRow(difference=difference, limit=limit, held=held, too_few=too_few, from_emulation=emulation)

    def shown(self, names: Sequence[str], reference: Reference, model: "_Run", judgement: Judgement) -> Shown:
        """Show the row closer."""
        limits, _ = self._limits(model, judgement)
        inputs = self._inputs()
        shares: npt.NDArray[np.float64] = np.max(
            [
                np.array(comparison.reference.row_errors) / (limits[name].max_abs or np.inf)
                for name, comparison in self._comparisons.items()
            ],
            axis=0,
        )
        worst = np.argsort(-shares, kind="stable")[:WORST]
        return Shown(
            row=self.candidate.name,
            worst=tuple(
                WorstInput(
                    name=names[inputs[i]],
                    share_of_limit=float(shares[i]),
                    reference=self._answers[inputs[i]][0],
                    answer=self._answers[inputs[i]][1],
                )
                for i in worst
            ),
            histogram={
                name: tuple(int(n) for n in comparison.reference.histogram) for name, comparison in self._comparisons.items()
            },
        )
