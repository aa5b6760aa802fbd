"""The columns that fnet_runtime.ray adds, for every task, with both paddings."""

import json

import pytest
from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.open import load
from fnet_runtime.pipeline.tasks import TASKS
from fnet_runtime.ray.batches import answers_of_rows
from support.services import ran

TEXTS = ["the quick [MASK] fox", "a lazy [MASK] dog " * 4, "[MASK]", None]
SECONDS = {"multiple-choice": ["a first choice", "a second choice"]}
WRONG = [5, 1.5, True, None, "", {}, {"a": "b"}, [], [5], [None], [["a"]], ["a", None]]
"""What a sender may put in the place of a text or of a second text."""
PAIRED = {"multiple-choice", "next-sentence-prediction", "pretraining", "question-answering"}
SCRIPT = """
import json, sys
import pyarrow as pa
from fnet_runtime.ray import Answerer, BatchOptions
for bundle, paired, texts, second in json.load(sys.stdin):
    columns = {"text": pa.array(texts, pa.string())} | ({"second": [second] * len(texts)} if paired else {})
    answerer = Answerer(bundle, BatchOptions(pair="second" if paired else None), threads=1)
    table = answerer(pa.table(columns))
    empty = answerer(pa.table(columns).slice(0, 0))
    assert empty.schema == table.schema, (empty.schema, table.schema)
    print(json.dumps({name: table.column(name).to_pylist() for name in table.column_names}))
"""


@pytest.fixture(scope="module")
def cases(bundles):
    for_tasks = [(task, bundles(task)) for task in TASKS]
    return [*for_tasks, ("sequence-classification", bundles("sequence-classification", padding="none"))]


def test_columns(cases):
    seconds = [SECONDS.get(task, "the second text") for task, _ in cases]
    requests = [[str(folder), task in PAIRED, TEXTS, second] for (task, folder), second in zip(cases, seconds, strict=True)]
    lines = ran("-c", SCRIPT, input=json.dumps(requests)).splitlines()
    for (task, folder), second, line in zip(cases, seconds, lines, strict=True):
        table, pipeline = json.loads(line), load(folder, threads=1)
        assert table["error"] == [None, None, None, "the text is null"], task
        answers = [pipeline(text, second if task in PAIRED else None) for text in TEXTS[:3]]
        if task == "feature-extraction":
            assert table["pooled"] == [*(answer.pooled.tolist() for answer in answers), None]
        else:
            assert table["answer"] == [*map(json_from_values, answers), None], task
        if task == "sequence-classification":
            assert table["label"] == [*(answer.label for answer in answers), None]
            assert table["score"] == [*(answer.score for answer in answers), None]


def test_a_task_that_needs_a_second_text_says_so(cases):
    folder = dict(cases)["question-answering"]
    script = f"from fnet_runtime.ray import Answerer; Answerer({str(folder)!r})"
    assert "expected a context, found none; pass it as pair" in ran("-c", script, expected=1)


def test_hostile_values_cost_only_their_own_rows(cases):
    for task, folder in cases:
        second = SECONDS.get(task, "the second text") if task in PAIRED else None
        good = ("the quick [MASK] fox", second)
        with load(folder, threads=1) as pipeline:
            expected = pipeline(*good)
            texts, seconds = zip(good, *((wrong, second) for wrong in WRONG), *((good[0], wrong) for wrong in WRONG), strict=True)
            answers = answers_of_rows(pipeline, texts, seconds)
        assert len(answers) == 1 + 2 * len(WRONG)
        assert json_from_values(answers[0]) == json_from_values(expected), task
        assert sum(isinstance(answer, InputError) for answer in answers) >= len(WRONG), task
