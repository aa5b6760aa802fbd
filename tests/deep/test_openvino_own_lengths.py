"""OpenVINO on texts at their own length, in every precision."""

import json

import fnet_runtime
import numpy as np
import openvino
import pytest
import torch
from fnet_runtime.bundle.manifest import IR, PARITY
from fnet_runtime.sessions.openvino_session import NO_VNNI, OpenVinoSession, precision_on_cpu
from fnet_runtime.sessions.processor import saturates_int8
from support.checkpoints import LENGTH, save_tiny
from support.exports import export, options_from

from fnet_export.base.progress import Quiet
from fnet_export.engine.openvino import ir_from_graph, openvino_library
from fnet_export.graph.trained import model_from_trained
from fnet_export.parity.tolerance import MULTIPLES, UNIT
from fnet_export.plan.graphs import graphs_from_plan
from fnet_export.plan.plan import plan_from_options
from fnet_export.precision.half import HALVES

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
HYBRID = {"attention_layers": (1,), "num_attention_heads": 4}
LENGTHS = (1, 2, 3, 7, 16, 31, LENGTH)


def ids(rows, length):
    drawn = np.random.default_rng(length).integers(5, 900, (rows, length))
    return {"input_ids": drawn, "token_type_ids": drawn % 2}


@pytest.fixture
def samples(tmp_path):
    (tmp_path / "samples.txt").write_text("the quick fox\nthe lazy dog jumps over a fox\nfox\n")
    return tmp_path / "samples.txt"


@pytest.mark.parametrize("changes", [{}, HYBRID], ids=["fourier", "hybrid"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_bundle_of_every_precision_that_this_cpu_has(precision, changes, tmp_path, samples):
    if precision == "int8" and saturates_int8():
        pytest.skip(NO_VNNI)
    if precision_on_cpu(precision) != precision:
        pytest.skip(f"this CPU has no {precision}")
    save_tiny(tmp_path / "c", **changes)
    options = {"target": "openvino", "padding": "none", "precision": precision, "samples": samples}
    folder = export(tmp_path / "c", tmp_path / "b", quick=True, **options).folder
    row = json.loads((folder / PARITY).read_text())["rows"][-1]
    assert (row["name"], row["status"], row["precision"]) == ("OpenVINO, model.xml", "passed", precision)
    pipe = fnet_runtime.load(folder, threads=1)
    assert isinstance(pipe.session._session, OpenVinoSession)
    assert pipe.session._session.precision == precision
    assert all(check.passed for check in pipe.self_test())
    together = pipe(["fox", "the quick fox jumps", "fox"])
    assert together[0].scores == together[2].scores
    assert together[1].scores[0].score == pytest.approx(pipe("the quick fox jumps").scores[0].score, rel=1e-4)


@pytest.mark.parametrize("changes", [{}, HYBRID], ids=["fourier", "hybrid"])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-6), ("fp16", 1e-3), ("bf16", 5e-3), ("int8", 0.1)])
def test_its_graph_takes_any_length_on_every_cpu(precision, tolerance, changes, tmp_path, samples, monkeypatch):
    """A CPU without half precision computes it in float32, from weights as they are stored. Products in int8 may overflow."""
    if precision in HALVES and precision_on_cpu(precision) == precision:
        tolerance = MULTIPLES[precision] * UNIT[precision]
    monkeypatch.setattr("fnet_export.plan.plan.precision_on_cpu", lambda precision: precision)
    monkeypatch.setattr("fnet_export.plan.plan.saturates_int8", lambda: False)
    save_tiny(tmp_path / "c", **changes)
    options = {"target": "openvino", "padding": "none", "precision": precision, "samples": samples, "model": str(tmp_path / "c")}
    plan = plan_from_options(options_from(task="sequence-classification", **options))
    (tmp_path / "b").mkdir()
    (tmp_path / "scratch").mkdir()
    graphs = graphs_from_plan(plan, tmp_path / "b", tmp_path / "scratch", Quiet())
    ir_from_graph(graphs.shipped, tmp_path / "b", library=openvino_library())
    compiled = openvino.Core().compile_model(tmp_path / "b" / IR, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    model = model_from_trained(plan.trained, torch.float64)
    for length in LENGTHS:
        for rows in (1, 3):
            fed = ids(rows, length) | ({"attention_mask": np.ones((rows, length), np.int64)} if changes else {})
            with torch.no_grad():
                expected = model(**{name: torch.from_numpy(array) for name, array in fed.items()})[0].numpy()
            found = compiled(fed)[0]
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())
