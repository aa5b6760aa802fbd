"""Rows of a file of data: CSV or Parquet by the end of its name, else JSON Lines."""

import codecs
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fnet_export.base.errors import EvaluationError

INSTALL_PYARROW = "pip install 'pyarrow>=18'"
"""As the extra `parquet` of pyproject.toml."""
OTHER_FORMATS = "Only files whose names end in .csv or .parquet are read as CSV or Parquet"
CELLS = {"True": True, "False": False}
"""Cells of CSV that pandas writes and JSON does not know."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """The values of one row by column, what errors call the row, and its number, from 1: its line, or in Parquet its place.

    `cells` is true if the file is CSV, whose values are all texts. `names` are the names of numbered labels by column, where the
    file states them.
    """

    where: str
    number: int
    values: Mapping[str, Any]
    cells: bool = False
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def rows_from_file(path: Path) -> Iterator[Row]:
    """Read rows one by one; blank lines are left out.

    Raises EvaluationError for a file that cannot be read, and for a row that is not of the format.
    """
    read = {".csv": _csv, ".parquet": _parquet}.get(path.suffix.lower(), _json_lines)
    try:
        yield from read(path)
    except OSError as error:
        raise EvaluationError(
            f"{path}: cannot be read ({error.strerror or error}); expected labelled data in JSON Lines, CSV or Parquet. Check the "
            "path"
        ) from error


def value_from_cell(cell: str) -> Any:
    """Return the number, truth value, list or object that a cell of CSV holds as JSON; the text itself if it holds none."""
    try:
        return CELLS[cell] if cell in CELLS else json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def short(value: object) -> str:
    """Return a value as errors print it, in 60 characters at most."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:  # bytes end at line feeds alone; U+2028 may stand in a text
        for number, line in enumerate(file, start=1):
            stripped = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if stripped.strip():
                where = f"{path}, line {number}"
                yield Row(where=where, number=number, values=_object(stripped, where))


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{where}: not JSON in UTF-8 ({error}). {OTHER_FORMATS}") from error
    if not isinstance(value, dict):
        raise EvaluationError(f"{where}: expected a JSON object, found {short(value)}")
    return value


def _csv(path: Path) -> Iterator[Row]:
    """Read a header and rows of as many cells. An empty cell is a value that is not there."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader, start = csv.reader(file, strict=True), 1
        try:
            header = next(reader, [])
            _check_names(path, header)
            start = reader.line_num + 1
            for cells in reader:
                where = f"{path}, line {start}"
                if cells and len(cells) != len(header):
                    raise EvaluationError(f"{where}: expected {len(header)} cells, as in the first line; found {len(cells)}")
                if cells:
                    values = {name: cell or None for name, cell in zip(header, cells, strict=True)}
                    yield Row(where=where, number=start, values=values, cells=True)
                start = reader.line_num + 1
        except UnicodeDecodeError as error:  # of a block of the file, which began before the line that was read last
            raise EvaluationError(f"{path}, line {_line_not_in_utf8(path)}: not in UTF-8 ({error.reason})") from error
        except csv.Error as error:
            raise EvaluationError(
                f"{path}, line {start}: not CSV with commas ({error}). JSON Lines and Parquet hold any text"
            ) from error


def _check_names(path: Path, names: Sequence[str]) -> None:
    """Raise EvaluationError unless each column has a name of its own."""
    if len(set(names)) < len(names):
        raise EvaluationError(f"{path}: expected a name per column; found a name twice in {', '.join(names)}")


def _line_not_in_utf8(path: Path) -> int:
    """Return the number of the line with the first byte that is not UTF-8."""
    data = path.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return 1


def _parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise EvaluationError(f"{path}: Parquet is read by pyarrow, which is not installed ({error}); {INSTALL_PYARROW}") from error
    with path.open("rb") as opened:
        try:
            file = parquet.ParquetFile(opened)
            _check_names(path, file.schema_arrow.names)
            names = _names_of_labels(file.schema_arrow.metadata or {})
            rows = (values for batch in file.iter_batches(batch_size=1000) for values in batch.to_pylist())
            for number, values in enumerate(rows, start=1):
                yield Row(where=f"{path}, row {number}", number=number, values=values, names=names)
        except (ArrowException, ValueError) as error:
            raise EvaluationError(f"{path}: not a Parquet file that pyarrow reads ({error})") from error


def _names_of_labels(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Return the names of numbered labels by column, as the library `datasets` states them; none for what it does not write."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {column: names for column, feature in features.items() if (names := _names_of_feature(feature))}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _names_of_feature(feature: Any) -> tuple[str, ...]:
    if isinstance(feature, list):  # as older releases write a list
        return _names_of_feature(feature[0]) if feature else ()
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") == "ClassLabel":
        return tuple(str(name) for name in feature["names"])
    return _names_of_feature(feature.get("feature"))
