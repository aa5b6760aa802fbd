"""Labelled data: what is read, and how each kind of bad line is refused."""

import json
import math

import pytest

from fnet_export.base.errors import EvaluationError
from fnet_export.evaluation.labelled import records_from_file
from fnet_export.evaluation.scoring import SCORINGS

PAIR = {"text": "a", "text_pair": "b"}
CHOICES = {"text": "a", "choices": ["b", "c"]}
SWAG = {"sent1": "a", "sent2": "b", "ending0": "c", "ending1": "d", "ending2": "e", "ending4": "f"}
HAS_OR_HAS_NOT = "expected true or 1 (the text is A), or false or 0"
NUMBER = "expected a label's name or its number, 0 to 3"
ANSWERS = "answers: expected a list of texts, empty for a question without an answer, or an object with such a `text`"
NO_LABEL = "is not a label of the model; expected one of A, B, O, B-A"


def read(path, data, *, kind="sequence-classification", labels=("A", "B", "O", "B-A"), name="data.jsonl", **options):
    path = path / name
    path.write_bytes(data if isinstance(data, bytes) else "".join(f"{json.dumps(record)}\n" for record in data).encode())
    return records_from_file(path, SCORINGS[kind].read, labels, **options)


@pytest.mark.parametrize(
    ("kind", "record", "second", "truth"),
    [
        ("sequence-classification", {"text": "a", "label": "A", "text_pair": None, "id": 3}, None, "A"),
        ("sequence-classification", PAIR | {"label": "B"}, "b", "B"),
        ("sequence-classification", {"text": "a", "label": 1}, None, "B"),
        ("multi_label_classification", {"text": "a", "labels": [0, "B"]}, None, {"A", "B"}),
        ("multi_label_classification", {"text": "a", "labels": []}, None, frozenset()),
        ("multi_label_classification", {"text": "a", "labels": [0.0, 1.0, 0.0, 1.0]}, None, {"B", "B-A"}),
        ("multi_label_classification", {"text": "a", "labels": [True, False, False, False]}, None, {"A"}),
        ("multi_label_classification", {"text": "a", "labels": ["A", "B"]}, None, {"A", "B"}),
        ("masked-lm", {"text": "a"}, None, None),
        ("next-sentence-prediction", PAIR | {"label": False}, "b", False),
        ("pretraining", PAIR | {"label": True}, "b", True),
        ("multiple-choice", CHOICES | {"label": 1}, ("b", "c"), 1),
        ("multiple-choice", CHOICES | {"label": "1"}, ("b", "c"), 1),
        ("multiple-choice", SWAG | {"label": 2}, ("b c", "b d", "b e"), 2),
        ("multiple-choice", SWAG | {"label": 0, "sent2": None}, ("c", "d", "e"), 0),
        ("multiple-choice", SWAG | CHOICES | {"label": 0}, ("b", "c"), 0),
        ("token-classification", {"tokens": ["a"], "tags": ["B-A"]}, None, (("B-A",), ((0, 1),))),
        ("token-classification", {"tokens": ["a"], "ner_tags": [3]}, None, (("B-A",), ((0, 1),))),
        ("token-classification", {"tokens": ["a"], "ner_tags": [3], "tags": ["O"]}, None, (("O",), ((0, 1),))),
        ("question-answering", {"question": "a", "context": "b", "answers": ["c", "d"]}, "b", ("c", "d")),
        (
            "question-answering",
            {"question": "a", "context": "b", "answers": {"text": ["c", "d"], "answer_start": [0, 2]}},
            "b",
            ("c", "d"),
        ),
        ("question-answering", {"question": "a", "context": "b", "answers": {"text": [], "answer_start": []}}, "b", ()),
        ("question-answering", {"question": "a", "context": "b", "answers": []}, "b", ()),
    ],
)
def test_records(tmp_path, kind, record, second, truth):
    (found,) = read(tmp_path, [record], kind=kind)
    assert (found.line, found.text, found.second, found.truth) == (1, "a", second, truth)


def test_words_have_their_characters(tmp_path):
    (found,) = read(tmp_path, [{"tokens": ["the", "fox", "!"], "tags": ["O", "A", "O"]}], kind="token-classification")
    assert [found.text[start:end] for start, end in found.truth[1]] == ["the", "fox", "!"]


@pytest.mark.parametrize(
    ("kind", "record", "text"),
    [
        ("sequence-classification", {"text": "a", "label": "D"}, f"label: 'D' {NO_LABEL}"),
        ("sequence-classification", {"text": "a", "label": 4}, f"label: {NUMBER}; found 4"),
        ("sequence-classification", {"text": "a", "label": True}, f"label: {NUMBER}; found True"),
        ("sequence-classification", {"text": "a", "label": -1}, f"label: {NUMBER}; found -1; datasets write -1 where there is no"),
        (
            "sequence-classification",
            {"label": "A", "id": 3},
            "text: expected a text; found the keys label, id. If another column holds it, add --column text=NAME",
        ),
        ("sequence-classification", {}, "text: expected a text; found the keys none"),
        ("sequence-classification", PAIR | {"text_pair": 3, "label": "A"}, "text_pair: expected a text; found 3"),
        ("multi_label_classification", {"text": "a", "labels": ["A", "D"]}, f"labels: 'D' {NO_LABEL}"),
        ("multi_label_classification", {"text": "a", "labels": "A"}, "labels: expected a list of labels, each a label's name"),
        ("multi_label_classification", {"text": "a", "labels": [1.0]}, f"labels: {NUMBER}; found 1.0"),
        ("multi_label_classification", {"text": "a", "labels": [0.0, 2.0, 0.0, 0.0]}, f"labels: {NUMBER}; found 0.0"),
        (
            "multi_label_classification",
            {"text": "a", "labels": [0, 1, 0, 0]},
            "labels: expected the labels that the text has, each once, or true or false (1.0 or 0.0) for every label; found [0, 1",
        ),
        ("question-answering", {"question": "a", "context": "b", "answers": {}}, f"{ANSWERS}; found {{}}"),
        ("question-answering", {"question": "a", "context": "b", "answers": None}, f"{ANSWERS}; found None"),
        ("question-answering", {"question": "a", "context": "b", "answers": {"text": "c"}}, f"{ANSWERS}; found {{'text': 'c'}}"),
        ("question-answering", {"question": "a", "context": "b", "answers": [None]}, f"{ANSWERS}; found [None]"),
        ("question-answering", {"question": "a", "context": "b"}, f"{ANSWERS}; found the keys question, context"),
        (
            "token-classification",
            {"tokens": ["a"], "tags": ["O", "O"]},
            "tags: expected as many tags as tokens (1); found ['O', 'O']",
        ),
        ("token-classification", {"tokens": ["a b"], "tags": ["O"]}, "tokens: expected words, none empty or with white space"),
        ("token-classification", {"tokens": [""], "tags": ["O"]}, "tokens: expected words, none empty or with white space"),
        ("token-classification", {"tokens": ["a"], "tags": ["B-C"]}, f"tags: 'B-C' {NO_LABEL}"),
        ("binary_classification", {"text": "a", "label": 2}, f"label: {HAS_OR_HAS_NOT}; found 2"),
        ("binary_classification", {"text": "a", "label": "A"}, f"label: {HAS_OR_HAS_NOT}; found 'A'"),
        ("next-sentence-prediction", PAIR | {"label": 0}, "label: expected true (text_pair follows text) or false; found 0"),
        ("multiple-choice", CHOICES | {"label": 2}, "label: expected the number of a choice, 0 to 1; found 2"),
        ("multiple-choice", CHOICES | {"label": True}, "label: expected the number of a choice, 0 to 1; found True"),
        ("multiple-choice", CHOICES | {"label": "B"}, "label: expected the number of a choice, 0 to 1; found 'B'"),
        ("multiple-choice", CHOICES | {"label": ""}, "label: expected the number of a choice, 0 to 1; found ''"),
        ("multiple-choice", SWAG | {"label": 3}, "label: expected the number of a choice, 0 to 2; found 3"),
        ("multiple-choice", SWAG | {"label": 0, "ending1": None}, "ending1: expected a text; found None"),
        (
            "multiple-choice",
            {"text": "a", "ending0": "c", "label": 0},
            "sent1: expected a text; found the keys text, ending0, label",
        ),
        (
            "multiple-choice",
            {"text": "a", "label": 0},
            "choices: expected a list of 1 or more texts; found the keys text, label. If",
        ),
        (
            "token-classification",
            {"tokens": {"text": ["a"]}, "tags": ["O"]},
            "tokens: expected a list of 1 or more texts; found {'t",
        ),
        (
            "token-classification",
            {"tokens": ["a"], "ner_tags": ["A", "B"]},
            "tags: expected as many tags as tokens (1); found ['A'",
        ),
        ("multiple-choice", {"text": "a", "choices": "b"}, "choices: expected a list of 1 or more texts; found 'b'"),
        ("multiple-choice", CHOICES | {"choices": ["b", 3]}, "choices: expected a list of 1 or more texts; found ['b', 3]"),
        (
            "masked-lm",
            {"text": ["long"] * 99},
            "text: expected a text; found ['long', 'long', 'long', 'long', 'long', 'long', 'long', ...",
        ),
    ],
)
def test_lines_that_are_no_records(tmp_path, kind, record, text):
    good = {"text": "a", "label": "A"}
    assert len(read(tmp_path, [good, record], limit=1)) == 1
    with pytest.raises(EvaluationError) as caught:
        read(tmp_path, b"\n" + json.dumps(record).encode(), kind=kind)
    assert str(caught.value).startswith(f"{tmp_path / 'data.jsonl'}, line 2: {text}")


@pytest.mark.parametrize(
    ("labels", "label", "text"),
    [
        (("x",), True, "label: expected a number; found True"),
        (("x",), math.nan, "label: expected a number; found nan"),
        (("x",), 10**400, f"label: expected a number; found 1{'0' * 56}..."),
        (("x", "y"), "high", "label: expected a list of 2 numbers; found 'high'"),
        (("x", "y"), [1, math.inf], "label: expected a list of 2 numbers; found [1, inf]"),
        (("x", "y"), [1], "label: expected a list of 2 numbers; found [1]"),
        (("x", "y"), [1, 2, "3"], "label: expected a list of 2 numbers; found [1, 2, '3']"),
    ],
)
def test_numbers(tmp_path, labels, label, text):
    with pytest.raises(EvaluationError) as caught:
        read(tmp_path, [{"text": "a", "label": label}], kind="regression", labels=labels)
    assert str(caught.value).endswith(f"line 1: {text}")
    values = [0.5, 2][: len(labels)]
    good = {"text": "a", "label": values if len(values) > 1 else values[0]}
    assert read(tmp_path, [good], kind="regression", labels=labels)[0].truth == tuple(values)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "data.jsonl: holds no records; expected one record a line"),
        (b"\n  \n", "data.jsonl: holds no records"),
        (b'\n{"text": "a", "label": "A"}\n{"text"\n', "data.jsonl, line 3: not JSON in UTF-8 ("),
        (b'{"text": "\xff"}', "data.jsonl, line 1: not JSON in UTF-8 ("),
        (b"[" * 100_000, "data.jsonl, line 1: not JSON in UTF-8 ("),
        (b"a\tb", "Only files whose names end in .csv or .parquet are read as CSV or Parquet"),
        (b"[1, 2]", "data.jsonl, line 1: expected a JSON object, found [1, 2]"),
    ],
)
def test_files_that_are_no_data(tmp_path, data, text):
    with pytest.raises(EvaluationError) as caught:
        read(tmp_path, data)
    assert text in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(EvaluationError, match="none: cannot be read \\(No such file or directory\\)"):
        records_from_file(tmp_path / "none", SCORINGS["masked-lm"].read, ())


def test_line_separators_of_unicode_stand_in_a_text(tmp_path):
    (found,) = read(tmp_path, '{"text": "a\u2028b\u0085c", "label": "A"}\r\n'.encode())
    assert found.text == "a\u2028b\u0085c"
