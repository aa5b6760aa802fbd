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
from fnet_export.base.errors import OutputError
from fnet_export.benchmark.bench import DEFAULT_ROUNDS, MIN_ROUNDS, benchmark_from_bundles, check_chart, write_chart
from fnet_export.benchmark.benchmark import Benchmark
from fnet_export.benchmark.latency import rounds_needed
from fnet_export.benchmark.report import notes_from_benchmark, tables_from_benchmark, values_from_benchmark
from fnet_export.benchmark.requests import timed_texts
from fnet_export.commands.options import FILE, allow_partial_option, output_options
from fnet_export.commands.shared import console_of_result, fail, print_json, print_lines, progress_shown

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
@click.option("--cuda-graph", is_flag=True, help="Let TensorRT launch each batch size and length as one CUDA graph.")
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
    type=click.IntRange(min=MIN_ROUNDS),
    default=DEFAULT_ROUNDS,
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
    cuda_graph: bool,
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
    check_chart(chart)
    texts = timed_texts(text)
    with progress_shown(quiet=quiet) as progress:
        benchmark = benchmark_from_bundles(
            bundles,
            texts,
            runtimes=runtimes,
            providers=providers,
            allow_partial=allow_partial,
            cuda_graph=cuda_graph,
            batch_sizes=batch_sizes,
            threads=threads,
            rounds=rounds,
            progress=progress,
        )
    if as_json:
        print_json(values_from_benchmark(benchmark) | {"environment": asdict(environment_of_host())})
    _show(benchmark, console_of_result(as_json=as_json, quiet=quiet))
    if chart is not None:
        _write_chart(benchmark, chart)
    if not benchmark.complete:
        click.echo("error: not everything could be measured; the reasons stand below the tables", err=True)
        sys.exit(ENGINE_FAILED)


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
    try:
        write_chart(benchmark, chart)
    except OutputError as error:
        fail(str(error), BAD_INPUT, as_json=False)
