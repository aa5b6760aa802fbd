"""The built-in model, exported whole: its other heads, and its accuracy on the e-mails."""

import json

import fnet_runtime
import pytest
from click.testing import CliRunner
from sklearn import metrics as oracle

from fnet_export.commands.cli import main
from fnet_export.texts.emails import EMAILS


@pytest.mark.parametrize(("task", "answered"), [("masked-lm", "fillers"), ("next-sentence-prediction", "follows")])
def test_its_other_heads_become_engines_too(task, answered, tmp_path):
    samples = tmp_path / "samples"
    samples.write_text("a few texts\nfor 8,000 logits a token\n")
    words = ["--task", task, "--target", "tensorrt", "--output", str(tmp_path / "b"), "--samples", str(samples), "--json"]
    exported = CliRunner().invoke(main, words)
    assert exported.exit_code == 0, exported.output
    rows = json.loads(exported.stdout)["parity"]["rows"]
    assert [row["status"] for row in rows[:3]] == ["passed"] * 3
    pipe = fnet_runtime.load(tmp_path / "b", runtime="onnxruntime")
    assert all(check.passed for check in pipe.self_test())
    answer = pipe("click [MASK] to unsubscribe") if answered == "fillers" else pipe("Hello Jane,", "see you on Friday.")
    assert len(answer.masks[0]) == 5 if answered == "fillers" else 0 <= answer.score <= 1


def test_the_built_in_model_on_its_e_mails(tmp_path):
    result = CliRunner().invoke(
        main, ["--task", "sequence-classification", "--target", "onnx", "--output", str(tmp_path / "spam"), "--quiet"]
    )
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, ["eval", str(tmp_path / "spam"), "--data", str(EMAILS), "--min-accuracy", "90", "--json"])
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in EMAILS.read_text().splitlines()]
    answers = [answer.label for answer in fnet_runtime.load(tmp_path / "spam")([r["text"] for r in records])]
    truth = [r["label"] for r in records]
    wanted = [
        100 * oracle.accuracy_score(truth, answers),
        100 * oracle.f1_score(truth, answers, average="macro"),
        100 * oracle.f1_score(truth, answers, pos_label="spam"),
        oracle.matthews_corrcoef(truth, answers),
    ]
    metrics = json.loads(result.stdout)["metrics"]
    assert [m["name"] for m in metrics] == ["accuracy", "macro F1", "F1 of spam", "Matthews correlation"]
    assert [m["value"] for m in metrics] == pytest.approx(wanted)
