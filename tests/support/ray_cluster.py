"""Runs a Ray cluster of several nodes on this host, by the words on standard input, and answers each with a line.

`nodes N` adds N nodes of 2 CPUs, `kill-node` ends the last of them at once, `kill-worker` kills a process that answers parts, and
the end of the input stops everything.
"""

import os
import signal
import sys
from pathlib import Path

from ray.cluster_utils import Cluster

ACTOR = b"PartWriter"
"""What Ray calls a process of the example while it answers a part."""


def workers():
    own = f"RAY_TMPDIR={os.environ['RAY_TMPDIR']}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, variables = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if command.startswith(b"ray::") and ACTOR in command and own in variables:
            yield int(folder.name)


def main():
    cluster = Cluster()
    cluster.add_node(num_cpus=int(sys.argv[1]), object_store_memory=100 << 20, include_dashboard=False)  # the head
    nodes = []
    print(cluster.address, flush=True)
    for line in sys.stdin:
        word, *numbers = line.split()
        if word == "nodes":
            nodes += [cluster.add_node(num_cpus=2, object_store_memory=100 << 20) for _ in range(int(numbers[0]))]
            cluster.wait_for_nodes()
            print(len(nodes), flush=True)
        elif word == "kill-node":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            print(len(nodes), flush=True)
        elif word == "kill-worker":
            found = sorted(workers())
            for worker in found[:1]:
                os.kill(worker, signal.SIGKILL)
            print(len(found[:1]), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
