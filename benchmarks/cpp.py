"""The C++ runtime beside the Python one: opening a bundle, text to label, tokenisation; and C++ asked by many threads for long.

Each language has a process of its own with the same file of ONNX Runtime; the two take turns, the other one first each round. A
turn of `open` is one opening, with the files in the page cache; a turn of the others goes through held-out e-mails, one by one. The
last column is the median over rounds of C++'s time over Python's in the same round. Memory of the many threads is resident memory
after the first thousand of all requests, and after the last.

    python benchmarks/cpp.py [--rounds 15] [--texts 20] [--threads 1 --threads 2] [--bundles NAME ...] [--requests 10000]

It needs `make cpp`.
"""

import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import onnxruntime
from peers import transformers_model
from turns import MIN_ROUNDS, PAUSE_S, RESULTS, host

from fnet_core.checkpoint.open import BUILT_IN
from fnet_export.benchmark.child import Child, child_from_arguments
from fnet_export.engine.sessions.timing import in_turns
from fnet_export.texts.emails import emails

ROOT = Path(__file__).parents[1]
WORKER = Path(__file__).parent / "cpp_worker.py"
PROGRAM = ROOT / "runtimes" / "cpp" / "build" / "default" / "tests" / "fnet_bench"
CPP, PYTHON = "C++", "Python"

FLAVOURS = ("sentencepiece", "fnet-slow", "fnet-fast", "fnet-v5")
LENGTH = 512
"""Tokens that texts are padded to where tokenisation alone is timed."""
SOAK_CALLERS = 8
SOAK_TEXTS = 100
"""So few that every thread has had all of them by the first thousand requests."""

Job = dict[str, Any]


# ---- what is opened


def checkpoint_of_sizes(folder: Path, **sizes: int) -> Path:
    """Random weights beside the built-in vocabulary."""
    transformers_model("FNet", **sizes).save_pretrained(folder)
    (folder / "spiece.model").write_bytes((BUILT_IN / "spiece.model").read_bytes())
    return folder


CHECKPOINTS = {
    "built-in": lambda folder: BUILT_IN,
    "fnet-base, 128 tokens": lambda folder: checkpoint_of_sizes(folder, length=128),
    "tiny": lambda folder: checkpoint_of_sizes(folder, length=32, vocabulary=8000, hidden=16, layers=1, intermediate=16),
}


def bundle_from_name(name: str, folder: Path) -> Path:
    """Write a bundle as the export does, but for its proof, which takes minutes; golden.safetensors is empty."""
    from fnet_export.base.progress import Quiet
    from fnet_export.bundle.folder import files_from_folder
    from fnet_export.plan.graphs import graphs_from_plan
    from fnet_export.plan.manifest import manifest_from_plan
    from fnet_export.plan.options import EngineOptions, ExportOptions, ModelOptions, OutputOptions
    from fnet_export.plan.plan import plan_from_options
    from fnet_export.texts.tokenizer.config import write_tokenizer

    bundle = folder / name
    checkpoint = CHECKPOINTS[name](folder / f"{name} checkpoint")
    plan = plan_from_options(
        ExportOptions(
            model=ModelOptions(task="sequence-classification", checkpoint=str(checkpoint)),
            engine=EngineOptions(target="onnx"),
            output=OutputOptions(folder=bundle),
        )
    )
    bundle.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        graphs_from_plan(plan, bundle, Path(scratch), Quiet())
    write_tokenizer(bundle, plan.tokenizer, sequence_length=plan.trained.sequence_length)
    (bundle / "config.json").write_text(plan.trained.config.to_json())
    (bundle / "golden.safetensors").write_bytes(b"")
    (bundle / "manifest.json").write_text(manifest_from_plan(plan, files=files_from_folder(bundle)).to_json())
    return bundle


def tokenizer_file(flavour: str, folder: Path) -> Path:
    """The built-in vocabulary as a flavour reads it."""
    from fnet_export.texts.tokenizer.from_spiece import fast_from_spiece, proto_from_bytes, v5_from_spiece

    spiece = BUILT_IN / "spiece.model"
    if flavour in ("f_net", "sentencepiece", "fnet-slow"):
        return spiece
    proto = proto_from_bytes(spiece.read_bytes(), name=spiece.name)
    made = v5_from_spiece(proto) if flavour == "fnet-v5" else fast_from_spiece(proto, do_lower_case=False, keep_accents=True)
    path = folder / f"{flavour}.json"
    path.write_text(made.to_str())
    return path


# ---- turns


@contextlib.contextmanager
def opened(language: str, action: str, job: Job, program: Path) -> Iterator[Child]:
    library = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    environment = os.environ | {"FNET_ONNXRUNTIME": str(library), "ORT_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = {CPP: (str(program), [action]), PYTHON: (sys.executable, [str(WORKER), action])}
    with child_from_arguments(command[language][1], program=command[language][0], environment=environment) as child:
        child.ask(job)
        yield child


def compared(action: str, job: Job, *, rounds: int, program: Path) -> Job:
    """Milliseconds of both languages, a turn a round, after one turn that is not counted."""
    with contextlib.ExitStack() as stack:
        children = {name: stack.enter_context(opened(name, action, job, program)) for name in (CPP, PYTHON)}
        times: dict[str, list[float]] = {name: [] for name in children}
        for name in in_turns(list(children), rounds=rounds + 1, pause_s=PAUSE_S):
            times[name].append(children[name].ask()["ms"])
    result: Job = {}
    for name, found in times.items():
        low, median, high = statistics.quantiles(found[1:], n=4)
        result[name] = {"ms": found[1:], "median_ms": median, "quartiles_ms": [low, high]}
    ratios = [ours / theirs for ours, theirs in zip(*(result[name]["ms"] for name in (CPP, PYTHON)), strict=True)]
    return result | {"ratio": statistics.median(ratios)}


def soaked(job: Job, *, program: Path) -> Job:
    with opened(CPP, "soak", job, program) as child:
        found = child.ask()
    return {"callers": job["callers"], **found, "growth": found["memory_kb"][-1] / found["memory_kb"][0] - 1}


# ---- results


def table(report: Job) -> str:
    lines = ["# Cpp", "", ", ".join(f"{k} {v}" for k, v in report["host"].items()) + "; fp32, interleaved."]
    for title, rows in report["compared"].items():
        lines += [
            "",
            f"## {title}",
            "",
            "| case | C++ ms | quartiles | Python ms | quartiles | rounds | C++ / Python |",
            "|---" * 7 + "|",
        ]
        for case, row in rows.items():
            cells = [case]
            for name in (CPP, PYTHON):
                low, high = row[name]["quartiles_ms"]
                cells += [f"{row[name]['median_ms']:.3g}", f"{low:.3g} to {high:.3g}"]
            lines.append(f"| {' | '.join(cells)} | {len(row[CPP]['ms'])} | {row['ratio']:.3f} |")
    lines += ["", "## Many threads", "", "| bundle | threads | requests | errors | other answers | first MB | last MB | growth |"]
    lines.append("|---" * 8 + "|")
    for name, row in report["soaked"].items():
        first, last = (row["memory_kb"][i] / 1e3 for i in (0, -1))
        cells = [name, row["callers"], row["requests"], row["errors"], row["different"], f"{first:.2f}", f"{last:.2f}"]
        lines.append(f"| {' | '.join(map(str, cells))} | {row['growth']:+.2%} |")
    return "\n".join(lines) + "\n"


@click.command(help=__doc__)
@click.option("--rounds", type=click.IntRange(MIN_ROUNDS), default=15, show_default=True)
@click.option("--texts", type=click.IntRange(1), default=20, show_default=True, help="E-mails of a turn of text to label.")
@click.option("--threads", type=int, multiple=True, default=(1, 2), show_default=True, help="Of ONNX Runtime.")
@click.option("--bundles", type=click.Choice(list(CHECKPOINTS)), multiple=True, default=list(CHECKPOINTS)[:2], show_default=True)
@click.option("--requests", type=click.IntRange(250), default=10_000, show_default=True, help="Of each of the soak's threads.")
@click.option("--program", type=click.Path(exists=True, path_type=Path), default=PROGRAM, help="The built fnet_bench.")
@click.option("--results", type=click.Path(file_okay=False, path_type=Path), default=RESULTS, help="Folder of cpp.json and cpp.md.")
def main(
    rounds: int, texts: int, threads: tuple[int, ...], bundles: tuple[str, ...], requests: int, program: Path, results: Path
) -> None:
    versions = {name: version(name) for name in ("sentencepiece", "tokenizers")}
    report: Job = {"host": host() | versions, "compared": {}, "soaked": {}}
    turns = {"rounds": rounds, "program": program}

    def add(title: str, case: str, result: Job) -> None:
        report["compared"].setdefault(title, {})[case] = result
        click.echo(f"{title}, {case}: {result['ratio']:.3f}", err=True)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in bundles:
            job = {"bundle": str(bundle_from_name(name, folder)), "threads": max(threads), "texts": emails()[:texts]}
            add("Opening a bundle", name, compared("open", {**job, "texts": [""]}, **turns))
            for count in threads:
                add("Text to label, per e-mail", f"{name}, {count} threads", compared("answer", {**job, "threads": count}, **turns))
        for flavour in FLAVOURS:
            job = {"file": str(tokenizer_file(flavour, folder)), "flavour": flavour, "length": LENGTH, "texts": emails()}
            add("Text to model inputs, per e-mail", flavour, compared("tokenise", job, **turns))
        bundle = folder / "tiny" if "tiny" in bundles else bundle_from_name("tiny", folder)
        job = {"bundle": str(bundle), "threads": 1, "texts": emails()[:SOAK_TEXTS], "callers": SOAK_CALLERS, "requests": requests}
        report["soaked"]["tiny"] = soaked(job, program=program)
    results.mkdir(exist_ok=True)
    (results / "cpp.json").write_text(json.dumps(report, indent=1) + "\n")
    (results / "cpp.md").write_text(table(report))
    click.echo(table(report))


if __name__ == "__main__":
    main()
