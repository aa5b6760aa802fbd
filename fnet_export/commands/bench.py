"""fnet-export bench, on the command line; docs/bench.md.

Exit codes: 0 ok; 1 bad input or bundle; 2 usage; 4 one of the bundles could not be measured (the others are shown).
"""

import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from fnet_runtime.errors import FNetRuntimeError
from fnet_runtime.pipelines import MAX_THREADS, RUNTIMES
from rich.console import Console

from fnet_export.bench.benchmark import Benchmark, CaseResult, cases_from_options, result_from_case, subjects_from_bundles
from fnet_export.bench.latency import PERCENTILES, rounds_needed
from fnet_export.bench.report import case_name, notes_from_benchmark, tables_from_benchmark, values_from_benchmark
from fnet_export.bench.requests import timed_texts
from fnet_export.commands.outcome import write_text
from fnet_export.environment import environment_of_host
from fnet_export.errors import OptionError, OutputError
from fnet_export.progress import Bars, Lines, Progress

BAD_INPUT, NOT_MEASURED = 1, 4
OUT = click.Path(path_type=Path, dir_okay=False)


@click.command(context_settings={"show_default": True})
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...", type=click.Path(path_type=Path))
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    type=click.Choice(RUNTIMES),
    default=("auto",),
    help="auto is a bundle's own; repeatable.",
)
@click.option(
    "--batch-size", "batch_sizes", multiple=True, type=click.IntRange(min=1), default=(1,), help="Texts asked at once; repeatable."
)
@click.option(
    "--threads",
    multiple=True,
    type=click.IntRange(1, MAX_THREADS),
    help="Cores that ONNX Runtime or OpenVINO may use; repeatable.  [default: all]",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=rounds_needed(PERCENTILES[0])),
    default=rounds_needed(99),
    help=f"Times that each is timed; p99.9 needs {rounds_needed(99.9)}.",
)
@click.option("--text", type=click.Path(path_type=Path), metavar="FILE", help="The text to answer.  [default: built-in e-mails]")
@click.option("--json", "json_file", type=OUT, metavar="FILE", help="Write everything measured, every time too, as JSON.")
@click.option("--chart", "chart_file", type=OUT, metavar="FILE.svg", help="Draw the latencies.")
def bench(
    bundles: tuple[Path, ...],
    runtimes: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    threads: tuple[int, ...],
    rounds: int,
    text: Path | None,
    json_file: Path | None,
    chart_file: Path | None,
) -> None:
    """Time BUNDLEs on this host: latency, throughput, opening and memory, each in a process of its own, all in turns.

    The first is what the others are compared with. Needs no torch. Exit codes: 0 ok; 1 bad input; 2 usage; 4 a bundle could
    not be measured.
    """
    try:
        _check_files(json_file, chart_file)
        subjects = subjects_from_bundles(bundles, runtimes)
        cases = cases_from_options(subjects, batch_sizes, threads)
        texts = timed_texts(text)
        with contextlib.ExitStack() as stack:
            progress: Progress = stack.enter_context(Bars()) if sys.stderr.isatty() else Lines()
            found: list[CaseResult] = []
            for case in cases:
                progress.stage(case_name(case))
                found.append(result_from_case(case, subjects, texts, rounds=rounds, on_progress=progress.step))
        benchmark = Benchmark(subjects=subjects, rounds=rounds, cases=tuple(found))
        _show(benchmark)
        _write(benchmark, json_file, chart_file)
    except OptionError as error:
        raise click.UsageError(str(error)) from error
    except (OutputError, FNetRuntimeError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(BAD_INPUT)
    if not benchmark.complete:
        click.echo("error: not everything could be measured; the reasons stand below the tables", err=True)
        sys.exit(NOT_MEASURED)


def _check_files(json_file: Path | None, chart_file: Path | None) -> None:
    """Refuse before the long measurement what could not be written after it. Raises OptionError, OutputError."""
    if chart_file is not None and chart_file.suffix != ".svg":
        raise OptionError(f"--chart {chart_file}: expected a name that ends in .svg, the format that is written")
    for path in (json_file, chart_file):
        if path is not None and not path.absolute().parent.is_dir():
            raise OutputError(f"{path}: {path.parent} is no folder; make it first, or name another")


def _show(benchmark: Benchmark) -> None:
    console = Console()
    for table in tables_from_benchmark(benchmark):
        console.print(table)
    here = environment_of_host()
    lines = [
        *notes_from_benchmark(benchmark),
        f"{here.host.cpu}, {here.host.cores} cores, {here.host.os}, Python {here.host.python}",
    ]
    lines.append(", ".join(f"{name} {version}" for name, version in here.libraries.items()))
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _write(benchmark: Benchmark, json_file: Path | None, chart_file: Path | None) -> None:
    """Raise OutputError when a file cannot be written."""
    if json_file is not None:
        values = values_from_benchmark(benchmark) | {"environment": asdict(environment_of_host())}
        write_text(json_file, json.dumps(values, indent=1, ensure_ascii=False) + "\n")
    if chart_file is not None:
        from fnet_export.bench.chart import chart_from_benchmark  # matplotlib takes a second, and memory

        write_text(chart_file, chart_from_benchmark(benchmark) + "\n")
