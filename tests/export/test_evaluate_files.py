"""`eval` on files as other programs write them, and on questions without an answer."""

import json

import fnet_runtime
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from fnet_export.commands import cli
from fnet_export.evaluation.evaluation import change_from_evaluations, evaluation_from_pipeline, records_of_pipeline
from fnet_export.evaluation.metrics import wilson_interval
from fnet_export.texts.emails import emails

TEXTS = [" ".join(text.split()[:25]) for text in emails()[::8]]


def run(*arguments):
    return CliRunner().invoke(cli.main, ["eval", *(str(a) for a in arguments)])


def written(path, records):
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def test_columns_and_files_of_datasets(whole_bundle, tmp_path):
    """Every format and name gives the figures of the plain file."""
    records = [{"text": text, "label": "ABC"[i % 3]} for i, text in enumerate(TEXTS)]
    plain = run(whole_bundle, "--data", written(tmp_path / "data.jsonl", records), "--json")
    rows = [{"sentence": record["text"], "gold": "ABC".index(record["label"])} for record in records]
    table = pyarrow.Table.from_pylist(rows)
    pyarrow.csv.write_csv(table, tmp_path / "data.csv")
    pyarrow.parquet.write_table(table, tmp_path / "data.parquet")
    written(tmp_path / "numbers.jsonl", rows)
    for name in ("data.csv", "data.parquet", "numbers.jsonl"):
        named = run(whole_bundle, "--data", tmp_path / name, "--column", "text=sentence", "--column", "label=gold", "--json")
        assert named.exit_code == 0, named.output
        assert json.loads(named.stdout)["metrics"] == json.loads(plain.stdout)["metrics"]
    result = run(whole_bundle, "--data", tmp_path / "data.csv")
    assert (result.exit_code, "If another column holds it, add --column text=NAME" in result.stderr) == (1, True)
    for wrong, said in (("text", "expected KEY=NAME"), ("tags=gold", "expected a key that the task reads, text, text_pair, label")):
        columns = ["--column", "text=sentence", "--column", "label=gold"] if "=" in wrong else []
        result = run(whole_bundle, "--data", tmp_path / "data.csv", *columns, "--column", wrong)
        assert (result.exit_code, said in result.stderr) == (2, True)


def test_choices_of_swag(bundles, tmp_path):
    """SWAG's columns give the answers of the same texts as choices."""
    bundle = bundles("multiple-choice")
    swag = [{"sent1": text, "sent2": "He", "ending0": "sat.", "ending1": text[:9], "label": i % 2} for i, text in enumerate(TEXTS)]
    same = [
        {"text": row["sent1"], "choices": [f"He {row[f'ending{i}']}" for i in range(2)], "label": str(row["label"])} for row in swag
    ]
    pipe = fnet_runtime.load(bundle)
    first, second = (
        evaluation_from_pipeline(pipe, records_of_pipeline(written(tmp_path / f"{name}.jsonl", rows), pipe))
        for name, rows in (("swag", swag), ("choices", same))
    )
    assert (first.decisions, first.value()) == (second.decisions, second.value())
    assert 0 < first.value() < 100


def test_questions_without_an_answer(bundles, tmp_path):
    """Only an empty answer is right. The logits of [CLS] decide which answer is empty."""
    bundle = bundles("question-answering")
    records = [
        {"question": "who was it", "context": text if i % 4 else "", "answers": {"text": [text.split()[0]] if i % 3 else []}}
        for i, text in enumerate(TEXTS)
    ]
    pipe = fnet_runtime.load(bundle)
    data = written(tmp_path / "data.jsonl", records)
    found = evaluation_from_pipeline(pipe, records_of_pipeline(data, pipe))
    options = {"top_k": 1, "max_answer_len": 30, "null_threshold": 0.0}
    answered = [pipe.answer(r["question"], r["context"], **options)[0].text != "" for r in records]
    assert all(r["context"] for r, text in zip(records, answered, strict=True) if text)
    unanswerable = [i for i, r in enumerate(records) if not r["answers"]["text"]]
    right = sum(not answered[i] for i in unanswerable)
    assert 0 < right < len(unanswerable) < len(records)
    assert found.value("exact match if unanswerable") == pytest.approx(100 * right / len(unanswerable))
    answerable = len(records) - len(unanswerable)
    shares = {len(unanswerable): found.value("exact match if unanswerable"), answerable: found.value("exact match if answerable")}
    assert found.value() == pytest.approx(sum(count * share for count, share in shares.items()) / len(records))
    assert found.value("F1") >= found.value()
    low, high = wilson_interval(right, len(unanswerable))
    figure = found.figures()["exact match if unanswerable"]
    assert (figure.low, figure.high) == (100 * low, 100 * high)
    assert [made == (None,) for made in found.decisions] == [not there for there in answered]
    assert change_from_evaluations(found, found).flipped == 0

    shown = run(bundle, "--data", data).stdout
    of_part = f"{answerable} for exact match if answerable, {answerable} for F1 if answerable"
    assert f"records: {of_part}, {len(unanswerable)} for exact match if unanswerable" in shown
    plain = run(bundle, "--data", written(data, [record for record in records if record["answers"]["text"]]), "--json")
    assert [metric["name"] for metric in json.loads(plain.stdout)["metrics"]] == ["exact match", "F1"]
