"""Answers as columns of an Arrow table, with the same types in every block, so that all files of a dataset have one schema."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from fnet_runtime.bundle.strict_json import json_from_values
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.answers import AnyAnswer, Classification, Embedding
from fnet_runtime.ray.cluster import library

ERROR = "error"
"""The column of the reason why a row has no answer; null for a row with an answer."""
JSON = "answer"
"""The column of the line that `fnet-run --json` prints for an answer."""


@dataclass(frozen=True)
class Column:
    """A column of answers: its name, the name of its Arrow type, and its value for an answer."""

    name: str
    kind: str
    value: Callable[[AnyAnswer], object]


_LINE = Column(JSON, "string", json_from_values)
_COLUMNS = {
    "sequence-classification": (
        Column("label", "string", lambda answer: cast(Classification, answer).label),
        Column("score", "float64", lambda answer: cast(Classification, answer).score),
        _LINE,
    ),
    "feature-extraction": (Column("pooled", "float32s", lambda answer: cast(Embedding, answer).pooled.tolist()),),
}
"""Feature-extraction has no JSON, because the vectors of all tokens are larger than the model."""


def columns_of_task(task: str) -> tuple[Column, ...]:
    """Return the columns of the answers of a task, without the column of errors."""
    return _COLUMNS.get(task, (_LINE,))


def with_answers(table: Any, task: str, answers: Sequence[AnyAnswer | InputError]) -> Any:
    """Return an Arrow table with the columns of its answers. An error leaves its row's other columns null."""
    arrow = library("pyarrow")
    kinds = {"string": arrow.string(), "float64": arrow.float64(), "float32s": arrow.list_(arrow.float32())}
    for column in columns_of_task(task):
        values = [None if isinstance(answer, InputError) else column.value(answer) for answer in answers]
        table = table.append_column(column.name, arrow.array(values, kinds[column.kind]))
    errors = [str(answer) if isinstance(answer, InputError) else None for answer in answers]
    return table.append_column(ERROR, arrow.array(errors, arrow.string()))
