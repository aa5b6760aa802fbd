"""Subjects that take turns: what every benchmark here does, and how it reports.

Each subject is built once, then opened in a process of its own; the processes take turns, another one first each round, so that a
noisy machine is noisy to all. A turn is a pause, a pass to warm the caches when passes are short, and a pass that is timed: medians
and quartiles of its milliseconds. Memory is the peak of the process that opens and runs, over what it held with the libraries
imported. Cases are added to those that were measured before on this host.
"""

import argparse
import contextlib
import importlib
import itertools
import json
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from fnet_export.base.errors import BenchError
from fnet_export.benchmark.child import child_from_arguments

RESULTS = Path(__file__).parent / "results"
WARM_BELOW_MS = 2000
MIN_ROUNDS = 2
PAUSE_S = 0.3
"""Between two turns: a library's threads spin for a while after a pass, and would take the next subject's cores."""
LIBRARIES = ("torch", "transformers", "onnxruntime", "openvino", "onnx")
HIGHEST_ID = 32_000

Run = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class Case:
    length: int
    batch: int
    threads: int


@dataclass(frozen=True)
class Subject:
    """`build` writes a file (or none) in a process of its own; `open` returns what takes int64[batch, length] ids.

    `imports` are the modules that `open` needs. A file for `every_length` is built once. One for `one_length` is left out of cases
    with texts of several lengths, whose length is 0.
    """

    build: Callable[[Path, Case], None]
    open: Callable[[Path, Case], Run]
    imports: tuple[str, ...]
    every_length: bool = False
    one_length: bool = False


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Subjects by name, the cases to measure unless the command line names others, and what draws a report."""

    name: str
    subjects: Mapping[str, Subject]
    lengths: tuple[int, ...]
    batches: tuple[int, ...]
    threads: tuple[int, ...]
    chart: Callable[[Any, Path], None]
    inputs: Callable[[Case], Sequence[np.ndarray]] = lambda case: [random_ids(case)]
    """What one pass runs, one after the other."""


def random_ids(case):
    return np.random.default_rng(0).integers(7, HIGHEST_ID, (case.batch, case.length))


# ---- processes


def model_path(folder, name, subject, case):
    stem = "".join(c if c.isalnum() else "-" for c in name)
    case_name = "every-length" if subject.every_length else f"{case.length}-{case.batch}"
    return Path(folder) / f"{stem}-{case_name}" / ("model.xml" if "OpenVINO" in name else "model.onnx")


def worker(benchmark, action, name, folder, case):
    """What a process of one subject does: build, or open and run once for every line it is sent."""
    subject = benchmark.subjects[name]
    path = model_path(folder, name, subject, case)
    path.parent.mkdir(parents=True, exist_ok=True)
    if action == "build":
        subject.build(path, case)
        print(json.dumps({}))
        return
    for module in subject.imports:
        importlib.import_module(module)
    imported_bytes = peak_bytes()
    run = subject.open(path, case)
    batches = benchmark.inputs(case)

    def passed_ms():
        start = time.perf_counter()
        for ids in batches:
            run(ids)
        return 1e3 * (time.perf_counter() - start)

    start = time.perf_counter()
    run(batches[0])
    last_ms = 1e3 * (time.perf_counter() - start) * len(batches)
    if last_ms < WARM_BELOW_MS:
        last_ms = passed_ms()
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    print(json.dumps({"file_bytes": size, "texts": sum(len(ids) for ids in batches)}), flush=True)
    for _ in sys.stdin:
        if last_ms < WARM_BELOW_MS:
            passed_ms()
        last_ms = passed_ms()
        print(json.dumps({"ms": last_ms}), flush=True)
    print(json.dumps({"peak_bytes": peak_bytes() - imported_bytes}), flush=True)


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def started(action, name, folder, case):
    arguments = [str(n) for n in (case.length, case.batch, case.threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(case.threads), "TOKENIZERS_PARALLELISM": "false"}
    script = str(Path(sys.argv[0]).resolve())
    command = [script, "--worker", action, name, str(folder), *arguments]
    return child_from_arguments(command, environment=environment, folder=Path(__file__).parents[1])


def measured(case, subjects, rounds, folder):
    """Build what is missing, open everything, take turns; one result by name, with a reason where there is no time."""
    from fnet_export.engine.sessions.timing import in_turns  # its imports are not to be in the workers' memory

    with contextlib.ExitStack() as stack:
        results, opened = {}, {}
        for name, subject in subjects.items():
            doing, place = "built", model_path(folder, name, subject, case).parent
            try:
                if not place.exists():
                    with started("build", name, folder, case) as child:
                        child.answer()
                doing = "run"
                opened[name] = stack.enter_context(started("run", name, folder, case))
                results[name] = opened[name].answer() | {"ms": []}
                print(f"  {name}: opened", file=sys.stderr)
            except BenchError as error:
                results[name] = {"failed": f"cannot be {doing}: {error}"}
                if doing == "built":
                    shutil.rmtree(place, ignore_errors=True)
        for name in in_turns([name for name in subjects if "ms" in results[name]], rounds=rounds, pause_s=PAUSE_S):
            try:
                if "ms" in results[name]:
                    results[name]["ms"].append(opened[name].ask()["ms"])
            except BenchError as error:
                results[name] = {"failed": f"ended while running: {error}"}
        for name, result in results.items():
            if "ms" in result:
                result |= opened[name].last_answer()
    for result in results.values():
        if "ms" in result:
            low, median, high = statistics.quantiles(result["ms"], n=4)
            result |= {"median_ms": median, "quartiles_ms": [low, high]}
    return results


# ---- results


def host():
    cpu = next((x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), "?")
    flags = Path("/proc/cpuinfo").read_text()
    simd = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return {"cpu": cpu, "simd": simd, "cores": os.cpu_count(), "python": platform.python_version()} | {
        name: installed_version(name) for name in LIBRARIES
    }


def installed_version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def report_from_file(path, host):
    """What was measured before on this host, to add cases to; else a report without cases."""
    before = json.loads(path.read_text()) if path.exists() else {}
    return before if before.get("host") == host else {"host": host, "cases": []}


def add(report, case, results):
    """Put results into a report, in place of earlier ones of the same subjects."""
    found = next((c for c in report["cases"] if all(c[key] == value for key, value in vars(case).items())), None)
    if found is None:
        report["cases"].append(found := vars(case) | {"results": {}})
    found["results"] |= results
    report["cases"].sort(key=lambda c: (c["length"], c["batch"], c["threads"]))


def table(report, title):
    lines = [f"# {title.capitalize()}\n\n{', '.join(f'{k} {v}' for k, v in report['host'].items())}; fp32, interleaved.\n"]
    for case in report["cases"]:
        length = f"{case['length']} tokens" if case["length"] else "The built-in e-mails"
        lines.append(f"\n## {length}, batch {case['batch']}, {case['threads']} threads\n")
        lines.append("| subject | median ms | quartiles | texts/s | rounds | x ours | peak MB | files MB |")
        lines.append("|---" * 8 + "|")
        ours = case["results"].get("ours", {}).get("median_ms")
        for name, r in case["results"].items():
            if "failed" in r:
                lines.append(f"| {name} | {r['failed']} | | | | | | |")
                continue
            low, high = r["quartiles_ms"]
            ratio = f"{r['median_ms'] / ours:.2f}" if ours else ""
            sizes = f"{r['peak_bytes'] / 1e6:.0f} | {r['file_bytes'] / 1e6:.0f}"
            speed = 1e3 * r.get("texts", case["batch"]) / r["median_ms"]  # older results have one batch in a pass
            times = f"{r['median_ms']:.1f} | {low:.1f} to {high:.1f} | {speed:.3g} | {len(r['ms'])}"
            lines.append(f"| {name} | {times} | {ratio} | {sizes} |")
    return "\n".join(lines) + "\n"


def main(benchmark):
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        action, name, folder, *numbers = sys.argv[2:]
        worker(benchmark, action, name, folder, Case(*map(int, numbers)))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--lengths", type=int, nargs="+", default=benchmark.lengths)
    parser.add_argument("--batches", type=int, nargs="+", default=benchmark.batches)
    parser.add_argument("--threads", type=int, nargs="+", default=benchmark.threads)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--subjects", nargs="+", choices=benchmark.subjects, default=list(benchmark.subjects))
    parser.add_argument("--output", default=benchmark.name, help="name of the files under benchmarks/results")
    options = parser.parse_args()
    if options.rounds < MIN_ROUNDS:
        parser.error(f"--rounds: expected {MIN_ROUNDS} or more, for quartiles; found {options.rounds}")
    RESULTS.mkdir(exist_ok=True)
    report = report_from_file(RESULTS / f"{options.output}.json", host())
    subjects = {name: benchmark.subjects[name] for name in options.subjects}
    with tempfile.TemporaryDirectory() as folder:
        for length, batch in itertools.product(options.lengths, options.batches):
            for threads in options.threads:
                case = Case(length, batch, threads)
                print(case, file=sys.stderr)
                some = {name: subject for name, subject in subjects.items() if case.length or not subject.one_length}
                add(report, case, measured(case, some, options.rounds, folder))
                (RESULTS / f"{options.output}.json").write_text(json.dumps(report, indent=1) + "\n")
                (RESULTS / f"{options.output}.md").write_text(table(report, options.output))
            for name, subject in subjects.items():
                if not subject.every_length:
                    shutil.rmtree(model_path(folder, name, subject, case).parent, ignore_errors=True)
    benchmark.chart(report, RESULTS / f"{options.output}.svg")
    print(table(report, options.output))
