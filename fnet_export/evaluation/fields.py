"""The fields of a labelled row: what a task reads of it by key, each value checked, with errors that name the row and the key."""

from collections.abc import Mapping, Sequence
from typing import Any

from fnet_export.base.errors import EvaluationError
from fnet_export.evaluation.rows import Row, short, value_from_cell

AS_STATED: Mapping[str, str] = {}
"""Columns that are called as the keys are."""
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {"tags": ("ner_tags",)}
"""Columns that serve as a key if there is no column of its name, as data of `datasets` call them."""
LISTS_OF_CSV = '. CSV holds a list as JSON only, such as "[0, 1]"; write JSON Lines or Parquet (to_json, to_parquet)'


class Fields:
    """The keys of one row, each checked as it is read; errors name the row and the key. Columns that nobody reads are ignored.

    `read` has the keys that were asked for.
    """

    def __init__(self, row: Row, labels: Sequence[str], columns: Mapping[str, str] = AS_STATED) -> None:
        """Take a row, the model's labels, and the columns that hold keys of another name."""
        self._row, self.labels, self._columns = row, tuple(labels), columns
        self.read: list[str] = []

    def has(self, key: str) -> bool:
        """Return whether a key is there and not null."""
        return self._value(key) is not None

    def there(self, key: str) -> bool:
        """Return whether a key is there, if only as null."""
        self._value(key)
        return self._column(key) in self._row.values

    def names(self, key: str) -> tuple[str, ...]:
        """Return the names that the file states of a key's numbers; none if it states no names."""
        return self._row.names.get(self._column(key), ())

    def refused(self, key: str, expected: str) -> EvaluationError:
        """Make the error of a key that is not what was expected."""
        value, there = self._value(key), ", ".join(self._row.values) or "none"
        if value is not None or self._column(key) in self._row.values:
            hint = LISTS_OF_CSV if self._row.cells and str(value).startswith(("[", "{")) else ""
            return EvaluationError(f"{self._row.where}: {key}: expected {expected}; found {short(value)}{hint}")
        return EvaluationError(
            f"{self._row.where}: {key}: expected {expected}; found the keys {there}. If another column holds it, add "
            f"--column {key}=NAME"
        )

    def get(self, key: str, kind: type | tuple[type, ...], expected: str) -> Any:
        """Return a value of a type, a bool being no number. Raises EvaluationError."""
        value, kinds = self._value(key), kind if isinstance(kind, tuple) else (kind,)
        if self._row.cells and isinstance(value, str) and str not in kinds:
            value = value_from_cell(value)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.refused(key, expected)
        return value

    def text(self, key: str) -> str:
        """Return a text. Raises EvaluationError."""
        return str(self.get(key, str, "a text"))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of one or more texts. Raises EvaluationError."""
        expected = "a list of 1 or more texts"
        values = self.get(key, list, expected)
        if not values or not all(isinstance(value, str) for value in values):
            raise self.refused(key, expected)
        return tuple(values)

    def label(self, key: str) -> str:
        """Return a label, given by its name or number. Raises EvaluationError."""
        value = self.get(key, (str, int), self._expected())
        number = value_from_cell(value) if self._row.cells and isinstance(value, str) else None
        return self._label_of_cell(key, value, number) if type(number) is int else self._label(key, value)

    def label_list(self, key: str) -> tuple[str, ...]:
        """Return labels, each given by its name or number. Raises EvaluationError."""
        return tuple(self._label(key, value) for value in self.get(key, list, f"a list of labels, each {self._expected()}"))

    def label_set(self, key: str) -> frozenset[str]:
        """Return labels as `label_list` reads them, or given by a truth value, or 1.0 or 0.0, for every label of the model.

        Whole numbers are numbers of labels. Raises EvaluationError, for a label twice as well.
        """
        values = self.get(key, list, f"a list of labels, each {self._expected()}")
        if len(values) == len(self.labels) and all(type(value) in (bool, float) and value in (0, 1) for value in values):
            return frozenset(label for label, has in zip(self.labels, values, strict=True) if has)
        labels = self.label_list(key)
        if len(set(labels)) < len(labels):
            raise self.refused(key, "the labels that the text has, each once, or true or false (1.0 or 0.0) for every label")
        return frozenset(labels)

    def _label(self, key: str, value: Any) -> str:
        if not isinstance(value, str):
            return self._numbered(key, value)
        if value not in self.labels:
            raise EvaluationError(f"{self._row.where}: {key}: {short(value)} {self._unknown()}")
        return value

    def _label_of_cell(self, key: str, cell: str, number: int) -> str:
        """Return the label of a number in a cell of CSV, where a name and a number look alike."""
        if cell not in self.labels:
            return self._numbered(key, number)
        if 0 <= number < len(self.labels) and self.labels[number] != cell:
            raise EvaluationError(
                f"{self._row.where}: {key}: {cell} is the name of a label and the number of {self.labels[number]!r}; CSV does "
                'not distinguish them. Expected JSON Lines, where a name is a text ("1") and a number is not (1)'
            )
        return cell

    def _numbered(self, key: str, number: Any) -> str:
        """Return the label of a number: by its name if the file states names, unless the model has no names of its own."""
        stated = self.names(key)
        unnamed = self.labels == tuple(f"LABEL_{i}" for i in range(len(self.labels)))
        names = self.labels if unnamed or not stated else stated
        if type(number) is not int or not 0 <= number < len(names):
            none = "; datasets write -1 where there is no label" if number == -1 else ""
            raise EvaluationError(f"{self._row.where}: {key}: expected {self._expected()}; found {short(number)}{none}")
        name = names[number]
        alike = [label for label in self.labels if label.casefold() == name.casefold()]
        if name not in self.labels and len(alike) != 1:
            raise EvaluationError(
                f"{self._row.where}: {key}: {number} is {short(name)} in this file, and that {self._unknown()}. If the numbers are "
                "the model's all the same, write JSON Lines (to_json), which has no names"
            )
        return name if name in self.labels else alike[0]

    def _unknown(self) -> str:
        return f"is not a label of the model; expected one of {', '.join(self.labels)}"

    def _expected(self) -> str:
        return f"a label's name or its number, 0 to {len(self.labels) - 1}"

    def _column(self, key: str) -> str:
        """Return the column of a key: the one that --column names, or that of its name, or of another name that serves."""
        if key in self._columns or key in self._row.values:
            return self._columns.get(key, key)
        return next((name for name in OTHER_NAMES.get(key, ()) if name in self._row.values), key)

    def _value(self, key: str) -> Any:
        if key not in self.read:
            self.read.append(key)
        column = self._column(key)
        if key in self._columns and column not in self._row.values:
            there = ", ".join(self._row.values) or "none"
            raise EvaluationError(f"{self._row.where}: --column {key}={column}: there is no such column; found {there}")
        return self._row.values.get(column)
