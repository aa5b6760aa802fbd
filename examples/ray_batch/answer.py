"""Answer the texts of Parquet or JSON Lines files on a Ray cluster. A run that was stopped goes on where it was."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import parts
import pyarrow as pa
import ray
from fnet_runtime.bundle.manifest import manifest_from_folder
from fnet_runtime.errors import FNetRuntimeError, InputError
from fnet_runtime.ray import Actors, check_cluster
from fnet_runtime.ray.columns import ERROR, columns_of_task
from fnet_runtime.ray.service import version_of_bundle
from parts import Job, Part, PartWriter, parts_of_files, record_of_part

JOB, MANIFEST = "job.json", "manifest.json"
SECONDS_BETWEEN_LINES = 5.0


@click.command()
@click.option(
    "--bundle", required=True, type=click.Path(path_type=Path, exists=True), help="The bundle; every node needs this path."
)
@click.option(
    "--input", "inputs", required=True, multiple=True, type=click.Path(path_type=Path, exists=True), help="Files or folders."
)
@click.option("--output", required=True, type=click.Path(path_type=Path), help="A folder that every node can write.")
@click.option("--text", default="text", show_default=True, help="The column of the text.")
@click.option("--pair", help="The column of the second text, the context or the choices.")
@click.option("--keep", multiple=True, help="A column to keep. May be given several times.")
@click.option("--actors", default=1, show_default=True, help="Processes that answer; each opens the bundle.")
@click.option("--cpus", default=1.0, show_default=True, help="CPUs of each actor.")
@click.option("--gpus", default=0.0, show_default=True, help="GPUs of each actor.")
@click.option("--rows-per-part", default=10_000, show_default=True, help="Rows of a part of a Parquet file, in whole row groups.")
@click.option("--bytes-per-part", default=16 << 20, show_default=True, help="Bytes of a part of a JSON Lines file.")
@click.option("--max-line-bytes", default=32 << 20, show_default=True, help="A longer line of JSON Lines is an error.")
@click.option("--address", help="A running cluster, or `auto`.  [default: start one on this host]")
def main(inputs: tuple[Path, ...], output: Path, bundle: Path, address: str | None, **options: Any) -> None:
    """Answer each row once and write the answers as Parquet."""
    try:
        run(inputs, output, bundle, address, options)
    except FNetRuntimeError as error:
        raise click.ClickException(str(error)) from error
    except ray.exceptions.RayError as error:
        raise click.ClickException(str(error).strip().splitlines()[-1]) from error


def run(inputs: tuple[Path, ...], output: Path, bundle: Path, address: str | None, options: dict[str, Any]) -> None:
    actors = Actors(count=options["actors"], cpus=options["cpus"], gpus=options["gpus"])
    job = Job(
        bundle=str(bundle.absolute()),
        version=version_of_bundle(bundle),
        **{name: options[name] for name in ("text", "pair", "keep", "rows_per_part", "bytes_per_part", "max_line_bytes")},
    )
    answers = [column.name for column in columns_of_task(manifest_from_folder(bundle).task)]
    taken = {"text", "pair", parts.SOURCE, parts.POSITION, ERROR, *answers} & set(job.keep)
    if taken:
        raise InputError(f"--keep: the output has a column {', '.join(sorted(taken))} already; leave it out")
    files = list(_files(inputs))
    begin(output, job, files)
    planned = list(parts_of_files(files, job))
    missing = [part for part in planned if not (output / part.name).exists()]
    click.echo(f"{len(planned)} parts, {len(planned) - len(missing)} of them done before")
    if missing:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error")
        check_cluster(actors, reading_cpus=0)  # an actor reads its part itself
        progress = Progress(len(missing))
        for record in answered(job, output.absolute(), missing, actors):
            progress.add(record["rows"])
    write_manifest(output, job, planned)


def begin(output: Path, job: Job, files: list[Path]) -> None:
    """Make the folder of the output, or check that the job of its first run is this job. Raises InputError."""
    output.mkdir(parents=True, exist_ok=True)
    sizes = {str(file): [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
    expected = json.loads(json.dumps({"job": asdict(job), "files": sizes}))
    known = output / JOB
    if known.exists():
        found = json.loads(known.read_text("utf-8"))
        differing = [
            key for part in expected for key in {**expected[part], **found[part]} if expected[part].get(key) != found[part].get(key)
        ]
        if differing:
            raise InputError(f"{output}: belongs to another job, which differs in {', '.join(differing)}; choose another --output")
    elif any(output.iterdir()):
        raise InputError(f"{output}: expected an empty folder, or the folder of an earlier run; choose another --output")
    else:
        write_whole(known, expected)


def answered(job: Job, output: Path, missing: list[Part], actors: Actors) -> Iterator[dict[str, Any]]:
    """Answer parts on the cluster and give the record of each when it is written. Ray repeats parts whose worker or node died."""
    ray.cloudpickle.register_pickle_by_value(parts)  # so other nodes need not have this folder
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    blocks = [pa.table({"part": [json.dumps(asdict(part))]}) for part in missing]
    dataset = ray.data.from_arrow(blocks).map_batches(
        PartWriter,
        fn_constructor_args=(job, output, actors.threads),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=actors.count, max_tasks_in_flight_per_actor=2),
        num_cpus=actors.cpus,
        num_gpus=actors.gpus or None,
    )
    for row in dataset.iter_rows():
        yield json.loads(row["record"])


def write_manifest(output: Path, job: Job, planned: list[Part]) -> None:
    for half_written in output.glob(".part-*"):
        half_written.unlink(missing_ok=True)
    records = [record_of_part(part, output / part.name) for part in planned]
    total = {name: sum(record[name] for record in records) for name in ("rows", "errors")}
    write_whole(output / MANIFEST, {"format_version": 1, "job": asdict(job), **total, "parts": records})
    click.echo(
        f"{total['rows']} rows, {total['errors']} of them with errors, in {len(records)} parts; {output / MANIFEST} lists them"
    )


def write_whole(target: Path, value: Any) -> None:
    passing = target.with_name(f".{target.name}.{os.getpid()}")
    passing.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    passing.replace(target)


class Progress:
    """Prints how far a job is, every few seconds and at the end."""

    def __init__(self, parts_in_all: int) -> None:
        self.parts_in_all, self.count, self.rows = parts_in_all, 0, 0
        self.started = self.printed = time.monotonic()

    def add(self, rows: int) -> None:
        self.count, self.rows, now = self.count + 1, self.rows + rows, time.monotonic()
        if now - self.printed >= SECONDS_BETWEEN_LINES or self.count == self.parts_in_all:
            self.printed, seconds = now, now - self.started
            left = seconds / self.count * (self.parts_in_all - self.count)
            rate = f"{self.rows} rows, {self.rows / seconds:.0f} rows per second, about {left:.0f} s left"
            print(f"{self.count} of {self.parts_in_all} parts, {rate}", flush=True)


def _files(inputs: tuple[Path, ...]) -> Iterator[Path]:
    for path in inputs:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        known = [file.absolute() for file in files if file.is_file() and file.suffix in (parts.PARQUET, *parts.LINES)]
        if not known:
            raise InputError(f"{path}: expected files that end in {parts.PARQUET}, {' or '.join(parts.LINES)}; found none of them")
        yield from known


if __name__ == "__main__":
    main()
