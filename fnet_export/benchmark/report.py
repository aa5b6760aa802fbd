"""Show a benchmark to people and programs: tables, notes, and the values of its JSON (docs/bench.md)."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fnet_runtime.bundle.manifest import Manifest
from fnet_runtime.sessions.providers import CPU
from fnet_runtime.tokenizer.encoding import MAX_LENGTH
from rich import box
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from fnet_export.benchmark.benchmark import Benchmark, CaseResult, Measured, Subject
from fnet_export.benchmark.latency import PERCENTILES, percentiles_ms, rounds_needed, speed_ratio, texts_per_second
from fnet_export.benchmark.worker import WARM_UP_TURNS
from fnet_export.engine.sessions.timing import PAUSE_S
from fnet_export.evaluation.metrics import LEVEL, RESAMPLES, SEED, Figure

FORMAT_VERSION = 1
KINDS = {"text": "text in, answer out", "engine": "the engine alone"}
"""The things that are timed, by their name in tables and JSON."""


def percentile_name(percentile: float) -> str:
    """Return a name such as `p50` or `p99.9`."""
    return f"p{percentile:g}"


def times_of(measured: Measured, kind: str) -> tuple[float, ...]:
    """Return the times of one kind of KINDS."""
    return measured.text_ms if kind == "text" else measured.engine_ms


def in_part(result: Measured | str) -> str:
    """Return what follows the name of a subject whose provider left nodes to the CPU."""
    return ", partly on the CPU" if isinstance(result, Measured) and result.notes else ""


def tables_from_benchmark(benchmark: Benchmark) -> list[Table]:
    """Return one table of latency per case, and one table of opening and memory."""
    return [*(_latency_table(benchmark, case_result) for case_result in benchmark.cases), _memory_table(benchmark)]


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def _latency_table(benchmark: Benchmark, case_result: CaseResult) -> Table:
    shown = [p for p in PERCENTILES if benchmark.rounds >= rounds_needed(p)]
    table = _table(f"{case_result.case.name}: milliseconds")
    table.add_column("bundle", overflow="fold")
    table.add_column("timed", no_wrap=True)
    for name in (*map(percentile_name, shown), "texts/s", "speed ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    for subject, result in zip(benchmark.subjects, case_result.results, strict=True):
        if isinstance(result, str):
            table.add_row(escape(f"{subject.label}\n{subject.opener}"), "[bold red]not measured[/]")
            continue
        for name, kind in zip((subject.label, subject.opener + in_part(result)), KINDS, strict=True):
            times = times_of(result, kind)
            figures = [_ms_shown(value) for value in percentiles_ms(times).values() if value is not None]
            speed = f"{texts_per_second(times, case_result.case.batch_size):.1f}"
            table.add_row(escape(name), kind, *figures, speed, _ratio_shown(_ratio(case_result, result, kind)))
    return table


def _ratio(case_result: CaseResult, result: Measured, kind: str) -> Figure | None:
    """Compare with the first subject. Return None for the first itself, and if the first was not measured."""
    first = case_result.results[0]
    if isinstance(first, str) or first is result:
        return None
    return speed_ratio(times_of(result, kind), times_of(first, kind))


def _ms_shown(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _ratio_shown(ratio: Figure | None) -> str:
    return "" if ratio is None else f"{ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


def _memory_table(benchmark: Benchmark) -> Table:
    table = _table("Opening, and the most memory that each process held")
    table.add_column("bundle", overflow="fold")
    table.add_column("case", no_wrap=True)
    for name in ("load ms", "peak", "libraries"):
        table.add_column(name, justify="right", no_wrap=True)
    for i, subject in enumerate(benchmark.subjects):
        name = subject.name
        for case_result in benchmark.cases:
            result = case_result.results[i]
            if not isinstance(result, str):
                sizes = (_size_shown(result.peak_bytes), _size_shown(result.libraries_bytes))
                table.add_row(escape(name), case_result.case.name, f"{result.load_ms:.0f}", *sizes)
                name = ""
    return table


def _size_shown(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else decimal(size_bytes)


def notes_from_benchmark(benchmark: Benchmark) -> list[str]:
    """Return notes below the tables: failures, nodes on the CPU, missing percentiles, differences of bundles, and the method."""
    return [
        *_failures(benchmark),
        *_partial(benchmark),
        *_missing_percentiles(benchmark.rounds),
        *_differences(benchmark.subjects),
        f"{benchmark.rounds} rounds in turns, {PAUSE_S * 1e3:.0f} ms apart, warm; text: {KINDS['text']}; engine: {KINDS['engine']}",
        *([_bootstrap()] if len(benchmark.subjects) > 1 else []),
    ]


def _failures(benchmark: Benchmark) -> Iterator[str]:
    for case_result in benchmark.cases:
        for subject, result in zip(benchmark.subjects, case_result.results, strict=True):
            if isinstance(result, str):
                yield f"not measured: {subject.name}, {case_result.case.name}: {result}"


def _partial(benchmark: Benchmark) -> Iterator[str]:
    """Say once for each subject which nodes its provider left to the CPU."""
    for subject, *results in zip(benchmark.subjects, *(case_result.results for case_result in benchmark.cases), strict=True):
        notes = dict.fromkeys(note for result in results if isinstance(result, Measured) for note in result.notes)
        yield from (f"{subject.name}: {note}" for note in notes)


def _missing_percentiles(rounds: int) -> Iterator[str]:
    for percentile in PERCENTILES:
        if rounds < rounds_needed(percentile):
            yield f"{percentile_name(percentile)} needs {rounds_needed(percentile)} rounds; {rounds} were run"


def _differences(subjects: tuple[Subject, ...]) -> Iterator[str]:
    tasks = dict.fromkeys(subject.manifest.task for subject in subjects)
    if len(tasks) > 1:
        yield f"the bundles do different tasks ({', '.join(tasks)}): their times can be compared, their answers cannot"
    lengths = dict.fromkeys(_length(subject.manifest) for subject in subjects)
    if len(lengths) > 1:
        yield f"the bundles read different lengths ({', '.join(lengths)}): the longer one does more work"
    if any(subject.runtime.startswith("tensorrt") or subject.provider != CPU for subject in subjects):
        yield "threads do not limit a GPU engine, and the peak does not include memory on the GPU"


def _length(manifest: Manifest) -> str:
    tokens = f"{manifest.sequence_length} tokens"
    return tokens if manifest.padding == MAX_LENGTH else f"each text's own, up to {tokens}"


def _bootstrap() -> str:
    return (
        f"speed ratio: the first median divided by this one, so above 1 is faster; {LEVEL:.0%} interval of {RESAMPLES} bootstrap "
        f"resamples of the rounds, seed {SEED}"
    )


def values_from_benchmark(benchmark: Benchmark) -> dict[str, Any]:
    """Return the values of the JSON. docs/bench.md lists every key."""
    return {
        "format_version": FORMAT_VERSION,
        "complete": benchmark.complete,
        "rounds": benchmark.rounds,
        "warm_up_turns": WARM_UP_TURNS,
        "pause_ms": PAUSE_S * 1e3,
        "bootstrap": {"level": LEVEL, "resamples": RESAMPLES, "seed": SEED, "method": "percentile, rounds paired"},
        "notes": notes_from_benchmark(benchmark),
        "bundles": [_subject_values(subject) for subject in benchmark.subjects],
        "cases": [
            asdict(case_result.case) | {"results": [_result_values(case_result, result) for result in case_result.results]}
            for case_result in benchmark.cases
        ],
    }


def _subject_values(subject: Subject) -> dict[str, Any]:
    manifest = subject.manifest
    return {
        "bundle": str(subject.folder),
        "runtime": subject.runtime,
        "provider": subject.provider,
        "cuda_graph": subject.cuda_graph,
        "task": manifest.task,
        "precision": manifest.precision,
        "transform": manifest.transform,
        "sequence_length": manifest.sequence_length,
        "padding": manifest.padding,
        "files_bytes": sum(info.size_bytes for info in manifest.files.values()),
    }


def _result_values(case_result: CaseResult, result: Measured | str) -> dict[str, Any]:
    if isinstance(result, str):
        return {"status": "not measured", "reason": result}
    sizes = {name: getattr(result, name) for name in ("load_ms", "peak_bytes", "libraries_bytes")}
    values = {"status": "measured", "reason": None, "notes": list(result.notes)} | sizes
    return values | {kind: _times_values(case_result, result, kind) for kind in KINDS}


def _times_values(case_result: CaseResult, result: Measured, kind: str) -> dict[str, Any]:
    times, ratio = times_of(result, kind), _ratio(case_result, result, kind)
    return {
        "percentiles_ms": {percentile_name(p): value for p, value in percentiles_ms(times).items()},
        "texts_per_second": texts_per_second(times, case_result.case.batch_size),
        "speed_ratio": ratio and asdict(ratio),
        "times_ms": list(times),
    }
