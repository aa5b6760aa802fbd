"""Labelled data at an export: the bundle next to the checkpoint at its own lengths, for every task and precision."""

import json
import tempfile
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fnet_runtime.errors import SessionError
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from support.checkpoints import LENGTH, VOCABULARY, save_tiny, tiny_config
from support.exports import export, options_from
from support.paths import GOLDEN

import fnet_export
from fnet_core.fnet import FNet
from fnet_core.tasks import ATTENTION_MASK, SEQUENCE, TASKS
from fnet_export.base.errors import EvaluationError, OptionError
from fnet_export.base.progress import Quiet
from fnet_export.commands import cli
from fnet_export.engine.sessions.unpadded_session import UnpaddedSession
from fnet_export.evaluate.accuracy import OWN_LENGTHS, Accuracy, Measurement, accuracy_from_folder
from fnet_export.evaluate.evaluation import Evaluation, Limits
from fnet_export.evaluate.metrics import share
from fnet_export.export.graphs import graphs_from_plan
from fnet_export.export.manifest import manifest_from_plan
from fnet_export.export.pipeline import check_labelled_data, subject_from_plan
from fnet_export.export.plan import plan_from_options
from fnet_export.parity.report.accuracy import table_from_evaluation, values_from_accuracy
from fnet_export.parity.report.evidence import AccuracyError, ParityError
from fnet_export.parity.report.files import html_from_values
from fnet_export.parity.report.junit import junit_from_values
from fnet_export.texts.emails import emails

TOKENIZER = Tokenizer.from_file(VOCABULARY)
TEXTS = [" ".join(text.split()[: 3 + i % 9]) for i, text in enumerate(emails()[:24])]
FULL = json.loads((GOLDEN / "parity" / "full.json").read_text())
SCHEMA = json.loads((Path(fnet_export.__file__).parent / "parity" / "report" / "parity.schema.json").read_text())


def records_of(task):
    def record(i, text):
        words = text.split()
        return {
            "sequence-classification": {"text": text, "label": "ABC"[i % 3]},
            "token-classification": {"tokens": words, "tags": ["ABC"[len(word) % 3] for word in words]},
            "question-answering": {"question": "who was it", "context": text, "answers": [words[0]]},
            "masked-lm": {"text": text},
            "next-sentence-prediction": {"text": text, "text_pair": TEXTS[i - 1], "label": i % 2 == 0},
            "pretraining": {"text": text, "text_pair": TEXTS[i - 1], "label": i % 2 == 0},
            "multiple-choice": {"text": text, "choices": TEXTS[: 2 + i % 3], "label": i % 2},
        }[task]

    return [record(i, text) for i, text in enumerate(TEXTS)]


def written(path, records):
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def plan_of(folder, task="sequence-classification", records=None, **options):
    data = written(folder / "data.jsonl", records_of(task) if records is None else records)
    chosen = {"task": task, "target": "onnx", "model": str(folder), "output": folder / "none"}
    return plan_from_options(options_from(**chosen, evaluation=data, **options))


def evaluation_of(plan):
    """What parity.json would say, of the graphs of an export without its parity."""
    check_labelled_data(plan)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        graphs_from_plan(plan, Path(folder), Path(scratch), Quiet())
        done = []
        limits = Limits(min_accuracy=plan.options.proof.min_accuracy)
        accuracy = accuracy_from_folder(
            Path(folder), subject_from_plan(plan, None), plan.evaluation, limits, on_progress=lambda *step: done.append(step)
        )
    assert done[-1][0] == done[-1][1]
    assert done == sorted(done)
    values = values_from_accuracy(accuracy, manifest_from_plan(plan), plan.trained_length)
    jsonschema.validate(FULL | {"evaluation": values}, SCHEMA)
    return values


def figures_of(run):
    return [metric["value"] for metric in run["metrics"]]


# ---- the session


@pytest.mark.parametrize("changes", [{}, {"attention_layers": (1,), "num_attention_heads": 4}])
@pytest.mark.parametrize("task", TASKS)
def test_a_text_runs_at_its_own_length(task, changes):
    """Against the model called by hand on what is not padded at all."""
    torch.manual_seed(0)
    model = FNet(tiny_config(**changes), TASKS[task]).eval()
    pairs = (
        [("the quick fox", "a dog"), ("the quick fox", "a lazy dog jumps")]
        if task == "multiple-choice"
        else [("the quick brown fox", None)]
    )
    padded = [TOKENIZER.encode(*pair, length=LENGTH) for pair in pairs]
    count = max(int(encoding.attention_mask.sum()) for encoding in padded)
    assert 4 < count < LENGTH
    names = ("input_ids", "token_type_ids", ATTENTION_MASK)

    def stacked(encodings):
        arrays = {name: np.stack([getattr(encoding, name) for encoding in encodings]) for name in names}
        return {name: array[None] for name, array in arrays.items()} if task == "multiple-choice" else arrays

    found = UnpaddedSession(model).run(stacked(padded))
    own = stacked([TOKENIZER.encode(*pair, length=count) for pair in pairs])
    with torch.no_grad():
        wanted = model(*(torch.from_numpy(own[name]) for name in model.task.inputs))
    for (name, axes), output in zip(TASKS[task].outputs.items(), wanted, strict=True):
        array = found[name]
        if SEQUENCE in axes:
            assert array.shape[1] == LENGTH
            assert not array[:, count:].any()
            array = array[:, :count]
        assert array == pytest.approx(output.numpy())


def test_a_text_without_tokens_has_one_position():
    model = FNet(tiny_config(), TASKS["sequence-classification"]).eval()
    inputs = {name: np.full((1, LENGTH), 3) for name in ("input_ids", "token_type_ids")}
    inputs["token_type_ids"][:] = 0
    found = UnpaddedSession(model).run(inputs | {ATTENTION_MASK: np.zeros((1, LENGTH), np.int64)})
    assert found["logits"].shape == (1, 3)


# ---- every task and precision


@pytest.mark.parametrize("task", [task for task in TASKS if task != "feature-extraction"])
def test_every_task_is_evaluated(task, tmp_path):
    changes = {"attention_layers": (1,), "num_attention_heads": 4} if task == "token-classification" else {}
    save_tiny(tmp_path, task, extra={"trained_sequence_length": 24}, **changes)
    options = {"predict_positions": 2} if task == "masked-lm" else {}
    values = evaluation_of(plan_of(tmp_path, task, **options))
    assert (values["data"]["name"], values["data"]["records"], values["missed"]) == ("data.jsonl", len(TEXTS), [])
    bundle, own, padded = values["runs"]
    assert [run["name"] for run in values["runs"]] == [
        "bundle",
        "checkpoint, each text at its own length",
        "checkpoint, padded to 24 tokens",
    ]
    assert figures_of(bundle) == pytest.approx(figures_of(padded), rel=1e-4)
    assert (padded["difference"]["value"], padded["difference"]["significant"]) == (0.0, False)
    assert len(figures_of(own)) == len(figures_of(bundle))
    assert [run["runtime"] for run in values["runs"]] == ["onnxruntime", "torch float32", "torch float32"]
    assert table_from_evaluation(values).row_count == 3


def test_int8_is_evaluated_with_and_without_a_limit_on_its_drop(tmp_path):
    save_tiny(tmp_path)
    for options in ({}, {"max_accuracy_drop": 100.0}):
        values = evaluation_of(plan_of(tmp_path, precision="int8", **options))
        assert [run["reason"] for run in values["runs"]] == [None, None]  # no length is stated to pad to


def test_a_mixing_of_one_length_has_no_other(tmp_path):
    save_tiny(tmp_path, mixing="linear")
    bundle, own, padded = evaluation_of(plan_of(tmp_path))["runs"]
    assert own["reason"] == "the linear mixing has matrices of 32 tokens; no other length runs"
    assert (own["metrics"], own["difference"]) == ([], None)
    assert figures_of(bundle) == figures_of(padded)


def test_a_regression_has_findings_and_no_limit(tmp_path):
    save_tiny(tmp_path, problem_type="regression", labels=("grade",))
    records = [{"text": text, "label": i / 7} for i, text in enumerate(TEXTS)]
    values = evaluation_of(plan_of(tmp_path, records=records))
    assert values["runs"][0]["metrics"][0]["unit"] is None
    with pytest.raises(OptionError, match="--min-accuracy: regression has no accuracy that could have a limit; leave it out"):
        plan_of(tmp_path, records=records, min_accuracy=50)


def test_numbers_that_overflow_are_a_reason_and_not_the_end(tmp_path, monkeypatch):
    def fails(self, inputs):
        raise SessionError("the model answers with scores that are not finite")

    save_tiny(tmp_path)
    monkeypatch.setattr("fnet_runtime.sessions.ort_session.OrtSession.run", fails)
    values = evaluation_of(plan_of(tmp_path, min_accuracy=0))
    reason = "the model answers with scores that are not finite"
    assert values["runs"][0]["reason"] == reason
    assert values["missed"] == [f"the accuracy of the bundle was not measured, and at least 0 was asked for: {reason}"]
    page = html_from_values(FULL | {"passed": False, "evaluation": values})
    assert "Less accurate than asked for: the accuracy of the bundle was not measured" in page
    assert "bundle: not run: the model answers with scores" in page
    assert "was not measured" in junit_from_values(FULL | {"passed": False, "evaluation": values})


# ---- what a difference means


def measured(name, right):
    """A measurement of 40 records, so many of which are answered rightly."""
    counts = np.array([[float(i < right), 1.0] for i in range(40)])
    metrics = (share("accuracy", 0, 1),)
    decisions = tuple((bool(row[0]),) for row in counts)
    evaluation = Evaluation(kind="sequence-classification", metrics=metrics, counts=counts, decisions=decisions, unread=0)
    return Measurement(name=name, runtime="made up", evaluation=evaluation)


@pytest.mark.parametrize(
    ("bundle", "own", "padded", "options", "meanings"),
    [
        (39, 40, 39, {}, []),
        (39, 20, 39, {}, ["Training probably padded its texts: a pipeline of transformers does not, and answers otherwise"]),
        (
            20,
            10,
            39,
            {},
            ["Training probably", "The bundle pads as the checkpoint does, so its precision, fp32, costs this accuracy."],
        ),
        (20, 39, 39, {}, ["The bundle pads as the checkpoint does", "The bundle pads as the checkpoint does"]),
        (
            20,
            39,
            39,
            {"sequence_length": 16, "accept_drift": True},
            ["The bundle pads every text to 16 tokens, which is probably"] * 2,
        ),
        (
            39,
            39,
            20,
            {"sequence_length": 16, "accept_drift": True},
            ["The checkpoint answers better at 16 tokens than at the stated"],
        ),
    ],
)
def test_a_significant_difference_is_a_sentence(tmp_path, bundle, own, padded, options, meanings):
    plan = plan_of(save_tiny(tmp_path, extra={"trained_sequence_length": 24}), **options)
    checkpoints = (measured(OWN_LENGTHS, own), measured("checkpoint, padded to 24 tokens", padded))
    accuracy = Accuracy(
        data=plan.evaluation, limits=Limits(), bundle=measured("bundle", bundle), checkpoints=checkpoints, missed=()
    )
    findings = values_from_accuracy(accuracy, manifest_from_plan(plan), plan.trained_length)["findings"]
    assert len(findings) == len(meanings)
    for finding, meaning in zip(findings, meanings, strict=True):
        assert f"The difference is significant. {meaning}" in finding
        assert finding.startswith(f"The accuracy of the bundle is {2.5 * bundle:.2f} (")


def test_where_training_only_cut_its_texts_the_length_may_be_wrong(tmp_path):
    save_tiny(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 24}')
    plan = plan_of(tmp_path)
    accuracy = Accuracy(
        data=plan.evaluation,
        limits=Limits(),
        bundle=measured("bundle", 20),
        checkpoints=(measured(OWN_LENGTHS, 39),),
        missed=(),
    )
    (finding,) = values_from_accuracy(accuracy, manifest_from_plan(plan), plan.trained_length)["findings"]
    assert finding.endswith("The bundle pads every text to 24 tokens, which is probably not how the checkpoint was trained.")


# ---- exports


def short(tmp_path):
    samples = tmp_path / "samples.txt"
    samples.write_text("the quick fox\na dog\n")
    return {"samples": samples, "evaluation": written(tmp_path / "data.jsonl", records_of("sequence-classification"))}


def test_an_engine_without_a_device_has_its_graph_evaluated(checkpoint, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this host has a GPU")
    values = export(checkpoint, tmp_path / "b", target="tensorrt-rtx", **short(tmp_path)).values
    assert values["evaluation"]["runs"][0]["runtime"] == "onnxruntime on model.onnx, because this host has no device for the engine"
    assert len(values["evaluation"]["runs"][0]["metrics"]) == 2


def test_what_nothing_here_can_run_is_never_accurate(checkpoint, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this host has a GPU")
    with pytest.raises(AccuracyError, match="the accuracy of the bundle was not measured, and at least 1 was asked for.*bf16"):
        export(checkpoint, tmp_path / "b", target="tensorrt-rtx", precision="bf16", min_accuracy=1, **short(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.failed", "data.jsonl", "samples.txt"]


def test_openvino_evaluates_its_own_graph(checkpoint, tmp_path):
    values = export(checkpoint, tmp_path / "b", target="openvino", **short(tmp_path)).values
    assert values["evaluation"]["runs"][0]["runtime"] == "openvino"


def test_failed_parity_says_what_the_accuracy_is_as_well(checkpoint, tmp_path):
    options = short(tmp_path) | {"atol": 0.0, "min_accuracy": 100}
    with pytest.raises(ParityError, match=r"^parity failed: .*; accuracy is .* points, below the 100 asked for; the files are in"):
        export(checkpoint, tmp_path / "b", **options)


# ---- what is refused before any work


@pytest.mark.parametrize(
    ("task", "record", "text"),
    [
        ("sequence-classification", {"text": "\ud800", "label": "A"}, "line 1: the text is not valid Unicode"),
        (
            "question-answering",
            {"question": "who " * 40, "context": "it", "answers": ["it"]},
            "line 1: question-answering: the question",
        ),
        ("masked-lm", {"text": ""}, "line 1: text: expected a token to mask, found none"),
    ],
)
def test_a_record_that_cannot_be_answered(tmp_path, task, record, text):
    plan = plan_of(save_tiny(tmp_path, task), task, [record])
    with pytest.raises(EvaluationError, match=text):
        check_labelled_data(plan)
    assert not any(path.name.startswith((".none", "none")) for path in tmp_path.iterdir())


def test_limits_need_data_and_a_task_with_labels(checkpoint, tmp_path):
    arguments = [
        "--task",
        "sequence-classification",
        "--target",
        "onnx",
        "--model",
        str(checkpoint),
        "--output",
        str(tmp_path / "b"),
    ]
    done = CliRunner().invoke(cli.main, [*arguments, "--min-accuracy", "50"])
    assert (done.exit_code, "--min-accuracy: is measured on labelled data of the task; add --evaluation FILE" in done.stderr) == (
        2,
        True,
    )
    arguments[1] = "feature-extraction"
    data = written(tmp_path / "data.jsonl", [{"text": "a"}])
    done = CliRunner().invoke(cli.main, [*arguments, "--random-head", "--evaluation", str(data)])
    assert (done.exit_code, "vectors have no right answer" in done.stderr) == (1, True), done.output
