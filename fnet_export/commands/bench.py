"""fnet-export bench, on the command line; docs/bench.md."""

import sys
from dataclasses import asdict
from pathlib import Path

import click
from fnet_runtime.command.exit_codes import BAD_INPUT, ENGINE_FAILED, list_of_exit_codes
from fnet_runtime.sessions.providers import CPU, PROVIDERS
from fnet_runtime.sessions.runtimes import MAX_THREADS, RUNTIME_CHOICES
from rich.console import Console

from fnet_export.base.environment import environment_of_host
from fnet_export.base.errors import OptionError, OutputError
from fnet_export.bench.benchmark import Benchmark, CaseResult, cases_from_options, result_from_case, subjects_from_bundles
from fnet_export.bench.latency import PERCENTILES, rounds_needed
from fnet_export.bench.report import case_name, notes_from_benchmark, tables_from_benchmark, values_from_benchmark
from fnet_export.bench.requests import timed_texts
from fnet_export.commands.options import FILE, allow_partial_option, output_options
from fnet_export.commands.shared import console_of_result, fail, print_json, print_lines, progress_shown, write_text

EXIT_CODES = {ENGINE_FAILED: "a bundle cannot be measured, or memory ran out"}


@click.command(context_settings={"show_default": True}, epilog=list_of_exit_codes(EXIT_CODES))
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...", type=FILE)
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    type=click.Choice(RUNTIME_CHOICES),
    default=("auto",),
    help="auto is a bundle's own; repeatable.",
)
@click.option(
    "--provider",
    "providers",
    multiple=True,
    type=click.Choice(list(PROVIDERS)),
    default=(CPU,),
    help="The provider of ONNX Runtime that runs model.onnx; repeatable.",
)
@allow_partial_option
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
    help=f"How often each bundle is timed; p99.9 needs {rounds_needed(99.9)}.",
)
@click.option("--text", type=FILE, metavar="FILE", help="The text to answer.  [default: built-in e-mails]")
@click.option("--chart", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.svg", help="Draw the latencies.")
@output_options
def bench(
    bundles: tuple[Path, ...],
    runtimes: tuple[str, ...],
    providers: tuple[str, ...],
    allow_partial: bool,
    batch_sizes: tuple[int, ...],
    threads: tuple[int, ...],
    rounds: int,
    text: Path | None,
    chart: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Time BUNDLEs on this host: latency, throughput, opening and memory, each in a process of its own, all in turns.

    Compare each bundle with the first. Needs no torch.
    """
    _check_chart(chart)
    subjects = subjects_from_bundles(bundles, runtimes, providers, allow_partial=allow_partial)
    cases = cases_from_options(subjects, batch_sizes, threads)
    texts = timed_texts(text)
    with progress_shown(quiet=quiet) as progress:
        results: list[CaseResult] = []
        for case in cases:
            progress.stage(case_name(case))
            results.append(result_from_case(case, subjects, texts, rounds=rounds, on_progress=progress.step))
    benchmark = Benchmark(subjects=subjects, rounds=rounds, cases=tuple(results))
    if as_json:
        print_json(values_from_benchmark(benchmark) | {"environment": asdict(environment_of_host())})
    _show(benchmark, console_of_result(as_json=as_json, quiet=quiet))
    if chart is not None:
        _write_chart(benchmark, chart)
    if not benchmark.complete:
        click.echo("error: not everything could be measured; the reasons stand below the tables", err=True)
        sys.exit(ENGINE_FAILED)


def _check_chart(chart: Path | None) -> None:
    """Refuse before the long measurement what could not be written after it. Raises OptionError, OutputError."""
    if chart is None:
        return
    if chart.suffix != ".svg":
        raise OptionError(f"--chart {chart}: expected a name that ends in .svg, the format that is written")
    if not chart.absolute().parent.is_dir():
        raise OutputError(f"{chart}: {chart.parent} is not a folder; make it first, or name another")


def _show(benchmark: Benchmark, console: Console) -> None:
    for table in tables_from_benchmark(benchmark):
        console.print(table)
    here = environment_of_host()
    lines = [
        *notes_from_benchmark(benchmark),
        f"{here.host.cpu}, {here.host.cores} cores, {here.host.os}, Python {here.host.python}",
    ]
    lines.append(", ".join(f"{name} {version}" for name, version in here.libraries.items()))
    print_lines(console, lines)


def _write_chart(benchmark: Benchmark, chart: Path) -> None:
    """Write the chart, or say that it cannot be written: what was measured is shown already."""
    from fnet_export.bench.chart import chart_from_benchmark  # matplotlib takes a second, and memory

    try:
        write_text(chart, chart_from_benchmark(benchmark) + "\n")
    except OutputError as error:
        fail(str(error), BAD_INPUT, as_json=False)
