"""Files of labelled data: CSV and Parquet, what the library `datasets` writes, and columns of other names."""

import json
import sys
import tomllib

import pyarrow
import pytest
from pyarrow import parquet
from support.paths import ROOT

from fnet_export.base.errors import EvaluationError, OptionError
from fnet_export.evaluation.labelled import columns_from_options, records_from_file
from fnet_export.evaluation.rows import INSTALL_PYARROW
from fnet_export.evaluation.scoring import SCORINGS

DATASETS = ROOT / "tests" / "golden" / "datasets"
PAIRS = {"text": "sentence1", "text_pair": "sentence2"}


def read(path, data, *, kind="sequence-classification", labels=("A", "B", "O", "B-A"), name="data.csv", **options):
    path = path / name
    path.write_bytes(data if isinstance(data, bytes) else "".join(f"{json.dumps(record)}\n" for record in data).encode())
    return records_from_file(path, SCORINGS[kind].read, labels, **options)


@pytest.mark.parametrize("end", ["jsonl", "csv", "parquet"])
def test_pairs_of_glue(end):
    """Parquet has the names of the numbers, which the model has in another order. The others have the model's numbers."""
    found = records_from_file(DATASETS / f"glue.{end}", SCORINGS["sequence-classification"].read, ("A", "B"), columns=PAIRS)
    assert [(r.text, r.second) for r in found] == [("a", "e"), ('b, "c"\n d', "f")]
    assert [r.truth for r in found] == (["B", "A"] if end == "parquet" else ["A", "B"])
    assert [r.line for r in found] == ([2, 3] if end == "csv" else [1, 2])


@pytest.mark.parametrize("end", ["jsonl", "csv", "parquet"])
def test_choices_of_swag(end):
    """The texts are those of transformers' examples for SWAG: sent1, and sent2 with an ending."""
    (found,) = records_from_file(DATASETS / f"swag.{end}", SCORINGS["multiple-choice"].read, ())
    assert (found.text, found.second, found.truth) == ("a", ("b c", "b d"), 1)


@pytest.mark.parametrize("end", ["jsonl", "csv", "parquet"])
def test_numbers_of_datasets(end):
    found = records_from_file(DATASETS / f"similar.{end}", SCORINGS["regression"].read, ("x",))
    assert [r.truth[0] for r in found] == pytest.approx([3.8, 0])


@pytest.mark.parametrize("end", ["jsonl", "parquet"])
def test_lists_and_objects_of_datasets(end):
    def truths(name, kind, labels):
        return [record.truth for record in records_from_file(DATASETS / f"{name}.{end}", SCORINGS[kind].read, labels)]

    assert truths("squad", "question-answering", ()) == [("c", "c d"), ()]
    assert [tags for tags, _ in truths("ner", "token-classification", ("O", "B-A", "I-A"))] == [("O", "B-A"), ("I-A",)]
    swapped = [tags for tags, _ in truths("ner", "token-classification", ("O", "I-A", "B-A"))]
    assert swapped == ([("O", "B-A"), ("I-A",)] if end == "parquet" else [("O", "I-A"), ("B-A",)])
    assert truths("multi", "multi_label_classification", ("A", "B")) == [{"A", "B"}, set()]


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("ner", "token-classification", "tokens: expected a list of 1 or more texts; found \"['the' 'fox']\". CSV holds a list as"),
        (
            "squad",
            "question-answering",
            "answers: expected a list of texts, empty for a question without an answer, or an object wi",
        ),
        ("multi", "multi_label_classification", "labels: expected a list of labels, each a label's name or its number, 0 to 1"),
    ],
)
def test_lists_in_csv_are_refused(name, kind, text):
    with pytest.raises(EvaluationError) as caught:
        records_from_file(DATASETS / f"{name}.csv", SCORINGS[kind].read, ("A", "B"))
    assert f"{name}.csv, line 2: {text}" in str(caught.value)
    assert str(caught.value).endswith("write JSON Lines or Parquet (to_json, to_parquet)")


@pytest.mark.parametrize(
    ("kind", "data", "labels", "truth"),
    [
        ("sequence-classification", "text,label\n1,A", ("A", "B"), "A"),
        ("sequence-classification", "text,text_pair,label\n1,,1", ("A", "B"), "B"),
        ("sequence-classification", "text,label\n1,1", ("0", "1"), "1"),
        ("sequence-classification", "text,label\n1,5", ("1", "2", "5"), "5"),
        ("sequence-classification", "text,label\n1,007", ("007", "A"), "007"),
        ("binary_classification", "text,label\n1,True", ("A",), True),
        ("binary_classification", "text,label\n1,0", ("A",), False),
        ("multi_label_classification", 'text,labels\n1,"[""A"", 1]"', ("A", "B"), {"A", "B"}),
        ("next-sentence-prediction", "text,text_pair,label\n1,2,False", (), False),
        ("multi_label_classification", 'text,labels\n1,"[""0"", 0]"', ("1", "0"), {"1", "0"}),
        ("multi_label_classification", 'text,labels\n1,"[1.0, 0.0]"', ("A", "B"), {"A"}),
        ("multiple-choice", 'text,choices,label\n1,"[""x"", ""y""]",1', (), 1),
        ("multiple-choice", "sent1,sent2,ending0,ending1,label\n1,,x,y,1", (), 1),
    ],
)
def test_cells_of_csv(tmp_path, kind, data, labels, truth):
    (found,) = read(tmp_path, b"\xef\xbb\xbf" + data.encode(), kind=kind, labels=labels, name="data.CSV")
    assert (found.text, found.truth) == ("1", truth)
    assert found.second in (None, "2", ("x", "y"))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "data.csv: holds no records"),
        (b"text,label\n", "data.csv: holds no records"),
        (b"text,text\na,b", "data.csv: expected a name per column; found a name twice in text, text"),
        (b"text,label\n\na,5\na,b,5", "data.csv, line 4: expected 2 cells, as in the first line; found 3"),
        (b"text,label\na,5\nb\xff,5", "data.csv, line 3: not in UTF-8 (invalid start byte)"),
        ("text,label\na,5".encode("utf-16"), "data.csv, line 1: not in UTF-8 (invalid start byte)"),
        (b'text,label\n"a\nb,5', "data.csv, line 2: not CSV with commas (unexpected end of data)"),
        (b"text,label\n,5", "data.csv, line 2: text: expected a text; found None"),
        (b"text;label\na;5", "data.csv, line 2: text: expected a text; found the keys text;label"),
        (b"text,label\na,2", "data.csv, line 2: label: 2 is the name of a label and the number of '5'; CSV does not"),
        (b"text,label\na,3", "data.csv, line 2: label: expected a label's name or its number, 0 to 2; found 3"),
        (
            b"text,label\na,-1",
            "label: expected a label's name or its number, 0 to 2; found -1; datasets write -1 where there is no l",
        ),
        (b"text,label\na,1.0", "data.csv, line 2: label: '1.0' is not a label of the model; expected one of 1, 2, 5"),
        (b"text,label\na,01", "data.csv, line 2: label: '01' is not a label of the model; expected one of 1, 2, 5"),
        (b"text,label\na," + b"9" * 5000, f"data.csv, line 2: label: '{'9' * 56}... is not a label of the model"),
    ],
)
def test_files_that_are_no_csv(tmp_path, data, text):
    with pytest.raises(EvaluationError) as caught:
        read(tmp_path, data, labels=("1", "2", "5"))
    assert text in str(caught.value)


def in_parquet(path, features=None, **columns):
    metadata = None if features is None else {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(metadata), path)
    return path


@pytest.mark.parametrize(
    ("features", "labels", "truth"),
    [
        (None, ("A", "B"), "B"),
        ({"label": {"names": ["b", "a"], "_type": "ClassLabel"}}, ("A", "B"), "A"),
        ({"label": {"names": ["a", "b", "A"], "_type": "ClassLabel"}}, ("b", "B", "A"), "b"),
        ({"label": {"names": ["ham", "spam"], "_type": "ClassLabel"}}, ("LABEL_0", "LABEL_1"), "LABEL_1"),
        ({"label": [{"names": ["B", "A"], "_type": "ClassLabel"}], "text": []}, ("A", "B"), "A"),
    ],
)
def test_names_of_numbers_in_parquet(tmp_path, features, labels, truth):
    path = in_parquet(tmp_path / "data.parquet", features, text=["a"], label=[1])
    assert records_from_file(path, SCORINGS["sequence-classification"].read, labels)[0].truth == truth


def test_names_in_parquet_that_the_model_does_not_have(tmp_path):
    names = {"label": {"names": ["ham", "spam"], "_type": "ClassLabel"}}
    path = in_parquet(tmp_path / "data.parquet", names, text=["a"], label=[1])
    with pytest.raises(EvaluationError) as caught:
        records_from_file(path, SCORINGS["sequence-classification"].read, ("A", "B"))
    assert "row 1: label: 1 is 'spam' in this file, and that is not a label of the model; expected one of A, B. If" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("names", "own", "truth"),
    [
        (["ham", "Spam"], "spam", [False, True]),
        (["spam", "ham"], "spam", [True, False]),
        (["no", "yes"], "spam", [False, True]),
        (["no", "yes"], "LABEL_0", [False, True]),
    ],
)
def test_names_in_parquet_of_a_model_with_one_label(tmp_path, names, own, truth):
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    path = in_parquet(tmp_path / "data.parquet", features, text=["a", "b"], label=[0, 1])
    assert [record.truth for record in records_from_file(path, SCORINGS["binary_classification"].read, (own,))] == truth
    path = in_parquet(tmp_path / "data.parquet", features, text=["a"], label=[-1])
    with pytest.raises(EvaluationError, match="label: expected true or 1 .*; found -1"):
        records_from_file(path, SCORINGS["binary_classification"].read, (own,))


@pytest.mark.parametrize(
    "stated",
    [
        b"[]",
        b"{",
        b"[" * 100_000,
        b'{"info": null}',
        b'{"info": {"features": [1]}}',
        b'{"info": {"features": {"label": {"_type": "ClassLabel"}}}}',
        b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": null}}}}',
    ],
)
def test_what_datasets_does_not_write_states_no_names(tmp_path, stated):
    table = pyarrow.table({"text": ["a"], "label": [1]}).replace_schema_metadata({"huggingface": stated})
    parquet.write_table(table, tmp_path / "data.parquet")
    (record,) = records_from_file(tmp_path / "data.parquet", SCORINGS["sequence-classification"].read, ("A", "B"))
    assert record.truth == "B"


def test_a_name_twice_in_parquet(tmp_path):
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["text", "text"])
    parquet.write_table(table, tmp_path / "data.parquet")
    with pytest.raises(EvaluationError, match=r"data.parquet: expected a name per column; found a name twice in text, text"):
        records_from_file(tmp_path / "data.parquet", SCORINGS["masked-lm"].read, ())


def test_files_that_are_no_parquet(tmp_path):
    with pytest.raises(EvaluationError, match=r"data.parquet: not a Parquet file that pyarrow reads \("):
        read(tmp_path, b"PAR1", name="data.parquet")
    path = in_parquet(tmp_path / "data.parquet", text=["a", "b"], label=["A", None])
    assert len(records_from_file(path, SCORINGS["sequence-classification"].read, ("A",), limit=1)) == 1
    with pytest.raises(
        EvaluationError, match="data.parquet, row 2: label: expected a label's name or its number, 0 to 0; found None"
    ):
        records_from_file(path, SCORINGS["sequence-classification"].read, ("A",))


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    path = in_parquet(tmp_path / "data.parquet", text=["a"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(EvaluationError, match="Parquet is read by pyarrow, which is not installed .*; pip install 'pyarrow>="):
        records_from_file(path, SCORINGS["masked-lm"].read, ())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f"pip install '{extras['parquet'][0]}'" == INSTALL_PYARROW


def test_columns_of_other_names(tmp_path):
    data = [{"sentence": "a", "gold": "A", "label": "B"}]
    columns = {"text": "sentence", "label": "gold"}
    assert read(tmp_path, data, name="data.jsonl", columns=columns)[0].truth == "A"
    for named, error, text in (
        ({"text": "phrase"}, EvaluationError, "line 1: --column text=phrase: there is no such column; found sentence, gold, label"),
        (
            columns | {"text_pair": "other"},
            EvaluationError,
            "line 1: --column text_pair=other: there is no such column; found sent",
        ),
        (columns | {"tags": "gold"}, OptionError, "--column tags=gold: expected a key that the task reads, text, text_pair, label"),
    ):
        with pytest.raises(error) as caught:
            read(tmp_path, data, name="data.jsonl", columns=named)
        assert text in str(caught.value)


def test_columns_of_tags(tmp_path):
    row = {"tokens": ["a"], "tags": ["A"], "ner_tags": ["O"], "pos": ["B"]}
    for columns, tag in (({}, "A"), ({"tags": "ner_tags"}, "O"), ({"tags": "pos"}, "B")):
        (record,) = read(tmp_path, [row], kind="token-classification", name="data.jsonl", columns=columns)
        assert record.truth[0] == (tag,)
    with pytest.raises(OptionError, match="--column ner_tags=pos: expected a key that the task reads, tokens, tags"):
        read(tmp_path, [row], kind="token-classification", name="data.jsonl", columns={"ner_tags": "pos"})


def test_columns_of_the_command_line():
    assert columns_from_options(["text=a=b", "label=c"]) == {"text": "a=b", "label": "c"}
    for wrong in ("text", "=a", "text="):
        with pytest.raises(OptionError, match=f"--column: expected KEY=NAME, such as text=sentence; found '{wrong}'"):
            columns_from_options([wrong])
    with pytest.raises(OptionError, match="--column: expected one column for text; found a and b"):
        columns_from_options(["text=a", "text=b"])
