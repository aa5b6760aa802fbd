"""Bundles on labelled data: every kind of task, scored again from the answers by other means."""

import dataclasses
import json
import math

import fnet_runtime
import numpy as np
import pytest
import scipy.stats
import torch
from click.testing import CliRunner
from fnet_runtime.errors import SessionError
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from safetensors.torch import load_file, save_file
from sklearn import metrics as oracle
from support.checkpoints import LENGTH, VOCABULARY, save_tiny
from support.exports import export
from support.once import once

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import checkpoint_from_folder
from fnet_core.tasks import TASKS
from fnet_export.base.errors import EvaluationError, OptionError
from fnet_export.commands import cli
from fnet_export.evaluation.evaluation import (
    Limits,
    change_from_evaluations,
    check_comparable,
    evaluation_from_pipeline,
    missed_limits,
    records_of_pipeline,
)
from fnet_export.evaluation.masking import guesses_from_record, masks_from_encoding
from fnet_export.evaluation.metrics import wilson_interval
from fnet_export.texts.emails import EMAILS, emails

TEXTS = [" ".join(text.split()[:25]) for text in emails()[::5]]
ENTITY_LABELS = ("O", "B-A", "I-A", "B-B")
BIASES = {"sequence-classification": "classifier.bias", "next-sentence-prediction": "cls.seq_relationship.bias"}


def classified(labels):
    return [{"text": text, "label": labels[i % len(labels)]} for i, text in enumerate(TEXTS)]


def paired(i):
    return {"text": TEXTS[i], "text_pair": TEXTS[i - 1]}


DATA = {
    "sequence-classification": classified("ABC"),
    "token-classification": [
        {"tokens": text.split(), "tags": [ENTITY_LABELS[len(word) % 4] for word in text.split()]} for text in TEXTS if text
    ],
    "question-answering": [
        {"question": "who was it", "context": text, "answers": [text[i % 9 : 20], text.split()[1]]} for i, text in enumerate(TEXTS)
    ],
    "masked-lm": [{"text": text} for text in TEXTS],
    "next-sentence-prediction": [paired(i) | {"label": i % 2 == 0} for i in range(len(TEXTS))],
    "pretraining": [paired(i) | {"label": i % 2 == 0} for i in range(len(TEXTS))],
    "multiple-choice": [{"text": TEXTS[i], "choices": TEXTS[: 2 + i % 3], "label": i % 2} for i in range(len(TEXTS))],
}


def written(path, records):
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def tiny(folder, task, *, labels=("A", "B", "C"), noise=0.0, predict_positions=None, **changes):
    """A bundle of random weights; a classifier's bias is such that no label is the answer to every text."""
    labels = ENTITY_LABELS if task == "token-classification" else labels
    path = save_tiny(folder / "checkpoint", task, labels=labels, **changes) / "model.safetensors"
    tensors = load_file(path)
    bias = BIASES.get(task)
    if bias:
        tokenizer = Tokenizer.from_file(VOCABULARY)
        with torch.no_grad():
            (logits,) = reference(path.parent, task)(
                *tensors_of([tokenizer.encode(text, padding=Padding(LENGTH)) for text in TEXTS])
            )
        tensors[bias] -= logits.mean(axis=0).float()
        draw = torch.Generator().manual_seed(1)
        tensors[bias] += noise * torch.randn(tensors[bias].shape, generator=draw)
    save_file(tensors, path)
    return export(path.parent, folder / "bundle", task=task, predict_positions=predict_positions).folder


def reference(checkpoint, task):
    opened = checkpoint_from_folder(checkpoint, id="tiny")
    return model_from_checkpoint(opened, TASKS[task], transform="fft", sequence_length=LENGTH, dtype=torch.float64)


def tensors_of(encodings):
    return [torch.from_numpy(np.stack([getattr(e, name) for e in encodings])) for name in ("input_ids", "token_type_ids")]


@pytest.fixture(scope="session")
def bundles(shared):
    return lambda task: once(shared / f"evaluated-{task}", lambda folder: tiny(folder, task)) / "bundle"


def evaluated(bundle, records, tmp_path):
    pipe = fnet_runtime.load(bundle, threads=1)
    return evaluation_from_pipeline(pipe, records_of_pipeline(written(tmp_path / "data.jsonl", records), pipe))


def run(*arguments):
    return CliRunner().invoke(cli.main, ["eval", *(str(a) for a in arguments)])


# ---- every kind of task


def test_classification(bundles, tmp_path):
    found = evaluated(bundles("sequence-classification"), DATA["sequence-classification"], tmp_path)
    answers = [answer.label for answer in fnet_runtime.load(bundles("sequence-classification"))(TEXTS)]
    truth = [record["label"] for record in DATA["sequence-classification"]]
    assert [d for (d,) in found.decisions] == answers
    assert found.value() == pytest.approx(100 * oracle.accuracy_score(truth, answers))
    assert found.value("macro F1") == pytest.approx(100 * oracle.f1_score(truth, answers, average="macro", zero_division=0))
    assert found.value("Matthews correlation") == pytest.approx(oracle.matthews_corrcoef(truth, answers))
    assert list(found.figures()) == ["accuracy", "macro F1", "Matthews correlation"]
    for figure in found.figures().values():
        assert figure.low <= figure.value <= figure.high


def test_two_labels_have_the_f1_of_the_second(tmp_path):
    records = [paired(i) | {"label": "NY"[i % 2]} for i in range(len(TEXTS))]
    found = evaluated(tiny(tmp_path, "sequence-classification", labels=("N", "Y")), records, tmp_path)
    answers = fnet_runtime.load(tmp_path / "bundle")(TEXTS, [record["text_pair"] for record in records])
    wanted = oracle.f1_score([record["label"] for record in records], [a.label for a in answers], pos_label="Y", zero_division=0)
    assert found.figures()["F1 of Y"].value == pytest.approx(100 * wanted)


def test_several_labels_at_once(tmp_path):
    bundle = tiny(tmp_path, "sequence-classification", problem_type="multi_label_classification")
    records = [{"text": text, "labels": ["A", "C"][: i % 3]} for i, text in enumerate(TEXTS)]
    found = evaluated(bundle, records, tmp_path)
    answers = [{s.label for s in answer.scores if s.score > 0.5} for answer in fnet_runtime.load(bundle)(TEXTS)]
    got, want = ([[name in row for name in "ABC"] for row in rows] for rows in (answers, [r["labels"] for r in records]))
    assert found.value() == pytest.approx(100 * oracle.accuracy_score(want, got))
    assert found.value("micro F1") == pytest.approx(100 * oracle.f1_score(want, got, average="micro"))
    assert [list(decided) for decided in found.decisions] == got


def test_one_label_that_a_text_has_or_has_not(tmp_path):
    """Not a hundred points whatever the data say, as a softmax of one logit would give."""
    bundle = tiny(tmp_path, "sequence-classification", labels=("spam",))
    truth = [i % 3 == 0 for i in range(len(TEXTS))]
    records = [{"text": t, "label": int(has) if i % 2 else has} for i, (t, has) in enumerate(zip(TEXTS, truth, strict=True))]
    found = evaluated(bundle, records, tmp_path)
    answers = fnet_runtime.load(bundle)(TEXTS)
    with torch.no_grad():
        tokenizer = Tokenizer.from_file(VOCABULARY)
        (logits,) = reference(tmp_path / "checkpoint", "sequence-classification")(
            *tensors_of([tokenizer.encode(text, padding=Padding(LENGTH)) for text in TEXTS])
        )
    assert [a.score for a in answers] == pytest.approx(torch.sigmoid(logits[:, 0]).tolist(), abs=1e-5)
    guessed = [answer.score > 0.5 for answer in answers]
    assert 0 < sum(guessed) < len(guessed)
    assert found.kind == "binary_classification"
    assert found.value() == pytest.approx(100 * oracle.accuracy_score(truth, guessed))
    assert found.figures()["F1 of spam"].value == pytest.approx(100 * oracle.f1_score(truth, guessed, zero_division=0))
    assert [decided for (decided,) in found.decisions] == ["spam" if has else "not spam" for has in guessed]


@pytest.mark.parametrize("labels", [("grade",), ("grade", "tone")])
def test_regression(tmp_path, labels):
    bundle = tiny(tmp_path, "sequence-classification", problem_type="regression", labels=labels)
    truth = [[i / 7, 2][: len(labels)] for i in range(len(TEXTS))]
    records = [{"text": text, "label": row if len(row) > 1 else row[0]} for text, row in zip(TEXTS, truth, strict=True)]
    found = evaluated(bundle, records, tmp_path)
    scores = [{s.label: s.score for s in answer.scores} for answer in fnet_runtime.load(bundle)(TEXTS)]
    got = [[row[name] for name in labels] for row in scores]
    assert found.value() == pytest.approx(oracle.mean_absolute_error(truth, got))
    assert found.value("root mean square error") ** 2 == pytest.approx(oracle.mean_squared_error(truth, got))
    if len(labels) == 1:
        first, second = np.array(truth)[:, 0], np.array(got)[:, 0]
        assert found.value("Pearson correlation") == pytest.approx(scipy.stats.pearsonr(first, second).statistic)
        assert found.value("Spearman correlation") == pytest.approx(scipy.stats.spearmanr(first, second).statistic)
    else:
        assert list(found.figures()) == ["mean absolute error", "root mean square error"]
    change = change_from_evaluations(found, found)
    assert (change.unchanged, {figure.high for figure in change.differences.values()}) == (1, {0.0})
    with pytest.raises(
        EvaluationError, match="regression: has no accuracy that could have a limit; its main metric is the mean abs"
    ):
        missed_limits(Limits(min_accuracy=1), found, None)


def test_token_classification(bundles, tmp_path):
    records = DATA["token-classification"]
    found = evaluated(bundles("token-classification"), records, tmp_path)
    pipe = fnet_runtime.load(bundles("token-classification"))
    hits = predicted = actual = unread = 0
    for record, decided in zip(records, found.decisions, strict=True):
        text = " ".join(record["tokens"])
        by_start = {}
        for piece in pipe.classify_tokens(text).tokens:
            by_start.setdefault(piece.start, piece.label)
        starts = [len(" ".join(record["tokens"][:i])) + (i > 0) for i in range(len(record["tokens"]))]
        unread += sum(start not in by_start for start in starts)
        assert list(decided) == [by_start.get(start, "O") for start in starts]
        sides = []
        for tags in (decided, record["tags"]):  # runs of one type, cut at every B-
            cut = [i for i in range(len(tags)) if i == 0 or tags[i][0] == "B" or tags[i][1:] != tags[i - 1][1:]]
            runs = zip(cut, [*cut[1:], len(tags)], strict=True)
            sides.append({(tags[start][2:], start, end) for start, end in runs if tags[start] != "O"})
        hits, predicted, actual = hits + len(sides[0] & sides[1]), predicted + len(sides[0]), actual + len(sides[1])
    assert found.value() == pytest.approx(200 * hits / (predicted + actual))
    assert found.unread == unread > 0
    tags = [tag for record in records for tag in record["tags"]]
    wanted = oracle.accuracy_score(tags, [tag for decided in found.decisions for tag in decided])
    assert found.value("word accuracy") == pytest.approx(100 * wanted)


def test_question_answering(bundles, tmp_path):
    records = DATA["question-answering"]
    pipe = fnet_runtime.load(bundles("question-answering"))
    best = [pipe.answer(record["question"], record["context"], max_answer_len=30, top_k=1)[0] for record in records]
    records = [r | {"answers": [f"The {best[i].text}!"]} if i % 4 == 0 else r for i, r in enumerate(records)]
    found = evaluated(bundles("question-answering"), records, tmp_path)
    assert found.decisions == tuple(((answer.start, answer.end),) for answer in best)
    exact = [found.counts[i, 0] for i in range(len(records))]
    assert all(exact[::4])
    assert 25 <= found.value("exact match") <= found.value("F1") <= 100
    empty = evaluated(bundles("question-answering"), [{"question": "who", "context": "", "answers": ["x"]}], tmp_path)
    assert (empty.decisions, empty.value()) == (((None,),), 0)


@pytest.mark.parametrize("task", ["masked-lm", "pretraining"])
def test_masked_tokens_as_torch_guesses_them(bundles, task, tmp_path):
    found = evaluated(bundles(task), DATA[task], tmp_path)
    pipe = fnet_runtime.load(bundles(task))
    model = reference(bundles(task).parent / "checkpoint", task)
    losses, right, follows = [], [], []
    for line, record in enumerate(DATA[task], start=1):
        encoding = pipe.tokenizer.encode(record["text"], record.get("text_pair"), padding=Padding(LENGTH))
        masks = masks_from_encoding(encoding, pipe.tokenizer, seed=line)
        assert len(masks) == max(1, round(0.15 * sum(segment != -1 for segment in encoding.segments)))
        ids, types = tensors_of([encoding])
        masked = ids.clone()
        masked[0, masks] = pipe.tokenizer.mask_id
        with torch.no_grad():
            outputs = model(masked, types)
        logits = outputs[0][0, masks, : pipe.tokenizer.vocab_size]
        losses += torch.nn.functional.cross_entropy(logits, ids[0, masks], reduction="none").tolist()
        right += (logits.argmax(-1) == ids[0, masks]).tolist()
        if task == "pretraining":
            follows.append(bool(outputs[1][0].argmax() == 0) == record["label"])
    assert found.value("perplexity") == pytest.approx(math.exp(np.mean(losses)), rel=1e-4)
    assert found.value() == pytest.approx(100 * np.mean(right))
    if task == "pretraining":
        assert found.value("next sentence accuracy") == pytest.approx(100 * np.mean(follows))
    assert sum(len(made) for made in found.decisions) == len(losses) + len(follows)


def test_masked_tokens_that_are_guessed_right(bundles, tmp_path):
    pipe = fnet_runtime.load(bundles("masked-lm"))
    records = records_of_pipeline(written(tmp_path / "data.jsonl", DATA["masked-lm"]), pipe)
    wanted = np.concatenate([guesses_from_record(pipe, record).tokens for record in records])
    common = np.bincount(wanted).argmax()

    class Session:
        """Twice as sure of one token as of each other."""

        batch = pipe.session.batch

        def run(self, inputs):
            logits = np.zeros((*inputs["input_ids"].shape, pipe.tokenizer.vocab_size + 3), np.float32)
            logits[..., common] = math.log(2)
            logits[..., -3:] = 9  # embeddings beyond the vocabulary, which are no tokens
            return {"logits": logits}

    found = evaluation_from_pipeline(dataclasses.replace(pipe, session=Session()), records)
    share = np.mean(wanted == common)
    assert share > 0
    assert found.value() == pytest.approx(100 * share)
    assert found.value("perplexity") == pytest.approx((pipe.tokenizer.vocab_size + 1) / 2**share)


def test_a_graph_that_predicts_a_few_positions_guesses_the_same(bundles, tmp_path):
    narrow = evaluated(tiny(tmp_path, "masked-lm", predict_positions=2), DATA["masked-lm"], tmp_path)
    whole = evaluated(bundles("masked-lm"), DATA["masked-lm"], tmp_path)
    assert narrow.decisions == whole.decisions
    assert narrow.counts == pytest.approx(whole.counts, rel=1e-5)


def test_a_model_that_attends_is_given_its_mask(tmp_path):
    bundle = tiny(tmp_path, "masked-lm", attention_layers=(1,), num_attention_heads=4)
    assert evaluated(bundle, DATA["masked-lm"], tmp_path).value("perplexity") > 1


def test_next_sentence(bundles, tmp_path):
    records = DATA["next-sentence-prediction"]
    found = evaluated(bundles("next-sentence-prediction"), records, tmp_path)
    pipe = fnet_runtime.load(bundles("next-sentence-prediction"))
    answers = [a.follows for a in pipe([r["text"] for r in records], [r["text_pair"] for r in records])]
    truth = [r["label"] for r in records]
    assert found.value() == pytest.approx(100 * oracle.accuracy_score(truth, answers))
    assert found.value("F1 of follows") == pytest.approx(100 * oracle.f1_score(truth, answers, zero_division=0))


def test_multiple_choice(bundles, tmp_path):
    records = DATA["multiple-choice"]
    found = evaluated(bundles("multiple-choice"), records, tmp_path)
    pipe = fnet_runtime.load(bundles("multiple-choice"))
    answers = [pipe(r["text"], r["choices"]).index for r in records]
    assert found.value() == pytest.approx(100 * oracle.accuracy_score([r["label"] for r in records], answers))


def test_vectors_have_no_right_answer(bundles, tmp_path):
    result = run(bundles("feature-extraction"), "--data", EMAILS)
    assert result.exit_code == 1
    assert "error: feature-extraction: its vectors have no right answer that data could hold, so there is nothing" in result.stderr


# ---- two bundles


def test_flips_and_the_paired_interval(bundles, tmp_path):
    data = written(tmp_path / "data.jsonl", DATA["sequence-classification"])
    other = tiny(tmp_path, "sequence-classification", noise=0.1)
    pipes = [fnet_runtime.load(folder) for folder in (other, bundles("sequence-classification"))]
    records = records_of_pipeline(data, pipes[0])
    found, before = (evaluation_from_pipeline(pipe, records) for pipe in pipes)
    change = change_from_evaluations(found, before)
    a, b = ([answer.label for answer in pipe(TEXTS)] for pipe in pipes)
    flips = sum(x != y for x, y in zip(a, b, strict=True))
    assert 0 < flips < len(TEXTS)
    assert (change.flipped, change.decisions, change.unchanged) == (flips, len(TEXTS), 1 - flips / len(TEXTS))
    difference = change.differences["accuracy"]
    assert difference.value == pytest.approx(found.value() - before.value())
    widths = [figure.high - figure.low for figure in (found.figures()["accuracy"], before.figures()["accuracy"], difference)]
    assert widths[2] < widths[0] + widths[1]
    same = change_from_evaluations(before, before)
    assert (same.flipped, same.differences["accuracy"].low, same.differences["accuracy"].high) == (0, 0, 0)

    result = run(other, "--data", data, "--baseline", bundles("sequence-classification"), "--json", "--threads", 1)
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert values["decisions"] == {"count": len(TEXTS), "flipped": flips, "unchanged": change.unchanged}
    assert values["differences"][0] == {"name": "accuracy", "unit": "points of 100"} | dataclasses.asdict(difference)
    assert values["wilson"] == ["accuracy"]
    assert (values["records"], values["missed"], values["bootstrap"]["resamples"]) == (len(TEXTS), [], 1000)
    table = run(other, "--data", data, "--baseline", bundles("sequence-classification"))
    assert (
        f"decisions flipped: {flips} of {len(TEXTS)} ({change.unchanged:.2%} unchanged); one is the label of a text" in table.stdout
    )
    assert f"{found.value():.2f} (" in table.stdout


def test_another_session_is_enough(bundles, tmp_path):
    """As a search over precisions needs it: the bundle is opened once."""
    pipe = fnet_runtime.load(bundles("sequence-classification"))
    records = records_of_pipeline(written(tmp_path / "data.jsonl", DATA["sequence-classification"]), pipe)

    class Session:
        batch, value = pipe.session.batch, 0.0

        def run(self, inputs):
            return {"logits": np.full((len(inputs["input_ids"]), 3), self.value, np.float32)}

    session = Session()
    steps = []
    swapped = dataclasses.replace(pipe, session=session)
    found = evaluation_from_pipeline(swapped, records, on_progress=lambda *step: steps.append(step))
    assert set(found.decisions) == {("A",)}
    assert steps[-1] == (len(records), len(records))
    session.value = math.nan
    with pytest.raises(
        SessionError, match="data.jsonl, line 1: the model answers with scores that are not finite; its numbers overflow"
    ):
        evaluation_from_pipeline(swapped, records)


def test_bundles_that_answer_other_questions_are_refused(bundles, tmp_path):
    other = tiny(tmp_path, "sequence-classification", labels=("A", "B", "D"))
    data = written(tmp_path / "data.jsonl", DATA["sequence-classification"])
    for baseline, text in [
        (other, "labels A, B, C, of the baseline A, B, D"),
        (bundles("multiple-choice"), "task sequence-classification, of the baseline multiple-choice"),
    ]:
        result = run(bundles("sequence-classification"), "--data", data, "--baseline", baseline)
        assert result.exit_code == 1
        assert f"error: the bundle and its baseline cannot be compared: {text}" in result.stderr
    pipe = fnet_runtime.load(bundles("masked-lm"))
    manifest = dataclasses.replace(pipe.manifest, sequence_length=16)
    with pytest.raises(EvaluationError, match="cannot be compared: sequence length 32, of the baseline 16"):
        check_comparable(pipe, dataclasses.replace(pipe, manifest=manifest))
    check_comparable(pipe, pipe)
    found = evaluated(bundles("multiple-choice"), DATA["multiple-choice"], tmp_path)
    fewer = evaluated(bundles("multiple-choice"), DATA["multiple-choice"][:3], tmp_path)
    with pytest.raises(EvaluationError, match="on the same records; found multiple-choice with 40 decisions and .* with 3"):
        change_from_evaluations(found, fewer)


# ---- limits and exit codes


def test_limits(bundles, tmp_path):
    bundle = bundles("sequence-classification")
    label = fnet_runtime.load(bundle)(TEXTS[0]).label
    data = written(tmp_path / "data.jsonl", [{"text": TEXTS[0], "label": label}, {"text": TEXTS[0], "label": "ABC"[label == "A"]}])
    assert run(bundle, "--data", data, "--min-accuracy", 50).exit_code == 0
    result = run(bundle, "--data", data, "--min-accuracy", 50.5, "--json")
    assert result.exit_code == 3
    assert "limit missed: accuracy is 50.00 points, below the 50.5 asked for\n" in result.stderr
    assert json.loads(result.stdout)["missed"] == ["accuracy is 50.00 points, below the 50.5 asked for"]
    assert run(bundle, "--data", data, "--min-accuracy", 60, "--limit", 1).exit_code == 0
    assert run(bundle, "--data", data, "--baseline", bundle, "--max-accuracy-drop", 0).exit_code == 0


@pytest.mark.parametrize(("limit", "missed"), [(0.5, 0), (0.4, 1)])
def test_a_drop_of_just_the_limit_is_allowed(bundles, tmp_path, limit, missed):
    found = evaluated(bundles("multiple-choice"), DATA["multiple-choice"], tmp_path)
    before, after = (dataclasses.replace(found, counts=np.array([[right, 200]]), decisions=((0,),)) for right in (193.0, 192.0))
    sentences = missed_limits(Limits(max_accuracy_drop=limit), after, change_from_evaluations(after, before))
    assert len(sentences) == missed
    assert all(text == "accuracy is 0.50 points below the baseline's; at most 0.4 were asked for" for text in sentences)


def test_usage(bundles):
    bundle = bundles("multiple-choice")
    result = run(bundle, "--data", EMAILS, "--max-accuracy-drop", 1)
    assert (result.exit_code, "expected --baseline as well" in result.stderr) == (2, True)
    for value, said in ((101, "101.0 is not in the range 0<=x<=100"), ("nan", "points of 100, 0 to 100; found nan")):
        result = run(bundle, "--data", EMAILS, "--min-accuracy", value)
        assert (result.exit_code, said in result.stderr) == (2, True)
    with pytest.raises(OptionError, match="--max-accuracy-drop: expected points of 100, 0 to 100; found -1"):
        Limits(max_accuracy_drop=-1)
    assert run("--help").exit_code == 0


def test_intervals_say_what_they_are_and_where_there_is_none(bundles, tmp_path):
    folder = bundles("sequence-classification")
    answers = fnet_runtime.load(folder)(TEXTS)
    right = [{"text": text, "label": answer.label} for text, answer in zip(TEXTS, answers, strict=True)]
    shown = run(folder, "--data", written(tmp_path / "data.jsonl", right)).stdout
    assert f"100.00 ({100 * wilson_interval(len(TEXTS), len(TEXTS))[0]:.2f} to 100.00)" in shown
    assert "95% intervals: Wilson's for accuracy; percentiles of 1000 bootstrap resamples" in shown
    assert "the bootstrap has no interval for macro F1, Matthews correlation: no resample differs from the records" in shown


def test_an_engine_that_cannot_run(checkpoint, tmp_path):
    folder = export(checkpoint, tmp_path / "bundle", target="tensorrt-rtx").folder
    data = written(tmp_path / "data.jsonl", DATA["sequence-classification"])
    assert run(folder, "--data", data, "--runtime", "onnxruntime").exit_code == 0
    assert run(folder, "--data", data, "--runtime", "tensorrt").exit_code == 1
    if not torch.cuda.is_available():
        result = run(folder, "--data", data, "--json")
        assert (result.exit_code, json.loads(result.stdout)["exit_code"]) == (4, 4)


@pytest.mark.parametrize(
    ("task", "record", "text"),
    [
        ("sequence-classification", {"text": "\ud800", "label": "A"}, "the text is not valid Unicode"),
        (
            "question-answering",
            {"question": "a b " * 40, "context": "b", "answers": ["b"]},
            "question-answering: the question takes",
        ),
        ("masked-lm", {"text": ""}, "text: expected a token to mask, found none"),
    ],
)
def test_records_that_the_model_cannot_take(bundles, tmp_path, task, record, text):
    data = written(tmp_path / "data.jsonl", [DATA[task][0], record])
    result = run(bundles(task), "--data", data)
    assert (result.exit_code, f"error: {data}, line 2: {text}" in result.stderr) == (1, True)


def test_a_file_that_is_no_data(bundles, tmp_path):
    result = run(bundles("sequence-classification"), "--data", tmp_path / "none.jsonl", "--json")
    assert result.exit_code == 1
    assert "none.jsonl: cannot be read (No such file or directory)" in result.stderr
    assert json.loads(result.stdout)["exit_code"] == 1
