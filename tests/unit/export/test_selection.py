"""The choice among measured bundles: limits, the rule, the options, and what people are shown."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from fnet_runtime.bundle.manifest import FP32, INT8
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE

from fnet_export.base.environment import environment_of_host
from fnet_export.base.errors import EvaluationError, OptionError
from fnet_export.base.progress import Calls, OfPart
from fnet_export.benchmark.benchmark import Measured
from fnet_export.evaluation.accuracy import OWN_LENGTHS, Measurement, baseline_from_checkpoints
from fnet_export.evaluation.evaluation import Evaluation, change_from_evaluations
from fnet_export.evaluation.labelled import LabelledData, Record
from fnet_export.evaluation.metrics import mean_error, share
from fnet_export.plan.selection.measure import batches_from_records
from fnet_export.plan.selection.options import CandidateOptions, Combination, SelectionLimits, TimingOptions
from fnet_export.plan.selection.page import html_from_selection
from fnet_export.plan.selection.report import lines_from_selection, misses_of_selection, notes_from_selection
from fnet_export.plan.selection.results import RESULTS
from fnet_export.plan.selection.rule import chosen_from_trials, missed_by_figures
from fnet_export.plan.selection.selection import Figures, Selection, Trial
from fnet_export.texts.tokenizer.trained_length import Statement, TrainedLength

RECORDS = 200
BASELINE = 190
"""Of so many records, the checkpoint answers so many rightly."""


def scored(right):
    counts = np.array([[float(i < right), 1.0] for i in range(RECORDS)])
    return Evaluation(
        kind="sequence-classification",
        metrics=(share("accuracy", 0, 1),),
        counts=counts,
        decisions=tuple((bool(row[0]),) for row in counts),
        unread=0,
    )


def erring(error):
    counts = np.array([[error, 1.0]] * 10)
    return Evaluation(kind="regression", metrics=(mean_error(0, 1),), counts=counts, decisions=((),) * 10, unread=0)


def figures(*, right=BASELINE, times=(10.0, 10.0), size_bytes=1_000_000):
    evaluation = scored(right)
    return Figures(
        size_bytes=size_bytes,
        evaluation=evaluation,
        change=change_from_evaluations(evaluation, scored(BASELINE)),
        measured=Measured(load_ms=1.0, peak_bytes=None, libraries_bytes=None, text_ms=tuple(times), engine_ms=tuple(times)),
    )


def trial(target="onnx", precision=FP32, padding=NONE, *, limits=None, reason=None, **measured):
    combination = Combination(target=target, precision=precision, padding=padding)
    if reason is not None:
        return Trial(combination=combination, command=None, reason=reason)
    ran = figures(**measured)
    missed = missed_by_figures(limits or SelectionLimits(), ran)
    return Trial(combination=combination, command=f"fnet-export --target {target}", figures=ran, missed=missed)


def selection_of(*trials, limits=None):
    chosen, why = chosen_from_trials(trials)
    return Selection(
        model="a <b>model",
        task="sequence-classification",
        data=LabelledData(name="data.jsonl", sha256="0", records=()),
        limits=limits or SelectionLimits(),
        timing=TimingOptions(rounds=2),
        baseline=Measurement(name=OWN_LENGTHS, runtime="torch float32", evaluation=scored(BASELINE)),
        trials=trials,
        chosen=chosen,
        why=why,
        folder=None if chosen is None else Path("bundle"),
        results=Path("bundle.choice"),
        environment=environment_of_host(),
    )


# ---- the rule


@pytest.mark.parametrize(
    ("limits", "measured", "missed"),
    [
        ({}, {"right": 0, "times": (1e6, 1e6)}, []),
        ({"max_accuracy_drop": 0.5}, {"right": BASELINE - 1}, []),
        ({"max_accuracy_drop": 0.5}, {"right": BASELINE - 2}, ["accuracy is 1.00 points below the baseline's; at most 0.5 were"]),
        ({"max_accuracy_drop": 0}, {"right": BASELINE + 5}, []),
        ({"max_latency_ms": 10}, {"times": (9.0, 10.0, 10.0)}, []),
        ({"max_latency_ms": 9.5}, {"times": (9.0, 10.0, 10.0)}, ["the median latency is 10.00 ms; at most 9.5 were asked for"]),
        ({"max_size_mb": 1}, {"size_bytes": 1_000_000}, []),
        ({"max_size_mb": 1}, {"size_bytes": 1_100_000}, ["the files take 1.1 MB; at most 1 were asked for"]),
        (
            {"max_accuracy_drop": 0, "max_latency_ms": 1, "max_size_mb": 0.5},
            {"right": 0},
            ["accuracy is 95.00 points below", "the median latency is 10.00 ms", "the files take 1.0 MB"],
        ),
    ],
)
def test_limits_compare_the_figures(limits, measured, missed):
    found = missed_by_figures(SelectionLimits(**limits), figures(**measured))
    assert len(found) == len(missed)
    assert all(sentence.startswith(start) for sentence, start in zip(found, missed, strict=True))


def test_the_fastest_within_the_limits_is_kept():
    limits = SelectionLimits(max_accuracy_drop=1)
    slow, fast = trial(precision=FP32, times=(20.0, 20.0)), trial("openvino", times=(10.0, 10.0), size_bytes=9_000_000)
    wrong = trial(precision=INT8, times=(1.0, 1.0), right=100, limits=limits)
    chosen, why = chosen_from_trials([slow, wrong, fast, trial(target="tensorrt", reason="no GPU")])
    assert (chosen, why) == (fast, "openvino fp32 (padding none) is the fastest of 2 candidates within the limits.")
    assert chosen_from_trials([slow, wrong]) == (slow, "onnx fp32 (padding none) is the only candidate within the limits.")
    assert chosen_from_trials([wrong]) == (None, "No candidate is within the limits.")


def test_candidates_that_the_measurement_cannot_order_are_ordered_by_size_then_precision():
    draw = np.random.default_rng(0)
    first, second = (draw.normal(10, 1, 50) for _ in range(2))
    large, small = trial("openvino", times=first, size_bytes=2_000_000), trial("onnx", times=second)
    slow = trial(precision=INT8, times=first + 5, size_bytes=1000)
    chosen, why = chosen_from_trials([large, slow, small])
    assert chosen is small
    assert why.startswith("The measurement does not say which is faster: onnx fp32 (padding none), openvino fp32 (padding none).")
    assert why.endswith("Among these, onnx fp32 (padding none) is the smallest.")
    coarse, fine = trial(precision=INT8, times=first), trial(precision=FP32, times=second)
    chosen, why = chosen_from_trials([coarse, fine])
    assert (chosen, why.endswith("onnx fp32 (padding none) is the smallest of the highest precision.")) == (fine, True)


def test_the_front_has_what_no_other_candidate_beats():
    best, fast, slow, same = (
        trial(right=190, times=(10.0, 10.0)),
        trial(precision=INT8, right=180, times=(5.0, 5.0)),
        trial("openvino", right=189, times=(11.0, 11.0)),
        trial(padding=MAX_LENGTH, right=190, times=(10.0, 10.0)),
    )
    selection = selection_of(best, fast, slow, same, trial("tensorrt", reason="no GPU"))
    assert [selection.on_front(each) for each in selection.trials] == [True, True, False, True, False]


# ---- the baseline


def test_the_baseline_is_padded_as_in_training():
    own = Measurement(name=OWN_LENGTHS, runtime="torch float32", evaluation=scored(150))
    padded = Measurement(name="checkpoint, padded to 32 tokens", runtime="torch float32", evaluation=scored(190))
    stated = (Statement(length=32, file="tokenizer.json", key="padding", padded=True),)
    assert baseline_from_checkpoints([own, padded], TrainedLength(length=32, stated_padding=NONE)) is own
    assert baseline_from_checkpoints([own, padded], TrainedLength(length=32, statements=stated)) is padded
    assert baseline_from_checkpoints([own, padded], TrainedLength(length=32)) is padded
    missing = Measurement(name=own.name, runtime="torch float32", reason="no such length")
    assert baseline_from_checkpoints([missing, padded], TrainedLength(length=32)) is padded
    with pytest.raises(EvaluationError, match="the checkpoint cannot be scored.*own length: no such length"):
        baseline_from_checkpoints([missing, padded], TrainedLength(length=32, stated_padding=NONE))
    worse, better = (dataclasses.replace(each, evaluation=erring(error)) for each, error in ((own, 2.0), (padded, 1.0)))
    assert baseline_from_checkpoints([worse, better], TrainedLength(length=32)) is better


# ---- options


@pytest.mark.parametrize(
    ("make", "values", "message"),
    [
        (CandidateOptions, {"targets": ("onnx", "tflite")}, "--target: expected one of onnx, .*; found 'tflite'"),
        (CandidateOptions, {"precisions": ("fp4",)}, "--precision: expected one of fp32, .*; found 'fp4'"),
        (CandidateOptions, {"paddings": ("longest",)}, "--padding: expected one of max_length, none; found 'longest'"),
        (SelectionLimits, {"max_accuracy_drop": 101}, "--max-accuracy-drop: expected points of 100, 0 to 100; found 101"),
        (SelectionLimits, {"max_latency_ms": 0}, "--max-latency-ms: expected milliseconds above 0, found 0"),
        (SelectionLimits, {"max_latency_ms": float("nan")}, "--max-latency-ms: expected milliseconds above 0, found nan"),
        (SelectionLimits, {"max_size_mb": -1}, "--max-size-mb: expected million bytes above 0, found -1"),
        (TimingOptions, {"rounds": 1}, "--rounds: expected 2 or more, found 1"),
        (TimingOptions, {"threads": 0}, "--threads: expected 1 to 1024, found 0"),
    ],
)
def test_bad_options(make, values, message):
    with pytest.raises(OptionError, match=message):
        make(**values)


# ---- what is timed, and what is reported


def test_each_round_answers_another_record():
    records = [Record(where="", line=i, text=str(i), second=None, truth=None) for i in range(10)]
    assert [batch[0][0] for batch in batches_from_records(records, 4)] == ["0", "2", "5", "7"]
    assert [batch[0] for batch in batches_from_records(records[:2], 4)] == [("0", None), ("1", None)]


def test_a_note_of_several_parts_is_reported_once():
    events, notes = [], set()
    progress = Calls(events.append)
    for name in ("a", "b"):
        part = OfPart(progress, name, notes)
        part.stage("trace")
        part.step(1, 2)
        part.note("no GPU")
        part.note(f"of {name}")
    assert [event.stage for event in events if not event.total and event.note is None] == ["a: trace", "b: trace"]
    assert [event.note for event in events if event.note] == ["no GPU", "of a", "of b"]
    assert [(event.done, event.total) for event in events if event.total] == [(1, 2), (1, 2)]


def test_people_see_every_candidate():
    limits = SelectionLimits(max_accuracy_drop=0.5, max_latency_ms=11.5, max_size_mb=3)
    kept = trial(right=BASELINE - 1, times=(10.0, 11.0, 14.0), limits=limits)
    lost = trial(precision=INT8, right=BASELINE - 40, times=(5.0, 5.0), limits=limits)
    selection = selection_of(kept, lost, trial("tensorrt", reason="there is no <GPU>"), limits=limits)
    lines = lines_from_selection(selection)
    assert [line.status for line in lines] == ["", "chosen", "missed", "not run"]
    assert [cell.value for cell in lines[1].cells] == ["94.50", "-0.50", "11", "1 MB"]
    assert [*misses_of_selection(selection)] == [
        "2 onnx int8 (padding none): limit missed: accuracy is 20.00 points below the baseline's; at most 0.5 were asked for",
        "3 tensorrt fp32 (padding none): not run: there is no <GPU>",
    ]
    notes = notes_from_selection(selection)
    assert notes[0].startswith("The interval of its difference reaches 2.00 points below the checkpoint, past the limit of 0.5.")
    assert notes[1].startswith("The interval of its latency reaches 14 ms, past the limit of 11.5.")
    assert "Limits: at most 0.5 points below the checkpoint, at most 11.5 ms, at most 3 MB." in notes
    page = html_from_selection(selection)
    assert "a &lt;b&gt;model" in page
    assert "there is no &lt;GPU&gt;" in page
    assert "onnx int8 (padding none): 5.00 ms, accuracy 75.00, missed" in page
    assert json.loads(json.dumps(selection.values()))["chosen"] == "onnx fp32 (padding none)"


def test_a_page_without_a_chart():
    selection = selection_of(trial("tensorrt", reason="no GPU"))
    page = html_from_selection(selection)
    assert ("<svg" in page, "No bundle" in page, selection.chosen) == (False, True, None)
    assert notes_from_selection(selection)[0] == "Limits: none."


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 1}'])
def test_another_folder_is_not_replaced(text):
    with pytest.raises(ValueError):  # noqa: PT011  JSON's own, or ours
        RESULTS.files(text)
