"""The speed of bundles on this host, measured from Python or by the command."""

from collections.abc import Sequence
from pathlib import Path

from fnet_runtime.sessions.providers import CPU
from fnet_runtime.sessions.runtimes import AUTO, MAX_THREADS

from fnet_export.base.arguments import StrPath, check_providers, path_or_none, several
from fnet_export.base.errors import OptionError, OutputError
from fnet_export.base.progress import Calls, OnProgress, Progress
from fnet_export.benchmark.benchmark import Benchmark, cases_from_options, result_from_case, subjects_from_bundles
from fnet_export.benchmark.latency import PERCENTILES, rounds_needed
from fnet_export.benchmark.requests import requests_from_texts, timed_texts

MIN_ROUNDS, DEFAULT_ROUNDS = rounds_needed(PERCENTILES[0]), rounds_needed(99)


def bench(
    *bundles: StrPath,
    runtime: str | Sequence[str] = AUTO,
    provider: str | Sequence[str] = CPU,
    allow_partial: bool = False,
    cuda_graph: bool = False,
    batch_size: int | Sequence[int] = 1,
    threads: int | Sequence[int] = (),
    rounds: int = DEFAULT_ROUNDS,
    text: StrPath | None = None,
    chart: StrPath | None = None,
    on_progress: OnProgress | None = None,
) -> Benchmark:
    """Time bundles in turns, each in a process of its own. Do what `fnet-export bench` does.

    Each bundle is timed with each of `runtime`, `provider`, `batch_size` and `threads`. Empty `threads` means all cores.
    `fnet_runtime.load` explains `provider`, `allow_partial` and `cuda_graph`. `rounds` is how often each bundle is timed. `text` is
    a file with the text to answer, None for the built-in e-mails. `chart` is a file to draw the latencies in, as SVG.

    `complete` of the result says whether everything was measured. A bundle that cannot be measured has the reason as its result.
    Raises BundleError, InputError and OptionError before anything is timed, and OutputError if the chart cannot be written.
    """
    name = path_or_none(chart)
    check_chart(name)
    benchmark = benchmark_from_bundles(
        [Path(bundle) for bundle in bundles],
        timed_texts(path_or_none(text)),
        runtimes=several(runtime),
        providers=several(provider),
        allow_partial=allow_partial,
        cuda_graph=cuda_graph,
        batch_sizes=several(batch_size),
        threads=several(threads),
        rounds=rounds,
        progress=Calls(on_progress),
    )
    if name is not None:
        write_chart(benchmark, name)
    return benchmark


def benchmark_from_bundles(
    folders: Sequence[Path],
    texts: Sequence[str],
    *,
    runtimes: Sequence[str],
    providers: Sequence[str],
    allow_partial: bool,
    cuda_graph: bool,
    batch_sizes: Sequence[int],
    threads: Sequence[int],
    rounds: int,
    progress: Progress,
) -> Benchmark:
    """Time bundles in every case of batch size and threads. Empty `threads` means all cores.

    Raises BundleError, InputError and OptionError before anything is timed.
    """
    _check(folders, runtimes, providers, batch_sizes, threads, rounds)
    check_providers(providers, allow_partial=allow_partial)
    subjects = subjects_from_bundles(folders, runtimes, providers, allow_partial=allow_partial, cuda_graph=cuda_graph)
    results = []
    for case in cases_from_options(subjects, batch_sizes, threads):
        progress.stage(case.name)
        batches = [[requests_from_texts(subject.manifest.task, texts, case.batch_size)] for subject in subjects]
        results.append(result_from_case(case, subjects, batches, rounds=rounds, on_progress=progress.step))
    return Benchmark(subjects=subjects, rounds=rounds, cases=tuple(results))


def _check(
    folders: Sequence[Path],
    runtimes: Sequence[str],
    providers: Sequence[str],
    batch_sizes: Sequence[int],
    threads: Sequence[int],
    rounds: int,
) -> None:
    """Refuse what click refuses on the command line."""
    for name, values in {"BUNDLE": folders, "--runtime": runtimes, "--provider": providers, "--batch-size": batch_sizes}.items():
        if not values:
            raise OptionError(f"{name}: expected at least one, found none")
    for size in batch_sizes:
        if size < 1:
            raise OptionError(f"--batch-size: expected 1 or more, found {size}")
    for count in threads:
        if not 1 <= count <= MAX_THREADS:
            raise OptionError(f"--threads: expected 1 to {MAX_THREADS}, found {count}")
    if rounds < MIN_ROUNDS:
        raise OptionError(f"--rounds: expected {MIN_ROUNDS} or more, found {rounds}")


def check_chart(chart: Path | None) -> None:
    """Refuse before the long measurement what could not be written after it. Raises OptionError and OutputError."""
    if chart is None:
        return
    if chart.suffix != ".svg":
        raise OptionError(f"--chart {chart}: expected a name that ends in .svg, the format that is written")
    if not chart.absolute().parent.is_dir():
        raise OutputError(f"{chart}: {chart.parent} is not a folder; make it first, or name another")


def write_chart(benchmark: Benchmark, chart: Path) -> None:
    """Draw the latencies. Raises OutputError."""
    from fnet_export.base.svg import write_svg  # matplotlib takes a second, and memory
    from fnet_export.benchmark.chart import chart_from_benchmark

    write_svg(chart, chart_from_benchmark(benchmark))
