"""Labelled data: rows in, checked records out. One reader per kind of task says which keys a record has."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.words import text_from_words

from fnet_export.base.errors import EvaluationError, OptionError
from fnet_export.evaluation.fields import AS_STATED, Fields
from fnet_export.evaluation.rows import rows_from_file, value_from_cell

Second = str | tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One labelled request: its file and line as errors call them, the texts as the pipeline takes them, the right answer."""

    where: str
    line: int
    text: str
    second: Second
    truth: Any


@dataclass(frozen=True, kw_only=True)
class LabelledData:
    """A file of labelled data: its name, the hash of its bytes, its records."""

    name: str
    sha256: str
    records: tuple[Record, ...]


Parts = tuple[str, Second, Any]
"""Text, second text, truth."""


def classification(fields: Fields) -> Parts:
    """Read text, text_pair (or none), label."""
    return (*_text_or_pair(fields), fields.label("label"))


def binary(fields: Fields) -> Parts:
    """Read text, text_pair (or none), label: whether the text has the model's one label."""
    expected = f"true or 1 (the text is {fields.labels[0]}), or false or 0"
    label, names = fields.get("label", (bool, int), expected), [name.casefold() for name in fields.names("label")]
    own = fields.labels[0].casefold()
    if own in names and type(label) is int and 0 <= label < len(names):  # such as names "spam" and "ham", where 0 is spam
        return (*_text_or_pair(fields), names[label] == own)
    if label not in (0, 1):
        raise fields.refused("label", expected)
    return (*_text_or_pair(fields), bool(label))


def multi_label(fields: Fields) -> Parts:
    """Read text, text_pair (or none), labels: those that the text has, or for every label whether the text has it."""
    return (*_text_or_pair(fields), fields.label_set("labels"))


def regression(fields: Fields) -> Parts:
    """Read text, text_pair (or none), label: a number, or a list of them for a model with several outputs."""
    count = len(fields.labels)
    expected = "a number" if count == 1 else f"a list of {count} numbers"
    value = fields.get("label", (int, float) if count == 1 else list, expected)
    values = [value] if count == 1 else value
    numbers = [_number(v) for v in values]
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise fields.refused("label", expected)
    return (*_text_or_pair(fields), tuple(numbers))


def question(fields: Fields) -> Parts:
    """Read question, context, answers: a list of texts, or SQuAD's object with such a `text`. A question may have no answer."""
    expected = "a list of texts, empty for a question without an answer, or an object with such a `text`"
    value = fields.get("answers", (list, dict), expected)
    answers = value.get("text") if isinstance(value, dict) else value
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise fields.refused("answers", expected)
    return fields.text("question"), fields.text("context"), tuple(answers)


def tagged(fields: Fields) -> Parts:
    """Read tokens and as many tags. The truth is the tags and, per word, its characters [start, end) of the text."""
    words, tags = fields.texts("tokens"), fields.label_list("tags")
    try:
        text = text_from_words(words)
    except InputError as error:
        raise fields.refused("tokens", "words, none empty or with white space") from error
    if len(tags) != len(words):
        raise fields.refused("tags", f"as many tags as tokens ({len(words)})")
    spans, start = [], 0
    for word in words:
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return text, None, (tags, tuple(spans))


def plain(fields: Fields) -> Parts:
    """Read text; the text itself is the truth."""
    return fields.text("text"), None, None


def next_sentence(fields: Fields) -> Parts:
    """Read text, text_pair, label: whether the second follows the first."""
    label = fields.get("label", bool, "true (text_pair follows text) or false")
    return fields.text("text"), fields.text("text_pair"), label


def choice(fields: Fields) -> Parts:
    """Read text, choices, label: the number of the right choice, from 0. SWAG's columns serve as text and choices."""
    swag = not fields.has("choices") and fields.there("ending0")
    text, choices = _swag(fields) if swag else (fields.text("text"), fields.texts("choices"))
    expected = f"the number of a choice, 0 to {len(choices) - 1}"
    label = fields.get("label", (int, str), expected)
    number = value_from_cell(label) if isinstance(label, str) else label
    if type(number) is not int or not 0 <= number < len(choices):
        raise fields.refused("label", expected)
    return text, choices, number


def _swag(fields: Fields) -> tuple[str, tuple[str, ...]]:
    """Read sent1, sent2 (or none), ending0, ending1 and so on: as transformers trains on them, sent2 begins every choice."""
    start = f"{fields.text('sent2')} " if fields.has("sent2") else ""
    choices: list[str] = []
    while fields.there(f"ending{len(choices)}"):
        choices.append(start + fields.text(f"ending{len(choices)}"))
    return fields.text("sent1"), tuple(choices)


def records_from_file(
    path: Path,
    read: Callable[[Fields], Parts],
    labels: Sequence[str],
    *,
    columns: Mapping[str, str] = AS_STATED,
    limit: int | None = None,
) -> tuple[Record, ...]:
    """Read one record a row, `limit` at most; `columns` name the columns that hold keys of another name.

    Raises EvaluationError, with the number of the row, for a row that is not a record of the task, and for a file without
    records. Raises OptionError for a column of a key that the task does not have.
    """
    records: list[Record] = []
    for row in rows_from_file(path):
        if limit is not None and len(records) == limit:
            break
        fields = Fields(row, labels, columns)
        text, second, truth = read(fields)
        for key in columns:
            if key not in fields.read:
                raise OptionError(f"--column {key}={columns[key]}: expected a key that the task reads, {', '.join(fields.read)}")
        records.append(Record(where=row.where, line=row.number, text=text, second=second, truth=truth))
    if not records:
        raise EvaluationError(f"{path}: holds no records; expected one record a line (docs/evaluate.md)")
    return tuple(records)


def columns_from_options(options: Sequence[str]) -> dict[str, str]:
    """Read columns as --column takes them, KEY=NAME each. Raises OptionError."""
    columns: dict[str, str] = {}
    for option in options:
        key, equals, name = option.partition("=")
        if not (key and equals and name):
            raise OptionError(f"--column: expected KEY=NAME, such as text=sentence; found {option!r}")
        if key in columns:
            raise OptionError(f"--column: expected one column for {key}; found {columns[key]} and {name}")
        columns[key] = name
    return columns


def _text_or_pair(fields: Fields) -> tuple[str, Second]:
    return fields.text("text"), fields.text("text_pair") if fields.has("text_pair") else None


def _number(value: Any) -> float:
    """Return a number as a float, and NaN for anything else."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.inf
