import dataclasses
import io
import math

import numpy as np
import pytest
import torch
from fnet_runtime.bundle.manifest import AxisProfile
from fnet_runtime.errors import NoDeviceError, SessionError
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer, TokenizerOptions
from rich.console import Console
from support import golden_tokenizer
from support.checkpoints import LENGTH, VOCABULARY, tiny_config

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.base.errors import CompareError
from fnet_export.engine.sessions.timing import Latency, Timing
from fnet_export.engine.sessions.torch_session import TorchSession
from fnet_export.parity import check as parity
from fnet_export.parity.agreement import Agreement
from fnet_export.parity.check import Candidate, Judgement, fit_together, parity_from_candidates, runs_of
from fnet_export.parity.reference import reference_from_model
from fnet_export.parity.report.terminal import line_from_proof, lines_from_agreement, lines_from_latency, table_from_report
from fnet_export.parity.result import ParityReport, Row, row_from_headroom
from fnet_export.parity.tolerance import MULTIPLE, Tolerance
from fnet_export.precision.headroom import Headroom
from fnet_export.precision.proof import PrecisionProof
from fnet_export.texts.emails import emails
from fnet_export.texts.samples import EDGES, RANDOM, Samples, parity_samples
from fnet_export.texts.text_files import texts_from_file

TOKENIZER = Tokenizer.from_file(VOCABULARY)
TEXTS = texts_from_file(None).texts
ROWS = len(TEXTS) + len(EDGES) + RANDOM


def samples(task="sequence-classification", choices=3, texts=TEXTS):
    return parity_samples(TASKS[task], TOKENIZER, tiny_config(), texts, padding=Padding(LENGTH), choices=choices)


def model_of(dtype=torch.float64):
    torch.manual_seed(0)
    return FNet(tiny_config(), TASKS["sequence-classification"], transform="fft", dtype=torch.float32).eval().to(dtype)


def checked(candidates, model=None, **options):
    """Check candidates on all samples, against a float64 model."""
    given = samples()
    return parity_from_candidates(reference_from_model(model or model_of(), given), candidates, given, **options)


def yardstick():
    return Candidate(name="torch float32", open=lambda: TorchSession(model_of(torch.float32)), expected=True)


@pytest.mark.parametrize("task", TASKS)
def test_samples_are_real_texts_the_edges_and_random_ids(task):
    found = samples(task)
    assert (len(emails()), len(TEXTS)) == (200, 64)
    assert found.names[64:] == (*EDGES, *(f"random {i}" for i in range(RANDOM)))
    shape = (ROWS, 3, LENGTH) if task == "multiple-choice" else (ROWS, LENGTH)
    assert {a.shape for inputs in found.inputs for a in inputs.values()} == {(1, *shape[1:])}
    batch = found.batch(range(ROWS))
    assert (list(batch), {a.shape for a in batch.values()}) == (list(TASKS[task].inputs), {shape})
    ids = dict(zip(found.names, batch["input_ids"].reshape(shape[0], -1, LENGTH), strict=True))
    assert (ids["all padding"] == 3).all()
    assert (ids["highest ids"] == tiny_config().vocab_size - 1).all()
    assert 3 not in ids["longest text"]
    assert ((ids["text 0"] == TOKENIZER.mask_id).any()) == (task in ("masked-lm", "pretraining"))
    types = dict(zip(found.names, batch["token_type_ids"].reshape(shape[0], -1, LENGTH), strict=True))
    assert (types["longest text"].max() == 1) == TASKS[task].paired
    again = samples(task).batch(range(ROWS))
    assert all(np.array_equal(array, again[name]) for name, array in batch.items())


@pytest.mark.parametrize("multiple_of", [1, 4])
@pytest.mark.parametrize("task", TASKS)
def test_samples_of_texts_at_their_own_length(task, multiple_of):
    padding = Padding(LENGTH, "none", multiple_of)
    found = parity_samples(TASKS[task], TOKENIZER, tiny_config(), TEXTS, padding=padding, choices=3)
    assert found.names == samples(task).names
    inputs = dict(zip(found.names, found.inputs, strict=True))
    lengths = {name: of_one["input_ids"].shape[-1] for name, of_one in inputs.items()}
    prime = {1: 31, 4: 32}[multiple_of]
    assert (LENGTH, lengths["longest text"], lengths["all padding"], lengths["highest ids"]) == (32, 32, prime, prime)
    assert [lengths[f"random {i}"] for i in range(RANDOM)] == [*{1: (1, 2, 3), 4: (4, 4, 4)}[multiple_of], *[LENGTH] * (RANDOM - 3)]
    for name, of_one in inputs.items():
        shape = (1, 3, lengths[name]) if task == "multiple-choice" else (1, lengths[name])
        assert {key: array.shape for key, array in of_one.items()} == dict.fromkeys(TASKS[task].inputs, shape)
    if not TASKS[task].paired and task not in ("masked-lm", "pretraining"):
        for number, text in enumerate(TEXTS):
            wanted = TOKENIZER.encode(text, padding=padding)
            assert np.array_equal(inputs[f"text {number}"]["input_ids"][0], wanted.input_ids)
    if multiple_of == 1 and task != "multiple-choice":
        tokens = [of_one["input_ids"] for name, of_one in inputs.items() if name != "all padding"]
        assert lengths["empty text"] < lengths["one token"] < LENGTH
        assert not any((ids == tiny_config().pad_token_id).any() for ids in tokens[: len(TEXTS) + 3])


def test_samples_of_a_tokenizer_that_adds_no_tokens():
    tokenizer = Tokenizer(golden_tokenizer.pipeline("bpe", "fnet-v5"), TokenizerOptions(flavour="fnet-v5"))
    task, texts = TASKS["sequence-classification"], TEXTS[:3]

    def names(contract):
        return parity_samples(task, tokenizer, tiny_config(), texts, padding=Padding(LENGTH, contract), choices=1).names

    assert [name for name in names("max_length") if name not in names("none")] == ["empty text"]


def samples_of_lengths(*lengths):
    inputs = tuple({"input_ids": np.full((1, length), number)} for number, length in enumerate(lengths))
    return Samples(tuple(f"row {number}" for number in range(len(lengths))), inputs)


def test_batches_are_of_one_length():
    given = samples_of_lengths(5, 2, 5, 3, 2, 5, 5)
    assert given.batches(range(7), 7) == [[0, 2, 5, 6], [1, 4], [3]]
    assert given.batches(range(7), 3) == [[0, 2, 5], [6], [1, 4], [3]]
    assert given.batches([6, 4, 3, 2], 1) == [[6], [2], [4], [3]]
    assert given.batches([], 3) == []
    assert given.batch([6, 2, 0])["input_ids"].tolist() == [[6] * 5, [2] * 5, [0] * 5]
    some = given.of([3, 6])
    assert (some.names, [array["input_ids"].shape for array in some.inputs]) == (("row 3", "row 6"), [(1, 3), (1, 5)])
    batch = {"input_ids": np.arange(6).reshape(3, 2), "token_type_ids": np.zeros((3, 2), np.int64)}
    rows = Samples.from_batch(["a", "b", "c"], batch)
    assert (rows.names, [of_one["input_ids"].tolist() for of_one in rows.inputs]) == (
        ("a", "b", "c"),
        [[[0, 1]], [[2, 3]], [[4, 5]]],
    )
    assert all(np.array_equal(array, batch[name]) for name, array in rows.batch(range(3)).items())


@pytest.mark.parametrize(
    ("lengths", "parts"),
    [
        ([5] * 3, [[0], [1], [2]]),
        ([5] * 6, [[0], [1], [2], [3], [4, 5]]),
        ([5, 2, 5, 3, 5, 2], [[0], [1], [3], [5], [2, 4]]),
        ([2, 5, 3, 5], [[0], [2], [1, 3]]),
        ([5, 2, 3, 1], [[0], [1], [2], [3]]),
    ],
)
def test_inputs_of_one_length_run_together_and_no_input_is_left_out(lengths, parts):
    assert parity.TOGETHER == 2
    assert parity._parts(range(len(lengths)), samples_of_lengths(*lengths)) == parts


def test_inputs_of_unlike_lengths_are_all_compared():
    given = parity_samples(
        TASKS["sequence-classification"], TOKENIZER, tiny_config(), TEXTS, padding=Padding(LENGTH, "none"), choices=1
    )
    counted = []

    class Counting(TorchSession):
        def run(self, inputs):
            counted.append(inputs["input_ids"].shape)
            return super().run(inputs)

    candidates = [yardstick(), Candidate(name="counting", open=lambda: Counting(model_of(torch.float32)), shipped=True)]
    report = parity_from_candidates(reference_from_model(model_of(), given), candidates, given, part=given.part(12))
    assert [(row.status, row.inputs) for row in report.rows] == [("passed", 12), ("passed", ROWS)]
    assert report.rows[1].answers.decisions == ROWS
    assert sum(rows for rows, _ in counted) in range(ROWS, ROWS + parity.ROUNDS + 1)  # a round of one input alone warms up
    assert {length for _, length in counted} == {of_one["input_ids"].shape[-1] for of_one in given.inputs}


class DyingSession(TorchSession):
    """Answers once."""

    runs = 0

    def run(self, inputs):
        self.runs += 1
        if self.runs > 1:
            raise SessionError("it died")
        return super().run(inputs)


def test_what_runs_and_what_does_not():
    seen = []

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
    report = checked(candidates, on_step=lambda runs, what: seen.append(runs))
    assert [(row.name, row.status, row.reason) for row in report.rows] == [
        ("torch float32", "passed", None),
        ("engine", "not run", "no NVIDIA GPU on this host"),
        ("x", "not run", "why"),
        ("guest", "not run", "it broke"),
    ]
    assert (report.passed, seen[0]) == (True, 1)
    assert sum(seen) <= runs_of(candidates, part=ROWS, whole=ROWS) == 3 * ROWS
    assert (report.rows[0].answers.share, report.rows[1].answers, report.rows[1].median_ms) == (1.0, None, None)
    assert [row.inputs for row in report.rows] == [ROWS, 0, 0, 0]
    assert report.rows[0].median_ms > 0
    assert not ParityReport(rows=report.rows[1:], inputs=ROWS, expected={}).passed  # nothing ran: nothing proved
    with pytest.raises(SessionError, match="it broke"):
        checked([yardstick(), Candidate(name="engine", open=broken)])


def test_a_guest_that_dies_in_the_middle_has_failed_and_a_needed_one_ends_the_check():
    model = model_of()
    report = checked([yardstick(), Candidate(name="guest", open=lambda: DyingSession(model), needed=False)])
    assert [(row.name, row.status, row.reason) for row in report.rows] == [
        ("torch float32", "passed", None),
        ("guest", "failed", "it died"),
    ]
    assert not report.passed
    with pytest.raises(SessionError, match="it died"):
        checked([yardstick(), Candidate(name="engine", open=lambda: DyingSession(model))])


def untimed(report):
    return dataclasses.replace(report, rows=tuple(dataclasses.replace(row, median_ms=None) for row in report.rows))


def test_large_outputs_of_the_emulation_are_compared_a_part_at_a_time(monkeypatch):
    opened = []

    def again():
        opened.append(1)
        return TorchSession(model_of(torch.float32))

    candidates = [Candidate(name="other", open=again, expected=True, shipped=True, precision="int8")]
    whole = checked(candidates)
    assert len(opened) == parity.ROUNDS
    monkeypatch.setattr(parity, "KEPT_BYTES", 10 * 3 * 4)
    again = untimed(checked(candidates))
    assert len(opened) == parity.ROUNDS + math.ceil(ROWS / 10)
    for one, other in zip(again.rows, untimed(whole).rows, strict=True):  # batches of other sizes round otherwise
        assert (one.inputs, one.status, one.answers) == (other.inputs, other.status, other.answers)


@pytest.mark.parametrize(("change", "status"), [(1e-8, "passed"), (1e-5, "failed"), (math.nan, "failed")])
def test_what_is_off_fails(change, status):
    model = model_of()

    class Off(TorchSession):
        batch = AxisProfile(min=2, opt=3, max=3)

        def run(self, inputs):
            assert len(inputs["input_ids"]) in (2, 3)
            return {name: a + change * np.abs(a).max() for name, a in super().run(inputs).items()}

    candidates = [yardstick(), Candidate(name="off", open=lambda: Off(model), shipped=True)]
    report = checked(candidates)
    assert (report.rows[1].status, report.passed) == (status, status == "passed")
    logits = report.rows[1].outputs["logits"]
    assert logits.passed == report.passed
    assert logits.limit.max_abs == MULTIPLE * report.expected["fp32"]["logits"].max_abs
    assert report.shown.row == "off"
    assert (len(report.shown.worst), sum(report.shown.histogram["logits"])) == (10, 0 if math.isnan(change) else 3 * ROWS)
    shares = [worst.share_of_limit for worst in report.shown.worst]
    assert shares == sorted(shares, reverse=True)
    if math.isnan(change):
        assert (logits.difference.nonfinite_count, report.rows[1].answers.share) == (ROWS * 3, 0.0)
        assert report.shown.worst[0].answer == "not finite"
    allowed = checked(candidates, judgement=Judgement(tolerance=Tolerance(rtol=1e-4)))
    assert allowed.passed != math.isnan(change)


def test_the_shipped_row_runs_on_all_inputs_and_the_others_on_a_part():
    part = samples().part(12)
    names = [samples().names[i] for i in part]
    assert (len(part), set(EDGES) <= set(names), "random 0" in names, "text 0" in names) == (12, True, True, True)
    assert samples().part(1000) == tuple(range(ROWS))
    turns = []

    def opened(name):
        turns.append(name)
        return TorchSession(model_of(torch.float32))

    candidates = [yardstick()]
    candidates += [Candidate(name=name, open=lambda name=name: opened(name), shipped=name != "a") for name in ("a", "b", "c")]
    report = checked(candidates, part=part)
    assert [row.inputs for row in report.rows] == [12, 12, 12, ROWS]
    assert turns == ["a", "b", "c", "c", "b", "a", "c"]  # in turns, so that what the host does falls on all alike
    assert (report.inputs, report.shipped, report.shown.row) == (ROWS, "c", "c")
    assert report.rows[3].answers.decisions == ROWS
    halves = [*candidates, Candidate(name="half", open=lambda: opened("half"), precision="bf16", expected=True, shipped=True)]
    assert [row.inputs for row in checked(halves, part=part).rows] == [12, 12, 12, 12, ROWS]


class Clocked(TorchSession):
    """Keeps whose run it was; `alive` counts the sessions that are open."""

    alive = 0

    def __init__(self, name, runs, *, dies_after=math.inf):
        super().__init__(model_of(torch.float32))
        self._name, self._runs, self._left = name, runs, dies_after
        type(self).alive += 1

    def __del__(self):
        type(self).alive -= 1

    def run(self, inputs):
        self._runs.append(self._name)
        self._left -= 1
        if self._left < 0:
            raise SessionError("it died")
        return super().run(inputs)


def test_small_models_are_open_at_once_and_take_turns():
    part = samples().part(12)
    opened, runs, alive = [], [], []

    def candidate(name, **options):
        def again():
            opened.append(name)
            return Clocked(name, runs)

        return Candidate(name=name, open=again, **options)

    def step(_runs, _what):
        alive.append(Clocked.alive)

    candidates = [candidate("a", expected=True), candidate("b"), candidate("c", shipped=True), Candidate(name="d", open="why")]
    apart = checked(candidates, part=part, on_step=step)
    assert (max(alive), apart.timed_in_turns) == (1, False)
    opened.clear()
    runs.clear()
    together = checked(candidates, part=part, timed_in_turns=True, on_step=step)
    assert (max(alive), together.timed_in_turns, opened[:3]) == (3, True, ["a", "b", "c"])
    assert (opened[3:], runs[:12]) == (["c"], [*"abc", *"bca", *"cab", *"abc"])  # c is opened again for all inputs
    assert all((row.median_ms is None) == (row.name == "d") for row in together.rows)
    assert untimed(together) == dataclasses.replace(untimed(apart), timed_in_turns=True)
    assert Clocked.alive == 0


def test_a_guest_that_dies_while_all_are_open_has_failed():
    def guest(needed):
        return Candidate(name="guest", open=lambda: Clocked("guest", [], dies_after=3), needed=needed)

    part = samples().part(12)
    report = checked([yardstick(), guest(needed=False)], part=part, timed_in_turns=True)
    assert [(row.status, row.reason) for row in report.rows] == [("passed", None), ("failed", "it died")]
    with pytest.raises(SessionError, match="it died"):
        checked([yardstick(), guest(needed=True)], part=part, timed_in_turns=True)


def test_what_fits_into_memory_together():
    candidates = [yardstick(), yardstick(), Candidate(name="x", open="why")]
    assert fit_together(candidates, parity.OPEN_BYTES // 2)
    assert not fit_together(candidates, parity.OPEN_BYTES // 2 + 1)


class Flipping(TorchSession):
    """Decides some inputs otherwise, by an error as large as that takes."""

    def __init__(self, model, some):
        super().__init__(model)
        self._some = some

    def run(self, inputs):
        logits = super().run(inputs)["logits"].astype(np.float64)
        for row, ids in zip(logits, inputs["input_ids"], strict=True):
            if any(np.array_equal(ids, other) for other in self._some):
                row[row.argmax()] = row.min() - 1e-3
        return {"logits": logits}


def test_what_int8_decides_otherwise_is_no_tie_and_may_be_held_to_a_limit():
    some = samples().batch([0, 5, 64, 70])["input_ids"]
    emulated = Candidate(name="emulated", open=lambda: Flipping(model_of(torch.float32), some), precision="int8", expected=True)
    shipped = dataclasses.replace(emulated, name="shipped", expected=False, shipped=True)
    report = checked([yardstick(), emulated, shipped], part=samples().part(12))
    found = report.rows[2].outputs["logits"]
    assert (report.rows[2].status, found.difference.agreement.differ, found.difference.agreement.ties) == ("passed", 4, 0)
    assert (report.rows[2].answers.differ, report.rows[2].answers.ties) == (4, 0)
    assert found.from_emulation.median_abs == 0
    few, *_, attention = lines_from_agreement(report)
    assert few == "shipped, logits: 94.80 % of the decisions agree with the reference (4 of 77 differ, 0 of them are ties)"
    assert attention.startswith("Attention: logits: more than one decision in a hundred differs from the reference. 94.80 %")
    asked = checked([yardstick(), emulated, shipped], judgement=Judgement(min_agreement=0.99))
    assert [row.status for row in asked.rows] == ["passed", "passed", "failed"]
    assert asked.rows[2].reason == "logits: 94.80 % of the decisions agree; --min-agreement asks for 99.00 %"


def test_nothing_is_judged_without_something_to_expect():
    with pytest.raises(CompareError, match="expected a candidate that says what to expect of int8; found none"):
        checked([yardstick(), Candidate(name="x", open="why", precision="int8")])


def test_a_checkpoint_that_its_precision_cannot_hold():
    broken = model_of(torch.float32)
    broken.head.classifier.bias.data[:] = torch.inf
    candidates = [Candidate(name="torch float32", open=lambda: TorchSession(broken), expected=True)]
    with pytest.raises(
        CompareError, match="logits: torch float32 gives NaN or infinite values for this checkpoint; expected finite"
    ):
        checked(candidates)


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
        inputs=0,
        median_ms=None,
        answers=None,
        outputs={},
    )
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(table_from_report(ParityReport(rows=(row,), inputs=1, expected={})))
    assert "engine: not run: no NVIDIA GPU [on this host]" in console.export_text()


def test_the_table_of_two_outputs_fits_80_columns():
    (row,) = checked([yardstick()]).rows
    (output,) = row.outputs.values()
    ties = dataclasses.replace(output.difference, agreement=Agreement(decisions=40_000, differ=12_345, ties=12_345))
    output = dataclasses.replace(output, difference=ties)
    wide = dict.fromkeys(("prediction_logits", "seq_relationship_logits"), output)
    row = dataclasses.replace(row, name="ONNX Runtime, simplified graph, unoptimised", status="not run", outputs=wide)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table_from_report(ParityReport(rows=(row,), inputs=77, expected={})))
    lines = console.export_text().splitlines()
    assert lines[1].split() == ["runtime", "status", "output", "inputs", "max", "abs", "of", "limit", "agree", "ties"]
    assert sum(line.endswith(" 69.13% 12345") for line in lines) == 2
    assert any("prediction_logits" in line for line in lines)


def latency(not_timed=None, **rows):
    timings = {name: Timing(median_ms=ms, rounds=5) for name, ms in rows.items()}
    return Latency(rows=timings, not_timed=not_timed or {})


def test_the_lines_say_what_runs_and_what_is_not_faster():
    proof = PrecisionProof(precision="int8", read_from="a graph", share=0.96, share_of_all=0.875, stayed=("x",))
    assert lines_from_agreement(ParityReport(rows=(), inputs=0, expected={})) == []
    assert line_from_proof(proof) == "int8: 96.0% of the multiply-adds meant for it, 87.5% of all, are in it, by a graph"
    assert lines_from_latency(latency(float32=2.0, other=5.0, int8=3.04)) == [
        "One row, in turns: float32 2.0 ms, other 5.0 ms, int8 3.0 ms",
        "int8 is not the fastest on this host: float32 took no longer",
    ]
    faster = latency({"fp16": "none here", "bf16": "none here"}, float32=2.0, int8=1.0)
    assert lines_from_latency(faster) == ["One row, in turns: float32 2.0 ms, int8 1.0 ms", "Not timed: fp16; bf16: none here"]
    assert lines_from_latency(latency({"a": "no GPU"})) == ["Not timed: a: no GPU"]
