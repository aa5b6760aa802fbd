"""Makes datasets/, labelled data as the library `datasets` writes it; `make golden` runs it in an environment of its own.

python tests/golden/labelled_data.py
"""

from pathlib import Path

from datasets import ClassLabel, Dataset, Features, List, Value

FOLDER = Path(__file__).parent / "datasets"
TEXT, TEXTS = Value("string"), List(Value("string"))
DATA = {
    "glue": (
        {"sentence1": ["a", 'b, "c"\n d'], "sentence2": ["e", "f"], "label": [0, 1], "idx": [0, 1]},
        {"sentence1": TEXT, "sentence2": TEXT, "label": ClassLabel(names=["B", "A"]), "idx": Value("int32")},
    ),
    "similar": ({"text": ["a", "b"], "label": [3.8, 0.0]}, {"text": TEXT, "label": Value("float32")}),
    "ner": (
        {"tokens": [["the", "fox"], ["x"]], "ner_tags": [[0, 1], [2]]},
        {"tokens": TEXTS, "ner_tags": List(ClassLabel(names=["O", "B-A", "I-A"]))},
    ),
    "squad": (
        {
            "id": ["1", "2"],
            "question": ["a", "b"],
            "context": ["c d", "e"],
            "answers": [{"text": ["c", "c d"], "answer_start": [0, 0]}, {"text": [], "answer_start": []}],
        },
        {"id": TEXT, "question": TEXT, "context": TEXT, "answers": {"text": TEXTS, "answer_start": List(Value("int32"))}},
    ),
    "swag": (
        {"sent1": ["a"], "sent2": ["b"], "ending0": ["c"], "ending1": ["d"], "label": [1]},
        {"sent1": TEXT, "sent2": TEXT, "ending0": TEXT, "ending1": TEXT, "label": ClassLabel(names=["0", "1"])},
    ),
    "multi": (
        {"text": ["a", "b"], "labels": [[0, 1], []]},
        {"text": TEXT, "labels": List(ClassLabel(names=["B", "A"]))},
    ),
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, (columns, features) in DATA.items():
        data = Dataset.from_dict(columns, features=Features(features))
        data.to_json(FOLDER / f"{name}.jsonl")
        data.to_csv(FOLDER / f"{name}.csv")
        data.to_parquet(FOLDER / f"{name}.parquet")


if __name__ == "__main__":
    main()
