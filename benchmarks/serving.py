"""Throughput and latency of a bundle in a Triton server: against a plain loop over fnet_runtime, and against one request at a time.

Every request is one e-mail. The server runs on this host, and so do its clients, which ask over gRPC. Each client asks again when
it has its answer.

    python benchmarks/serving.py [--bundle DIR] [--rounds 3] [--seconds 3] [--clients 1 4 16]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT / "tests"))


@dataclass(frozen=True)
class Setting:
    """How a model of the repository is served."""

    instances: int
    threads: int
    max_batch_size: int

    def __str__(self):
        batches = f"batches of up to {self.max_batch_size}" if self.max_batch_size > 1 else "no batches"
        return f"server, {self.instances} x {self.threads} threads, {batches}"


def settings(cores):
    return {"whole": Setting(1, cores, 8), "side": Setting(cores, 1, 8), "single": Setting(cores, 1, 1)}


def built_in(folder):
    """Export the built-in model, in a process of its own."""
    words = ["--task", "sequence-classification", "--target", "onnx", "--quick", "--quiet", "--output", str(folder)]
    subprocess.run([sys.executable, "-m", "fnet_export", *words], check=True)
    return folder


def repository(bundle, folder, made):
    from support.triton_server import own_packages

    from fnet_export.bundle.triton.options import RepositoryOptions, ServingOptions
    from fnet_export.bundle.triton.repository import plan_from_options, repository_from_plan

    for name, setting in made.items():
        serving = ServingOptions(**asdict(setting), packages=own_packages())
        options = RepositoryOptions(bundles=(bundle,), repository=folder, name=name, serving=serving)
        repository_from_plan(plan_from_options(options), on_stage=lambda title: None)
    return folder


def looped(pipeline, texts, seconds):
    """Answer one text after another in this process."""
    pipeline(texts[0])
    times, begun = [], time.perf_counter()
    while time.perf_counter() < begun + seconds:
        start = time.perf_counter()
        pipeline(texts[len(times) % len(texts)])
        times.append(1000 * (time.perf_counter() - start))
    return {"times_ms": times, "seconds": time.perf_counter() - begun}


def loaded(server, model, clients, texts, seconds):
    from support.environments import python_of
    from support.triton_server import ENVIRONMENT

    job = {"address": server.grpc, "model": model, "clients": clients, "seconds": seconds, "texts": texts}
    client = Path(__file__).with_name("serving_client.py")
    done = subprocess.run([python_of(ENVIRONMENT), client], input=json.dumps(job), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def summary(way, clients, turns):
    """Sum up the turns of one way."""
    times = np.concatenate([turn["times_ms"] for turn in turns])
    rate = len(times) / sum(turn["seconds"] for turn in turns)
    percentiles = {f"p{p}_ms": round(float(np.percentile(times, p)), 1) for p in (50, 95, 99)}
    return {"way": way, "clients": clients, "texts_per_second": round(rate, 1), **percentiles}


def measure(options):
    import fnet_runtime
    from support.triton_server import running

    from fnet_export.base.environment import environment_of_host
    from fnet_export.texts.emails import emails

    texts, cores = list(emails()), len(os.sched_getaffinity(0))
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        bundle = options.bundle or built_in(work / "spam")
        manifest = json.loads((bundle / "manifest.json").read_text())
        made = settings(cores)
        pipeline = fnet_runtime.load(bundle, threads=cores)
        turns = {(f"plain loop, {cores} threads", 1): []}
        with running(repository(bundle, work / "models", made), work / "server") as server:
            for number in range(options.rounds):
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
                next(iter(turns.values())).append(looped(pipeline, texts, options.seconds))
                for name, setting in made.items():
                    for clients in options.clients:
                        turn = loaded(server, name, clients, texts, options.seconds)
                        turns.setdefault((str(setting), clients), []).append(turn)
        rows = [summary(way, clients, taken) for (way, clients), taken in turns.items()]
    model = {key: manifest[key] for key in ("task", "precision", "sequence_length", "padding")}
    environment = asdict(environment_of_host())
    how = {"rounds": options.rounds, "seconds": options.seconds, "load_before": load}
    return {**how, "model": model, "rows": rows, "environment": environment}


def page(report):
    host, model = report["environment"]["host"], report["model"]
    head = [
        "# Serving",
        "",
        "`benchmarks/serving.py` wrote this page. One request is one e-mail. Each client asks again as soon as it has its answer.",
        f"The server and its clients share {host['cores']} cores ({host['cpu']}). All lines took turns:",
        f"{report['rounds']} turns of {report['seconds']} seconds each.",
        "",
        f"The model takes {model['sequence_length']} tokens at most, with padding `{model['padding']}`, in {model['precision']}.",
        f"The host's load average was {report['load_before']} before the first turn.",
        "",
        "![Texts per second by the number of clients](serving.svg)",
        "",
        "| way | clients | texts/s | p50 ms | p95 ms | p99 ms |",
        "|---|---|---|---|---|---|",
    ]
    keys = ("way", "clients", "texts_per_second", "p50_ms", "p95_ms", "p99_ms")
    return "\n".join([*head, *(f"| {' | '.join(str(row[key]) for key in keys)} |" for row in report["rows"])]) + "\n"


def chart(report, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 4))
    loop, *served = report["rows"]
    for way in dict.fromkeys(row["way"] for row in served):
        rows = [row for row in served if row["way"] == way]
        axis.plot([row["clients"] for row in rows], [row["texts_per_second"] for row in rows], marker="o", label=way)
    axis.axhline(loop["texts_per_second"], color="grey", linestyle="--", label=loop["way"])
    axis.set_xlabel("clients")
    axis.set_ylabel("texts per second")
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    report = measure(options)
    (options.results / "serving.json").write_text(json.dumps(report, indent=2) + "\n")
    (options.results / "serving.md").write_text(page(report))
    chart(report, options.results / "serving.svg")
    print(page(report))


if __name__ == "__main__":
    main()
