"""Texts per second of one process, and of a job on Ray with several nodes of one CPU each, which are all on this host.

    python benchmarks/ray_nodes.py --bundle BUNDLE [--nodes 2] [--rounds 3] [--repeats 5]

The texts are the built-in e-mails, many times over. Each node has one actor, which uses one core. The time of a job runs from its
first block of answers to its last, so it leaves out the start of the cluster and of the actors. The rounds take turns.
"""

import json
import os
import statistics
import time
from pathlib import Path

import click
import pyarrow as pa
import ray
import ray.data
from fnet_runtime.pipeline.open import load
from fnet_runtime.ray import Answerer
from ray.cluster_utils import Cluster

EMAILS = Path(__file__).parents[1] / "fnet_export" / "texts" / "emails.jsonl"
STORE_BYTES = 100 << 20
BLOCK_ROWS = 25
"""Small beside all rows, since the time of the first block is not counted."""


@click.command()
@click.option("--bundle", required=True, type=click.Path(path_type=Path, exists=True, resolve_path=True))
@click.option("--nodes", "most", default=2, show_default=True, help="Nodes at most; this host should have as many cores.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--repeats", default=5, show_default=True, help="Times that a job answers the e-mails.")
def main(bundle: Path, most: int, rounds: int, repeats: int) -> None:
    """Print the table of docs/scaling.md."""
    texts = [json.loads(line)["text"] for line in EMAILS.read_text("utf-8").splitlines()]
    cluster = Cluster()
    for cpus in (0, *[1] * most):  # the first is the head
        cluster.add_node(num_cpus=cpus, object_store_memory=STORE_BYTES, include_dashboard=False)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    cluster.wait_for_nodes()
    ray.data.DataContext.get_current().enable_progress_bars = False
    rates: dict[int, list[float]] = {nodes: [] for nodes in range(most + 1)}
    for _ in range(rounds):
        for nodes, found in rates.items():
            found.append(on_nodes(bundle, texts, nodes, repeats) if nodes else in_one_process(bundle, texts, repeats))
    ray.shutdown()
    cluster.shutdown()
    print(f"{os.cpu_count()} cores, {rounds} rounds, {repeats * len(texts)} texts each\n")
    print("| what answers | fastest round | median | slowest |\n|---|---|---|---|")
    for nodes, found in rates.items():
        name = f"Ray, nodes of 1 CPU: {nodes}" if nodes else "one process without Ray, threads=1"
        print(f"| {name} | {max(found):.0f} | {statistics.median(found):.0f} | {min(found):.0f} |")


def in_one_process(bundle: Path, texts: list[str], repeats: int) -> float:
    with load(bundle, threads=1) as pipeline:
        pipeline(texts)
        started = time.monotonic()
        for _ in range(repeats):
            pipeline(texts)
        return repeats * len(texts) / (time.monotonic() - started)


def on_nodes(bundle: Path, texts: list[str], nodes: int, repeats: int) -> float:
    blocks = [pa.table({"text": texts[start : start + BLOCK_ROWS]}) for start in range(0, len(texts), BLOCK_ROWS)] * repeats
    answered = ray.data.from_arrow(blocks).map_batches(
        Answerer,
        fn_constructor_args=(bundle,),
        fn_constructor_kwargs={"threads": 1},
        batch_format="pyarrow",
        batch_size=None,
        compute=ray.data.ActorPoolStrategy(size=nodes),
        num_cpus=1,
    )
    times = [time.monotonic() for _ in answered.iter_batches(batch_size=None, prefetch_batches=0)]
    assert len(times) == len(blocks)
    return (repeats * len(texts) - BLOCK_ROWS) / (times[-1] - times[0])


if __name__ == "__main__":
    main()
