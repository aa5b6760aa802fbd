"""What a Ray cluster has, and what the actors of a job need. A job that does not fit would wait for ever."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

from fnet_runtime.errors import ClusterError, LibraryError, OptionError
from fnet_runtime.install import install_line

CPU, GPU = "CPU", "GPU"
READING_CPUS = 1.0
"""The CPUs that Ray Data needs next to the actors, for the tasks that read and write."""


@dataclass(frozen=True, kw_only=True)
class Actors:
    """The actors of a job: their number, and the CPUs and GPUs of each. Each actor opens the bundle once."""

    count: int = 1
    cpus: float = 1
    gpus: float = 0

    def __post_init__(self) -> None:
        if type(self.count) is not int or self.count < 1:
            raise OptionError(f"count: expected at least 1 actor, found {self.count!r}")
        if self.cpus <= 0 or self.gpus < 0:
            raise OptionError(f"expected cpus above 0 and gpus from 0, found {self.cpus!r} and {self.gpus!r}")

    @property
    def threads(self) -> int:
        """Return the cores that one actor may use."""
        return max(1, floor(self.cpus))


def library(name: str) -> Any:
    """Import a module of Ray, or of a library that comes with it. Raises LibraryError."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise LibraryError(f"{name} cannot be imported ({error}); {install_line('ray')}") from error


def check_cluster(actors: Actors, *, reading_cpus: float = READING_CPUS) -> None:
    """Raise ClusterError unless the connected cluster has free CPUs and GPUs for the actors, and free CPUs for reading.

    Starts or joins a cluster as Ray does if this process has not yet.
    """
    ray = library("ray")
    if not ray.is_initialized():
        ray.init()
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    check_resources(actors, nodes, ray.available_resources(), reading_cpus=reading_cpus)


def check_resources(
    actors: Actors, nodes: Sequence[Mapping[str, float]], free: Mapping[str, float], *, reading_cpus: float = READING_CPUS
) -> None:
    """Raise ClusterError unless nodes with these resources have room for the actors. `free` is what other jobs leave over."""
    fitting = sum(_fitting(actors, node) for node in nodes)
    if fitting < actors.count:
        raise ClusterError(
            f"the cluster has room for {fitting} actors of {_shown(actors.cpus, actors.gpus)}, because no actor spans two nodes; "
            f"expected room for {actors.count}. {_remedy(fitting)}"
        )
    for name, each, spare in ((CPU, actors.cpus, reading_cpus), (GPU, actors.gpus, 0.0)):
        total, left = sum(node.get(name, 0.0) for node in nodes), free.get(name, 0.0)
        needed = actors.count * each + spare
        if needed > left:
            most = max(0, floor((left - spare) / each)) if each else actors.count
            raise ClusterError(
                f"{actors.count} actors of {each:g} {name} need {needed:g} {name}s"
                f"{f', with {spare:g} for reading and writing' if spare else ''}; "
                f"the cluster has {total:g}, and {left:g} are free. "
                f"Ray would wait for ever. {_remedy(most)}"
            )


def _fitting(actors: Actors, node: Mapping[str, float]) -> int:
    rooms = [node.get(CPU, 0.0) / actors.cpus]
    if actors.gpus:
        rooms.append(node.get(GPU, 0.0) / actors.gpus)
    return floor(min(rooms))


def _shown(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPU" + (f" and {gpus:g} GPU" if gpus else "")


def _remedy(most: int) -> str:
    fewer = f"Ask for at most {most} actors" if most else "Ask for less of each actor"
    return f"{fewer}, add nodes, or end other jobs"
