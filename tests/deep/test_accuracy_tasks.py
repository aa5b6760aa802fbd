"""Labelled data at an export: the bundle next to the checkpoint at its own lengths, for every task and padding."""

import pytest
from support.checkpoints import save_tiny
from support.labelled import TEXTS, evaluation_of, figures_of, plan_of

from fnet_core.tasks import TASKS
from fnet_export.parity.report.accuracy import table_from_evaluation


@pytest.mark.parametrize("padding", ["max_length", "none"])
@pytest.mark.parametrize("task", [task for task in TASKS if task != "feature-extraction"])
def test_every_task_is_evaluated(task, padding, tmp_path):
    changes = {"attention_layers": (1,), "num_attention_heads": 4} if task == "token-classification" else {}
    save_tiny(tmp_path, task, extra={"trained_sequence_length": 24}, **changes)
    options = {"predict_positions": 2} if task == "masked-lm" else {}
    values = evaluation_of(plan_of(tmp_path, task, padding=padding, accept_drift=padding == "none", **options))
    assert (values["data"]["name"], values["data"]["records"], values["missed"]) == ("data.jsonl", len(TEXTS), [])
    bundle, own, padded = values["runs"]
    assert [run["name"] for run in values["runs"]] == [
        "bundle",
        "checkpoint, each text at its own length",
        "checkpoint, padded to 24 tokens",
    ]
    alike, other = (padded, own) if padding == "max_length" else (own, padded)
    assert figures_of(bundle) == pytest.approx(figures_of(alike), rel=1e-4)
    assert (alike["difference"]["value"], alike["difference"]["significant"]) == (0.0, False)
    assert len(figures_of(other)) == len(figures_of(bundle))
    assert [run["runtime"] for run in values["runs"]] == ["onnxruntime", "torch float32", "torch float32"]
    assert table_from_evaluation(values).row_count == 3
