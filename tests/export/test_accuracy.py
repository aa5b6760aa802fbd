"""Labelled data at an export: the bundle next to the checkpoint at its own lengths, by precision, mixing and problem."""

from collections import Counter

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fnet_runtime.errors import SessionError
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from support.checkpoints import LENGTH, VOCABULARY, save_tiny
from support.exports import export, options_from
from support.labelled import FULL, TEXTS, evaluation_of, figures_of, plan_of, records_of, written

from fnet_core.tasks import TASKS
from fnet_export.base.errors import EvaluationError, OptionError
from fnet_export.commands import cli
from fnet_export.engine.sessions.torch_session import TorchSession
from fnet_export.evaluation.accuracy import OWN_LENGTHS, Accuracy, Measurement
from fnet_export.evaluation.evaluation import Evaluation, Limits
from fnet_export.evaluation.metrics import share
from fnet_export.graph.trained import model_from_trained
from fnet_export.parity.report.accuracy import values_from_accuracy
from fnet_export.parity.report.evidence import AccuracyError, ParityError
from fnet_export.parity.report.files import html_from_values
from fnet_export.parity.report.junit import junit_from_values
from fnet_export.plan.manifest import manifest_from_plan
from fnet_export.plan.pipeline import check_labelled_data
from fnet_export.plan.plan import plan_from_options

TOKENIZER = Tokenizer.from_file(VOCABULARY)

# ---- texts at their own length


SECOND = "a lazy dog jumps"
WORD = [("the quick brown fox", None)]
PAIRS = [("the quick fox", "a dog"), ("the quick fox", SECOND)]
MASKED = [("the [MASK] fox [MASK]", None)]


def request_of(task):
    """What a pipeline is asked, and the pairs of texts of its rows."""
    if task == "multiple-choice":
        return ("the quick fox", ["a dog", SECOND]), PAIRS
    if task == "masked-lm":
        return MASKED[0], MASKED
    if TASKS[task].paired or task == "question-answering":
        return ("the [MASK]", SECOND), [("the [MASK]", SECOND)]
    return WORD[0], WORD


def softmax(values):
    return np.exp(values - values.max()) / np.exp(values - values.max()).sum()


def assert_answered(task, answer, encoding, outputs, labels):
    """Compare an answer with the model's outputs for its rows, each without its batch axis."""
    first = outputs[0]
    if task == "sequence-classification":
        scores = softmax(first["logits"])
        assert {found.label: found.score for found in answer.scores} == pytest.approx(dict(zip(labels, scores, strict=True)))
    elif task == "token-classification":
        own = [row for row, segment in zip(first["logits"], encoding.segments, strict=True) if segment == 0]
        assert [found.label for found in answer.tokens] == [labels[row.argmax()] for row in own]
        assert [found.score for found in answer.tokens] == pytest.approx([softmax(row).max() for row in own])
    elif task == "question-answering":
        places = [i for i, segment in enumerate(encoding.segments) if segment == 1]
        starts, ends = (softmax(first[name][[0, *places]])[1:] for name in ("start_logits", "end_logits"))
        pairs = [(i, j) for i in range(len(places)) for j in range(i, min(i + 15, len(places)))]
        words = Counter()
        for i, j in sorted(pairs, key=lambda pair: starts[pair[0]] * ends[pair[1]], reverse=True)[:20]:
            start = SECOND.rfind(" ", 0, encoding.spans[places[i]][0] + 1) + 1
            end = SECOND.find(" ", encoding.spans[places[j]][1])
            words[SECOND[start:] if end < 0 else SECOND[start:end]] += starts[i] * ends[j]
        ((text, score),) = words.most_common(1)
        assert (answer[0].text, answer[0].score) == (text, pytest.approx(score))
    elif task in ("masked-lm", "pretraining"):
        logits = first["logits" if task == "masked-lm" else "prediction_logits"][:, : TOKENIZER.vocab_size]
        wanted = [softmax(logits[i]) for i in np.flatnonzero(encoding.input_ids == TOKENIZER.mask_id)]
        fillers = answer.masks if task == "masked-lm" else answer.fillers
        assert [found[0].token_id for found in fillers] == [scores.argmax() for scores in wanted]
        assert [found[0].score for found in fillers] == pytest.approx([scores.max() for scores in wanted])
    elif task == "multiple-choice":
        assert answer.scores == pytest.approx(softmax(np.array([row["logits"][0] for row in outputs])))
    elif task == "feature-extraction":
        assert answer.tokens == pytest.approx(first["last_hidden_state"])
        assert answer.pooled == pytest.approx(first["pooler_output"])
    if task in ("next-sentence-prediction", "pretraining"):
        found, name = (answer, "logits") if task != "pretraining" else (answer.next_sentence, "seq_relationship_logits")
        assert found.score == pytest.approx(softmax(first[name])[0])


class Recording(TorchSession):
    """Keeps the inputs that it was given."""

    def __init__(self, model):
        super().__init__(model)
        self.seen = []

    def run(self, inputs):
        self.seen.append(inputs)
        return super().run(inputs)


def unpadded_pipeline(folder, task):
    """The pipeline of a bundle that does not pad, over the model in torch, and that model."""
    chosen = {"task": task, "target": "onnx", "model": str(folder), "output": folder / "none", "padding": "none"}
    plan = plan_from_options(options_from(**chosen))
    model = model_from_trained(plan.trained)
    session = Recording(model)
    pipe = Pipeline(manifest=manifest_from_plan(plan), tokenizer=plan.tokenizer.tokenizer, session=session, golden=folder / "none")
    return pipe, model, session


@pytest.mark.parametrize("changes", [{}, {"attention_layers": (1,), "num_attention_heads": 4}])
@pytest.mark.parametrize("task", TASKS)
def test_a_text_runs_at_its_own_length(task, changes, tmp_path):
    """Against the model called by hand on the tokens of each text, of which none is padding."""
    pipe, model, session = unpadded_pipeline(save_tiny(tmp_path, task, **changes), task)
    request, pairs = request_of(task)
    answer = pipe(*request)
    whole = [TOKENIZER.encode(*pair, padding=Padding(LENGTH)) for pair in pairs]
    own = [
        TOKENIZER.encode(*pair, padding=Padding(int(encoding.attention_mask.sum())))
        for pair, encoding in zip(pairs, whole, strict=True)
    ]
    assert all(encoding.attention_mask.all() and 4 < len(encoding.input_ids) < LENGTH for encoding in own)
    outputs = []
    for encoding, seen in zip(own, session.seen, strict=True):
        inputs = {name: getattr(encoding, name)[None] for name in model.task.inputs}
        if task == "multiple-choice":
            inputs = {name: array[None] for name, array in inputs.items()}
        assert seen.keys() == inputs.keys()
        for name, array in inputs.items():
            np.testing.assert_array_equal(seen[name], array)
        with torch.no_grad():
            found = model(*(torch.from_numpy(array) for array in inputs.values()))
        outputs.append({name: output.numpy()[0] for name, output in zip(model.task.outputs, found, strict=True)})
    assert_answered(task, answer, own[0], outputs, pipe.manifest.labels)


def test_an_empty_text_is_its_special_tokens(tmp_path):
    pipe, model, session = unpadded_pipeline(save_tiny(tmp_path), "sequence-classification")
    found = pipe("")
    (seen,) = session.seen
    assert seen["input_ids"].tolist() == [[TOKENIZER.cls_id, TOKENIZER.sep_id]]
    with torch.no_grad():
        (logits,) = model(*(torch.from_numpy(array) for array in seen.values()))
    assert_answered("sequence-classification", found, None, [{"logits": logits.numpy()[0]}], pipe.manifest.labels)


# ---- precisions, mixings and problems


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
        (39, 20, 39, {}, ["Training probably padded its texts: a pipeline of transformers does not, and answers differently"]),
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
        (39, 39, 39, {"padding": "none", "accept_drift": True}, []),
        (
            20,
            39,
            39,
            {"padding": "none", "accept_drift": True},
            [
                "The bundle runs each text as the checkpoint does, so fp32 makes the difference.",
                "The bundle runs each text at its own length, which is probably not how the checkpoint was trained.",
            ],
        ),
        (
            39,
            39,
            20,
            {"padding": "none", "accept_drift": True},
            ["The bundle runs each text at its own length, which is probably how the checkpoint was trained."],
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
    names = [metric["name"] for metric in values["evaluation"]["runs"][0]["metrics"]]
    assert names == ["accuracy", "macro F1", "Matthews correlation"]


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


def test_columns_of_an_export(checkpoint, tmp_path):
    data = written(tmp_path / "data.jsonl", [{"sentence": "a", "label": 1}])
    chosen = {"task": "sequence-classification", "target": "onnx", "model": str(checkpoint), "columns": {"text": "sentence"}}
    (record,) = plan_from_options(options_from(**chosen, evaluation=data)).evaluation.records
    assert (record.text, record.truth) == ("a", "B")
    with pytest.raises(OptionError, match="--column: names columns of labelled data; add --evaluation FILE"):
        options_from(**chosen)
    arguments = ["--task", chosen["task"], "--target", "onnx", "--model", str(checkpoint), "--output", str(tmp_path / "b")]
    done = CliRunner().invoke(cli.main, [*arguments, "--padding", "max_length", "--evaluation", str(data), "--dry-run"])
    assert (done.exit_code, "add --column text=NAME" in done.stderr) == (1, True)
    named = [*arguments, "--padding", "max_length", "--evaluation", str(data), "--column", "text=sentence", "--dry-run"]
    assert CliRunner().invoke(cli.main, named).exit_code == 0


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
