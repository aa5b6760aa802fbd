"""The parts of a job: pieces of the input that are answered, written and done again one at a time.

A part of a Parquet file is some of its row groups. A part of a JSON Lines file is the lines that begin in a range of bytes. An
answered part is one Parquet file, which appears under its name when it is complete.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fnet_runtime.bundle.strict_json import json_from_bytes
from fnet_runtime.errors import InputError
from fnet_runtime.ray import Answerer, BatchOptions

PARQUET, LINES = ".parquet", (".jsonl", ".ndjson")
ROWS_AT_ONCE = 256
"""The rows that are in memory at once."""
SOURCE, POSITION = "source", "position"
"""The columns that say where a row came from: the file, and the number of its row or the first byte of its line."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a job does: its bundle, input columns, columns to keep, and the sizes of parts."""

    bundle: str
    version: str
    text: str
    pair: str | None
    keep: tuple[str, ...]
    rows_per_part: int
    bytes_per_part: int
    max_line_bytes: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """The rows [start, end) of a Parquet file, or the lines of a JSON Lines file that begin in the bytes [start, end)."""

    number: int
    file: str
    start: int
    end: int

    @property
    def name(self) -> str:
        return f"part-{self.number:06d}.parquet"


def parts_of_files(files: list[Path], job: Job) -> Iterator[Part]:
    """Cut files into parts. Reads the footers of Parquet files and nothing else. Raises InputError for a missing column."""
    ranges = ((file, *span) for file in files for span in _spans(file, job))
    for number, (file, start, end) in enumerate(ranges):
        yield Part(number=number, file=str(file), start=start, end=end)


def _spans(file: Path, job: Job) -> Iterator[tuple[int, int]]:
    if file.suffix != PARQUET:
        size = file.stat().st_size
        yield from ((start, min(size, start + job.bytes_per_part)) for start in range(0, size, job.bytes_per_part))
        return
    metadata = pq.read_metadata(file)
    names = metadata.schema.to_arrow_schema().names
    missing = sorted({job.text, *([job.pair] if job.pair else []), *job.keep} - set(names))
    if missing:
        raise InputError(f"{file}: expected the columns {', '.join(missing)}; found {', '.join(names)}")
    start = end = 0
    for group in range(metadata.num_row_groups):
        end += metadata.row_group(group).num_rows
        if end - start >= job.rows_per_part or (group == metadata.num_row_groups - 1 and end > start):
            yield start, end
            start = end


class PartWriter:
    """The class of a Ray actor: it opens the bundle once, and answers parts."""

    def __init__(self, job: Job, output: Path, threads: int) -> None:
        self.job, self.output = job, output
        self.answerer = Answerer(job.bundle, BatchOptions(pair="pair" if job.pair else None), threads=threads)
        self.columns = {"text": job.text} | ({"pair": job.pair} if job.pair else {}) | {name: name for name in job.keep}

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Answer the parts of a batch. Returns a record for each; a part that is there already is only counted."""
        records = [self.write(Part(**json.loads(part))) for part in batch["part"]]
        return {"record": [json.dumps(record) for record in records]}

    def write(self, part: Part) -> dict[str, Any]:
        target = self.output / part.name
        if not target.exists():
            passing = target.with_name(f".{part.name}.{uuid.uuid4().hex}")
            try:
                self._write(part, passing)
                passing.replace(target)  # a worker that dies before this line leaves no part
            finally:
                passing.unlink(missing_ok=True)
        return record_of_part(part, target)

    def _write(self, part: Part, passing: Path) -> None:
        writer = None
        try:
            for table, faults in self._tables(part):
                answered = self.answerer(table)
                errors = [fault or error for fault, error in zip(faults, answered.column("error").to_pylist(), strict=True)]
                index = answered.column_names.index("error")
                answered = answered.set_column(index, "error", pa.array(errors, pa.string()))
                writer = writer or pq.ParquetWriter(passing, answered.schema)
                writer.write_table(answered)
        finally:
            if writer:
                writer.close()

    def _tables(self, part: Part) -> Iterator[tuple[pa.Table, list[str | None]]]:
        """Give tables of few rows: source, position, text, pair and the columns to keep; and why a row cannot be read, if so."""
        if part.file.endswith(PARQUET):
            for table in self._tables_of_parquet(part):
                yield table, [None] * table.num_rows
        else:
            yield from self._tables_of_lines(part)

    def _tables_of_parquet(self, part: Part) -> Iterator[pa.Table]:
        with pq.ParquetFile(part.file) as file:
            groups, first = [], 0
            for group in range(file.metadata.num_row_groups):
                if part.start <= first < part.end:
                    groups.append(group)
                first += file.metadata.row_group(group).num_rows
            position = part.start
            for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=groups, columns=sorted(set(self.columns.values()))):
                rows = batch.num_rows
                table = pa.table({name: batch.column(column) for name, column in self.columns.items()})
                yield _placed(table, part.file, list(range(position, position + rows)))
                position += rows

    def _tables_of_lines(self, part: Part) -> Iterator[tuple[pa.Table, list[str | None]]]:
        rows: list[dict[str, Any]] = []
        faults: list[str | None] = []
        for position, line in _lines(part, self.job.max_line_bytes):
            values, fault = self._values(line)
            rows.append(values | {POSITION: position})
            faults.append(fault)
            if len(rows) == ROWS_AT_ONCE:
                yield self._table(part, rows), faults
                rows, faults = [], []
        yield self._table(part, rows), faults  # a part without a line has a file as well, so that it is known to be done

    def _values(self, line: bytes | None) -> tuple[dict[str, Any], str | None]:
        """Return the values of the columns, and why the line cannot be answered, if so. It has no text then."""
        if line is None:
            return {}, f"the line is longer than {self.job.max_line_bytes} bytes"
        try:
            values = json_from_bytes(line)
        except (ValueError, RecursionError) as error:
            return {}, f"the line is not JSON ({error})"
        if not isinstance(values, dict):
            return {}, f"expected an object, found {type(values).__name__}"
        text, second = values.get(self.job.text), values.get(self.job.pair)
        kept = {name: _kept(values.get(name)) for name in self.job.keep}
        if not isinstance(text, str):
            return kept, f"{self.job.text}: expected a text, found {type(text).__name__}"
        if not self._is_second(second):
            return kept, f"{self.job.pair}: expected {'texts' if self._choices else 'a text'}, found {type(second).__name__}"
        return kept | {"text": text, "pair": second}, None

    def _is_second(self, value: Any) -> bool:
        if self._choices and isinstance(value, list):
            return all(isinstance(choice, str) for choice in value)
        return value is None or (isinstance(value, str) and not self._choices)

    @property
    def _choices(self) -> bool:
        return self.answerer.task == "multiple-choice"

    def _table(self, part: Part, rows: list[dict[str, Any]]) -> pa.Table:
        kinds = dict.fromkeys(self.columns, pa.string())
        if self.job.pair and self._choices:
            kinds["pair"] = pa.list_(pa.string())
        table = pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()})
        return _placed(table, part.file, [row[POSITION] for row in rows])


def _placed(table: pa.Table, file: str, positions: list[int]) -> pa.Table:
    table = table.add_column(0, SOURCE, pa.array([file] * table.num_rows, pa.string()))
    return table.add_column(1, POSITION, pa.array(positions, pa.int64()))


def _kept(value: Any) -> str | None:
    """Return a value of JSON as a value of a column: a text as it is, another value as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lines(part: Part, longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Give the first byte and the content of each line that begins in a part; None for a line that is too long."""
    with Path(part.file).open("rb") as file:
        if part.start:
            file.seek(part.start - 1)
            _skip_line(file)
        position = file.tell()
        while position < part.end:
            line = file.readline(longest + 1)
            if not line:
                return
            if len(line) > longest and not line.endswith(b"\n"):
                _skip_line(file)
                yield position, None
            elif line.strip():
                yield position, line
            position = file.tell()


def _skip_line(file: Any) -> None:
    while (piece := file.readline(1 << 20)) and not piece.endswith(b"\n"):
        pass


def record_of_part(part: Part, target: Path) -> dict[str, Any]:
    """Return what the manifest says of a part that is done."""
    with pq.ParquetFile(target) as file:
        rows = file.metadata.num_rows
        errors = rows - sum(batch.column(0).null_count for batch in file.iter_batches(columns=["error"]))
    return asdict(part) | {"output": part.name, "rows": rows, "errors": errors, "size_bytes": target.stat().st_size}
