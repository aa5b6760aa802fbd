import dataclasses
import io
import json
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
from fnet_export.inputs import EMAIL_COUNT, emails, samples_from_emails
from fnet_export.parity import Candidate, ParityReport, Row, parity_from_candidates, relative_limit
from fnet_export.proof import PrecisionProof
from fnet_export.report import lines_from_report, table_from_report
from fnet_export.timing import Latency, Timing
from fnet_export.torch_session import TorchSession

TOKENIZER = Tokenizer.from_file(VOCABULARY)


def samples(task="sequence-classification", choices=3):
    return samples_from_emails(TASKS[task], TOKENIZER, tiny_config(), sequence_length=LENGTH, choices=choices)


def reference():
    torch.manual_seed(0)
    return FNet(tiny_config(), TASKS["sequence-classification"], mixing="fft", dtype=torch.float64).eval()


@pytest.mark.parametrize("task", TASKS)
def test_samples_are_real_mail_and_the_edges(task):
    found = samples(task)
    assert len(emails()) == 200
    assert found.names[EMAIL_COUNT:] == ("empty text", "one token", "longest text", "all padding", "highest ids")
    shape = (EMAIL_COUNT + 5, 3, LENGTH) if task == "multiple-choice" else (EMAIL_COUNT + 5, LENGTH)
    assert {a.shape for a in found.inputs.values()} == {shape}
    ids = dict(zip(found.names, found.inputs["input_ids"].reshape(shape[0], -1, LENGTH), strict=True))
    assert (ids["all padding"] == 3).all()
    assert (ids["highest ids"] == tiny_config().vocab_size - 1).all()
    assert 3 not in ids["longest text"]
    assert ((ids["email 0"] == TOKENIZER.mask_id).any()) == (task in ("masked-lm", "pretraining"))
    types = dict(zip(found.names, found.inputs["token_type_ids"].reshape(shape[0], -1, LENGTH), strict=True))
    assert (types["longest text"].max() == 1) == TASKS[task].paired


def test_what_runs_and_what_does_not():
    model, seen = reference(), []

    def nothing():
        raise NoDeviceError("no NVIDIA GPU on this host")

    candidates = [
        Candidate(name="same", open=lambda: TorchSession(model)),
        Candidate(name="engine", open=nothing),
        Candidate(name="x", open="why"),
    ]
    report = parity_from_candidates(model, candidates, samples(), on_progress=lambda done, total: seen.append((done, total)))
    assert [(row.name, row.status, row.reason) for row in report.rows] == [
        ("same", "passed", None),
        ("engine", "not run", "no NVIDIA GPU on this host"),
        ("x", "not run", "why"),
    ]
    assert (report.passed, seen[0], seen[-1]) == (True, (1, 111), (111, 111))
    assert not ParityReport(relative_limit=1e-5, rows=report.rows[1:]).passed  # nothing ran: nothing proved


def test_large_outputs_are_compared_a_part_at_a_time(monkeypatch):
    model, opened = reference(), []
    other = FNet(model.config, model.task, mixing="dft").eval()

    def again():
        opened.append(other)
        return TorchSession(other)

    whole = parity_from_candidates(model, [Candidate(name="other", open=again)], samples())
    monkeypatch.setattr(parity, "KEPT_BYTES", 1)
    assert parity_from_candidates(model, [Candidate(name="other", open=again)], samples()) == whole
    assert len(opened) == 1 + 10


@pytest.mark.parametrize(("change", "status"), [(1e-7, "passed"), (1e-3, "failed"), (math.nan, "failed")])
def test_what_is_off_fails(change, status):
    model = reference()

    class Off(TorchSession):
        batch = AxisProfile(min=2, opt=3, max=3)

        def run(self, inputs):
            assert len(inputs["input_ids"]) in (2, 3)
            return {name: a + change * np.abs(a).max() for name, a in super().run(inputs).items()}

    report = parity_from_candidates(model, [Candidate(name="off", open=lambda: Off(model))], samples())
    assert report.rows[0].status == status
    assert report.passed == (status == "passed")
    values = json.loads(report.to_json())
    assert list(values) == ["passed", "relative_limit", "rows", "proof", "headroom", "latency", "sensitivity"]
    assert list(values["rows"][0]) == ["name", "status", "reason", "relative_limit", "outputs"]
    assert (values["proof"], values["headroom"], values["latency"]) == (None, None, None)
    if math.isnan(change):
        assert values["rows"][0]["outputs"]["logits"]["max_abs"] is None
        assert values["rows"][0]["outputs"]["logits"]["nonfinite_count"] == 37 * 3


def test_an_engine_that_breaks_is_an_error():
    def broken():
        raise SessionError("it broke")

    with pytest.raises(SessionError, match="it broke"):
        parity_from_candidates(reference(), [Candidate(name="engine", open=broken)], samples())


def test_the_limit_grows_with_depth():
    assert relative_limit(2) < relative_limit(12) < 1.1e-4
    assert relative_limit(12) < relative_limit(12, "fp16") < relative_limit(12, "bf16") < relative_limit(12, "int8") < 0.25


def test_the_table_names_reasons():
    row = Row(name="engine", status="not run", reason="no NVIDIA GPU [on this host]", relative_limit=1e-5, outputs={})
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(table_from_report(ParityReport(relative_limit=1e-5, rows=(row,))))
    assert "engine: not run: no NVIDIA GPU [on this host]" in console.export_text()


def latency(not_timed=None, **rows):
    timings = {name: Timing(median_ms=ms, rounds=5) for name, ms in rows.items()}
    return Latency(rows=timings, not_timed=not_timed or {})


def test_the_lines_say_what_runs_and_what_is_not_faster():
    proof = PrecisionProof(precision="int8", read_from="a graph", share=0.96, share_of_all=0.875, stayed=("x",))
    plain = ParityReport(relative_limit=1e-5, rows=())
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
    assert json.loads(slower.to_json())["proof"] == dataclasses.asdict(proof) | {"stayed": ["x"]}
