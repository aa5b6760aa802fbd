import dataclasses
import io
import math

import numpy as np
import pytest
import torch
from conftest import LENGTH, VOCABULARY, tiny_config
from fnet_runtime.errors import NoDeviceError, SessionError
from fnet_runtime.manifest import AxisProfile
from fnet_runtime.tokenizer import Tokenizer
from rich.console import Console

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export import parity
from fnet_export.emails import emails
from fnet_export.errors import CompareError
from fnet_export.headroom import Headroom
from fnet_export.inputs import EDGES, RANDOM, parity_samples
from fnet_export.parity import Candidate, ParityReport, Row, parity_from_candidates, row_from_headroom
from fnet_export.proof import PrecisionProof
from fnet_export.report import lines_from_report, table_from_report
from fnet_export.texts import texts_from_file
from fnet_export.timing import Latency, Timing
from fnet_export.tolerance import MULTIPLE, Tolerance
from fnet_export.torch_session import TorchSession

TOKENIZER = Tokenizer.from_file(VOCABULARY)
TEXTS = texts_from_file(None).texts
ROWS = len(TEXTS) + len(EDGES) + RANDOM


def samples(task="sequence-classification", choices=3, texts=TEXTS):
    return parity_samples(TASKS[task], TOKENIZER, tiny_config(), texts, sequence_length=LENGTH, choices=choices)


def reference(dtype=torch.float64):
    torch.manual_seed(0)
    return FNet(tiny_config(), TASKS["sequence-classification"], mixing="fft", dtype=torch.float32).eval().to(dtype)


def yardstick():
    return Candidate(name="torch float32", open=lambda: TorchSession(reference(torch.float32)), expected=True)


@pytest.mark.parametrize("task", TASKS)
def test_samples_are_real_texts_the_edges_and_random_ids(task):
    found = samples(task)
    assert (len(emails()), len(TEXTS)) == (200, 64)
    assert found.names[64:] == (*EDGES, *(f"random {i}" for i in range(RANDOM)))
    shape = (ROWS, 3, LENGTH) if task == "multiple-choice" else (ROWS, LENGTH)
    assert {a.shape for a in found.inputs.values()} == {shape}
    ids = dict(zip(found.names, found.inputs["input_ids"].reshape(shape[0], -1, LENGTH), strict=True))
    assert (ids["all padding"] == 3).all()
    assert (ids["highest ids"] == tiny_config().vocab_size - 1).all()
    assert 3 not in ids["longest text"]
    assert ((ids["text 0"] == TOKENIZER.mask_id).any()) == (task in ("masked-lm", "pretraining"))
    types = dict(zip(found.names, found.inputs["token_type_ids"].reshape(shape[0], -1, LENGTH), strict=True))
    assert (types["longest text"].max() == 1) == TASKS[task].paired
    again = samples(task)
    assert all(np.array_equal(array, again.inputs[name]) for name, array in found.inputs.items())


class DyingSession(TorchSession):
    """Answers once."""

    runs = 0

    def run(self, inputs):
        self.runs += 1
        if self.runs > 1:
            raise SessionError("it died")
        return super().run(inputs)


def test_what_runs_and_what_does_not():
    model, seen = reference(), []

    def nothing():
        raise NoDeviceError("no NVIDIA GPU on this host")

    def broken():
        raise SessionError("it broke")

    candidates = [
        yardstick(),
        Candidate(name="engine", open=nothing),
        Candidate(name="x", open="why"),
        Candidate(name="guest", open=broken, needed=False),
    ]
    report = parity_from_candidates(model, candidates, samples(), on_progress=lambda done, total: seen.append((done, total)))
    assert [(row.name, row.status, row.reason) for row in report.rows] == [
        ("torch float32", "passed", None),
        ("engine", "not run", "no NVIDIA GPU on this host"),
        ("x", "not run", "why"),
        ("guest", "not run", "it broke"),
    ]
    assert (report.passed, seen[0], seen[-1]) == (True, (1, 4 * ROWS), (4 * ROWS, 4 * ROWS))
    assert (report.rows[0].answers_agree, report.rows[1].answers_agree, report.rows[1].median_ms) == (1.0, None, None)
    assert report.rows[0].median_ms > 0
    assert not ParityReport(rows=report.rows[1:], expected={}).passed  # nothing ran: nothing proved
    with pytest.raises(SessionError, match="it broke"):
        parity_from_candidates(model, [yardstick(), Candidate(name="engine", open=broken)], samples())


def test_a_guest_that_dies_in_the_middle_has_failed_and_a_needed_one_ends_the_check():
    model = reference()
    report = parity_from_candidates(
        model, [yardstick(), Candidate(name="guest", open=lambda: DyingSession(model), needed=False)], samples()
    )
    assert [(row.name, row.status, row.reason) for row in report.rows] == [
        ("torch float32", "passed", None),
        ("guest", "failed", "it died"),
    ]
    assert not report.passed
    with pytest.raises(SessionError, match="it died"):
        parity_from_candidates(model, [yardstick(), Candidate(name="engine", open=lambda: DyingSession(model))], samples())


def untimed(report):
    return dataclasses.replace(report, rows=tuple(dataclasses.replace(row, median_ms=None) for row in report.rows))


def test_large_outputs_are_compared_a_part_at_a_time(monkeypatch):
    model, opened = reference(), []

    def again():
        opened.append(1)
        return TorchSession(reference(torch.float32))

    candidates = [Candidate(name="other", open=again, expected=True, shipped=True)]
    whole = parity_from_candidates(model, candidates, samples())
    monkeypatch.setattr(parity, "KEPT_BYTES", 1)
    assert untimed(parity_from_candidates(model, candidates, samples())) == untimed(whole)
    assert len(opened) == 1 + 1 + math.ceil((ROWS - 1) / 4)


@pytest.mark.parametrize(("change", "status"), [(1e-8, "passed"), (1e-5, "failed"), (math.nan, "failed")])
def test_what_is_off_fails(change, status):
    model = reference()

    class Off(TorchSession):
        batch = AxisProfile(min=2, opt=3, max=3)

        def run(self, inputs):
            assert len(inputs["input_ids"]) in (2, 3)
            return {name: a + change * np.abs(a).max() for name, a in super().run(inputs).items()}

    candidates = [yardstick(), Candidate(name="off", open=lambda: Off(model), shipped=True)]
    report = parity_from_candidates(model, candidates, samples())
    assert (report.rows[1].status, report.passed) == (status, status == "passed")
    logits = report.rows[1].outputs["logits"]
    assert logits.passed == report.passed
    assert logits.limit.max_abs == MULTIPLE * report.expected["fp32"]["logits"].max_abs
    assert report.shown.row == "off"
    assert (len(report.shown.worst), sum(report.shown.histogram["logits"])) == (10, 0 if math.isnan(change) else 3 * ROWS)
    shares = [worst.share_of_limit for worst in report.shown.worst]
    assert shares == sorted(shares, reverse=True)
    if math.isnan(change):
        assert (logits.difference.nonfinite_count, report.rows[1].answers_agree) == (ROWS * 3, 0.0)
        assert report.shown.worst[0].answer == "not finite"
    allowed = parity_from_candidates(model, candidates, samples(), tolerance=Tolerance(rtol=1e-4))
    assert allowed.passed != math.isnan(change)


def test_nothing_is_judged_without_something_to_expect():
    with pytest.raises(CompareError, match="expected a candidate that says what to expect of int8; found none"):
        parity_from_candidates(reference(), [yardstick(), Candidate(name="x", open="why", precision="int8")], samples())


def test_a_checkpoint_that_its_precision_cannot_hold():
    broken = reference(torch.float32)
    broken.head.classifier.bias.data[:] = torch.inf
    candidates = [Candidate(name="torch float32", open=lambda: TorchSession(broken), expected=True)]
    with pytest.raises(
        CompareError, match="logits: torch float32 gives NaN or infinite values for this checkpoint; expected finite"
    ):
        parity_from_candidates(reference(), candidates, samples())


@pytest.mark.parametrize(
    ("largest", "kept", "status"), [(65504.0, False, "passed"), (65505.0, False, "failed"), (65505.0, True, "not run")]
)
def test_fp16_ends_somewhere(largest, kept, status):
    headroom = Headroom(limit=65504.0, layers={"embeddings": {"sum": 3.0}, "1": {"intermediate": largest, "activation": 2.0}})
    row = row_from_headroom(headroom, kept=kept)
    assert (row.status, row.precision) == (status, "fp16")
    if status == "failed":
        assert row.reason.startswith("layer 1: intermediate reaches 65505 on these inputs, and fp16 ends at 65504; export with")
    assert (row.reason is None) == (status == "passed")


def test_the_table_names_reasons():
    row = Row(
        name="engine",
        precision="fp32",
        status="not run",
        reason="no NVIDIA GPU [on this host]",
        median_ms=None,
        answers_agree=None,
        outputs={},
    )
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(table_from_report(ParityReport(rows=(row,), expected={})))
    assert "engine: not run: no NVIDIA GPU [on this host]" in console.export_text()


def latency(not_timed=None, **rows):
    timings = {name: Timing(median_ms=ms, rounds=5) for name, ms in rows.items()}
    return Latency(rows=timings, not_timed=not_timed or {})


def test_the_lines_say_what_runs_and_what_is_not_faster():
    proof = PrecisionProof(precision="int8", read_from="a graph", share=0.96, share_of_all=0.875, stayed=("x",))
    plain = ParityReport(rows=(), expected={})
    assert lines_from_report(plain) == []
    slower = dataclasses.replace(plain, proof=proof, latency=latency(float32=2.0, other=5.0, int8=3.04))
    assert lines_from_report(slower) == [
        "int8: 96.0% of the multiply-adds meant for it, 87.5% of all, are in it, by a graph",
        "One row, in turns: float32 2.0 ms, other 5.0 ms, int8 3.0 ms",
        "int8 is not the faster one on this host: float32 took no longer",
    ]
    faster = dataclasses.replace(plain, latency=latency({"fp16": "none here", "bf16": "none here"}, float32=2.0, int8=1.0))
    assert lines_from_report(faster) == ["One row, in turns: float32 2.0 ms, int8 1.0 ms", "Not timed: fp16; bf16: none here"]
    assert lines_from_report(dataclasses.replace(plain, latency=latency({"a": "no GPU"}))) == ["Not timed: a: no GPU"]
