"""Models of transformers that were trained at one length, or without padding, and what their exports score."""

import json

import fnet_runtime
import pytest
from click.testing import CliRunner
from support.checkpoints import save_tiny
from support.trained_toys import LENGTH as TRAINED
from support.trained_toys import POSITIONS, accuracy_of_transformers, labelled_texts, trained

from fnet_export.commands import cli

LONGEST = (
    "tokenizer.json pads to no fixed length, so training probably padded to each batch's longest text, but the bundle pads to "
    "{} tokens; check it with --evaluation FILE, or export it with --padding none"
)
SHORT = ["--task", "sequence-classification", "--target", "onnx"]


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def texts():
    return labelled_texts(120, 2)


@pytest.fixture(scope="module")
def data(texts, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "texts.jsonl"
    path.write_text("".join(f"{json.dumps({'text': text, 'label': f'LABEL_{label}'})}\n" for text, label in texts))
    return path


@pytest.fixture(scope="module")
def samples(texts, tmp_path_factory):
    """A few texts to prove parity on."""
    path = tmp_path_factory.mktemp("samples") / "texts.txt"
    path.write_text("".join(f"{text}\n" for text, _ in texts[:4]))
    return path


def test_a_model_trained_with_padding_is_exported_at_its_length(tmp_path, texts, data, samples):
    model, tokenizer = trained(tmp_path / "c", padded=True)
    expected = accuracy_of_transformers(model, tokenizer, texts, padding="max_length", truncation=True, max_length=TRAINED)
    unpadded = accuracy_of_transformers(model, tokenizer, texts)
    assert expected > 95 > 80 > unpadded
    arguments = [*SHORT, "--model", tmp_path / "c", "--samples", samples]
    done = run(*arguments, "--output", tmp_path / "b", "--evaluation", data, "--min-accuracy", 95)
    assert (done.exit_code, "note:" in done.output) == (0, False), done.output
    assert "sequence length 64: tokenizer.json (padding.strategy.Fixed, truncation.max_length)" in done.stdout
    assert (
        "Training probably padded its texts: a pipeline of transformers does not, and answers differently from the bundle."
        in done.stdout
    )
    values = json.loads((tmp_path / "b" / "parity.json").read_text())
    assert values["bundle"]["sequence_length"] == TRAINED
    assert [run["metrics"][0]["value"] for run in values["evaluation"]["runs"]] == pytest.approx([expected, unpadded, expected])
    answers = fnet_runtime.load(tmp_path / "b")([text for text, _ in texts])
    right = sum(answer.label == f"LABEL_{label}" for answer, (_, label) in zip(answers, texts, strict=True))
    assert 100 * right / len(texts) == pytest.approx(expected)
    refused = run(*arguments, "--output", tmp_path / "d", "--sequence-length", POSITIONS)
    assert (refused.exit_code, "expected 64, the length that the checkpoint was trained" in refused.stderr) == (
        2,
        True,
    )
    assert run(*arguments, "--output", tmp_path / "d", "--sequence-length", TRAINED, "--dry-run").exit_code == 0
    padding = run("padding", tmp_path / "b", "--length", POSITIONS, "--samples", samples)
    assert "against 64 tokens, the trained length (tokenizer.json (padding.strategy.Fixed, " in padding.stdout, padding.output
    assert "note:" not in padding.stdout


def test_a_model_trained_with_a_collator_is_seen_at_once(tmp_path, texts, data, samples, pages):
    model, tokenizer = trained(tmp_path / "c", padded=False)
    expected = accuracy_of_transformers(model, tokenizer, texts)
    padded = accuracy_of_transformers(model, tokenizer, texts, padding="max_length", truncation=True, max_length=TRAINED)
    assert expected > 95 > 80 > padded
    caution = LONGEST.format(TRAINED).replace("check it with --evaluation FILE, or ", "")  # which this command does
    measured = [*SHORT, "--model", tmp_path / "c", "--samples", samples, "--evaluation", data]
    shown = run(*measured, "--output", tmp_path / "n", "--dry-run").stdout
    assert "to be measured: which padding the checkpoint answers texts.jsonl better with" in shown
    done = run(*measured, "--output", tmp_path / "n", "--min-accuracy", 95)
    assert done.exit_code == 0, done.output
    figures = f"is {padded:.2f} padded to 64 tokens and {expected:.2f} at each text's own length, so the padding is none"
    assert f"note: the accuracy of the checkpoint on texts.jsonl {figures}" in done.stderr
    values = json.loads((tmp_path / "n" / "parity.json").read_text())
    assert [run["metrics"][0]["value"] for run in values["evaluation"]["runs"][:2]] == pytest.approx([expected, expected])
    answers = fnet_runtime.load(tmp_path / "n")([text for text, _ in texts])
    right = sum(answer.label == f"LABEL_{label}" for answer, (_, label) in zip(answers, texts, strict=True))
    assert 100 * right / len(texts) == pytest.approx(expected)
    arguments = [*measured, "--output", tmp_path / "b", "--padding", "max_length"]
    assert f"note: {caution}" in run(*arguments, "--dry-run").stdout
    done = run(*arguments, "--min-accuracy", 90)
    assert (done.exit_code, f"note: {caution}" in done.stderr, f"note: {caution}" in done.stdout) == (3, True, True), done.output
    assert f"error: accuracy is {padded:.2f} points, below the 90 asked for; the files are in" in done.stderr
    assert not (tmp_path / "b").exists()
    values = json.loads((tmp_path / "b.failed" / "parity.json").read_text())
    assert (values["passed"], values["trained_length"]["caution"]) == (False, caution)
    assert {row["status"] for row in values["rows"]} == {"passed", "not run"}
    bundle, own, _ = values["evaluation"]["runs"]
    assert (bundle["metrics"][0]["value"], own["metrics"][0]["value"]) == pytest.approx((padded, expected))
    assert own["difference"]["significant"] is True
    (finding,) = values["evaluation"]["findings"]
    assert finding.endswith("The bundle pads every text to 64 tokens, which is probably not how the checkpoint was trained.")
    assert finding in done.stdout
    page = (tmp_path / "b.failed" / "parity.html").read_text()
    for sentence in (finding, caution.replace("'", "&#39;"), f"Less accurate than asked for: accuracy is {padded:.2f} points"):
        assert sentence in page
    assert f'<failure message="accuracy is {padded:.2f} points' in (tmp_path / "b.failed" / "parity.junit.xml").read_text()
    ungated = run(*arguments)
    assert (ungated.exit_code, finding in ungated.stdout) == (0, True)
    told = run("eval", tmp_path / "b", "--data", data)
    assert f"note: {caution}" in told.stdout, told.output
    assert json.loads(run("inspect", tmp_path / "b", "--json").stdout)["parity"]["caution"] == caution


def test_labelled_data_that_do_not_decide_on_the_padding(tmp_path, data):
    folder = save_tiny(tmp_path / "c", labels=("LABEL_0", "LABEL_1", "LABEL_2"))
    refused = run(*SHORT, "--model", folder, "--output", tmp_path / "b", "--evaluation", data)
    assert refused.exit_code == 2, refused.output
    assert "--padding: no file states how training padded texts" in refused.stderr
    assert "Choose --padding max_length or --padding none, or give more records" in refused.stderr
    assert not (tmp_path / "b").exists()
