"""Labelled data: JSON Lines in, checked records out. One reader per kind of task says which keys a record has."""

import codecs
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fnet_export.base.errors import EvaluationError

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


class Fields:
    """The keys of one line, each checked as it is read; errors name the line and the key. Keys that nobody reads are ignored."""

    def __init__(self, values: Mapping[str, Any], where: str, labels: Sequence[str]) -> None:
        """Take the values of a line, what errors call it, and the model's labels."""
        self._values, self._where, self.labels = values, where, tuple(labels)

    def has(self, key: str) -> bool:
        """Return whether a key is there and not null."""
        return self._values.get(key) is not None

    def refused(self, key: str, expected: str) -> EvaluationError:
        """Make the error of a key that is not what was expected."""
        problem = (
            f"found {_short(self._values[key])}" if key in self._values else f"found the keys {', '.join(self._values) or 'none'}"
        )
        return EvaluationError(f"{self._where}: {key}: expected {expected}; {problem}")

    def get(self, key: str, kind: type | tuple[type, ...], expected: str) -> Any:
        """Return a value of a type, a bool being no number. Raises EvaluationError."""
        value = self._values.get(key)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.refused(key, expected)
        return value

    def text(self, key: str) -> str:
        """Return a text. Raises EvaluationError."""
        return str(self.get(key, str, "a text"))

    def texts(self, key: str, *, least: int = 1) -> tuple[str, ...]:
        """Return a list of at least so many texts. Raises EvaluationError."""
        expected = f"a list of {least} or more texts" if least else "a list of texts"
        values = self.get(key, list, expected)
        if len(values) < least or not all(isinstance(value, str) for value in values):
            raise self.refused(key, expected)
        return tuple(values)

    def known(self, key: str, names: Sequence[str]) -> Sequence[str]:
        """Return labels. Raises EvaluationError for one that the model does not have."""
        for name in names:
            if name not in self.labels:
                raise EvaluationError(
                    f"{self._where}: {key}: {name!r} is not a label of the model; expected one of {', '.join(self.labels)}"
                )
        return names


Parts = tuple[str, Second, Any]
"""Text, second text, truth."""


def classification(fields: Fields) -> Parts:
    """Read text, text_pair (or none), label."""
    return (*_text_or_pair(fields), fields.known("label", [fields.text("label")])[0])


def binary(fields: Fields) -> Parts:
    """Read text, text_pair (or none), label: whether the text has the model's one label."""
    expected = f"true or 1 (the text is {fields.labels[0]}), or false or 0"
    label = fields.get("label", (bool, int), expected)
    if label not in (0, 1):
        raise fields.refused("label", expected)
    return (*_text_or_pair(fields), bool(label))


def multi_label(fields: Fields) -> Parts:
    """Read text, text_pair (or none), labels."""
    return (*_text_or_pair(fields), frozenset(fields.known("labels", fields.texts("labels", least=0))))


def regression(fields: Fields) -> Parts:
    """Read text, text_pair (or none), label: a number, or a list of them for a model with several outputs."""
    count = len(fields.labels)
    expected = "a number" if count == 1 else f"a list of {count} numbers"
    value = fields.get("label", (int, float) if count == 1 else list, expected)
    values = [value] if count == 1 else value
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    if len(numbers) != count or len(values) != count:
        raise fields.refused("label", expected)
    return (*_text_or_pair(fields), tuple(numbers))


def question(fields: Fields) -> Parts:
    """Read question, context, answers."""
    return fields.text("question"), fields.text("context"), fields.texts("answers")


def tagged(fields: Fields) -> Parts:
    """Read tokens and as many tags. The truth is the tags and, per word, its characters [start, end) of the text."""
    words, tags = fields.texts("tokens"), fields.known("tags", fields.texts("tags"))
    if not all(words) or any(c.isspace() for word in words for c in word):
        raise fields.refused("tokens", "words, none empty or with white space")
    if len(tags) != len(words):
        raise fields.refused("tags", f"as many tags as tokens ({len(words)})")
    spans, start = [], 0
    for word in words:
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return " ".join(words), None, (tuple(tags), tuple(spans))


def plain(fields: Fields) -> Parts:
    """Read text; the text itself is the truth."""
    return fields.text("text"), None, None


def next_sentence(fields: Fields) -> Parts:
    """Read text, text_pair, label: whether the second follows the first."""
    label = fields.get("label", bool, "true (text_pair follows text) or false")
    return fields.text("text"), fields.text("text_pair"), label


def choice(fields: Fields) -> Parts:
    """Read text, choices, label: the index of the right choice, from 0."""
    choices = fields.texts("choices")
    expected = f"the index of a choice, 0 to {len(choices) - 1}"
    label = fields.get("label", int, expected)
    if not 0 <= label < len(choices):
        raise fields.refused("label", expected)
    return fields.text("text"), choices, label


def records_from_file(
    path: Path, read: Callable[[Fields], Parts], labels: Sequence[str], *, limit: int | None = None
) -> tuple[Record, ...]:
    """Read one record a line, blank lines left out, `limit` at most.

    Raises EvaluationError, with the number of the line, for a line that is not a record of the task, and for a file without
    records.
    """
    records: list[Record] = []
    for number, line in _lines(path):
        if limit is not None and len(records) == limit:
            break
        where = f"{path}, line {number}"
        text, second, truth = read(Fields(_object(line, where), where, labels))
        records.append(Record(where=where, line=number, text=text, second=second, truth=truth))
    if not records:
        raise EvaluationError(f"{path}: holds no records; expected one JSON object a line (docs/evaluate.md)")
    return tuple(records)


def _text_or_pair(fields: Fields) -> tuple[str, Second]:
    return fields.text("text"), fields.text("text_pair") if fields.has("text_pair") else None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:  # bytes end at line feeds alone; U+2028 may stand in a text
            lines = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line for number, line in enumerate(file, start=1))
            yield from ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    except OSError as error:
        raise EvaluationError(
            f"{path}: cannot be read ({error.strerror}); expected labelled data in JSON Lines. Check the path"
        ) from error


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{where}: not JSON in UTF-8 ({error})") from error
    if not isinstance(value, dict):
        raise EvaluationError(f"{where}: expected a JSON object, found {_short(value)}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
