"""The layers that OpenVINO runs, from its execution graph and the times of its nodes."""

from collections.abc import Mapping, Sequence

from fnet_runtime.sessions.openvino_session import Operation

from fnet_export.engine.layers.layer import EngineLayer, Run, medians_from_runs, modules_of_names
from fnet_export.engine.words import OF_OPENVINO

REORDER = "___"
"""Between the names of the two nodes that a node of OpenVINO's own is put between."""
NO_LAYERS = ("Input", "Output", "Const")
"""Kinds of nodes that compute nothing."""
MICROSECOND_MS = 1e-3


def runs_from_averages(averages: Sequence[Run]) -> list[Run]:
    """Return the times of each run but the first. OpenVINO gives the average of all runs so far after each run.

    The CPU plugin has no other times (tried with 2026.4), and the first run can take many times as long as the others. OpenVINO
    cuts an average to whole microseconds. So a total of n runs is too small by up to n - 1 of them, and half of that is added.
    """
    runs: list[Run] = []
    before: Mapping[str, float] = {}
    for count, average in enumerate(averages, 1):
        cut_ms = MICROSECOND_MS * (count - 1) / 2
        totals = {name: count * ms + cut_ms if ms else 0.0 for name, ms in medians_from_runs([average]).items()}
        runs.append([(name, max(0.0, total - before.get(name, 0.0))) for name, total in totals.items()])
        before = totals
    return runs[1:]


def layers_from_openvino(
    operations: Sequence[Operation], runs: Sequence[Run], places: Mapping[str, str]
) -> tuple[EngineLayer, ...]:
    """Return the nodes of the execution graph, in the order of execution, without inputs, outputs and constants.

    `places` has the checkpoint's name of each node and value of the exported graph. A node that OpenVINO named itself has the
    modules of the nodes that were fused into it, else those of the node that reads it first.
    """
    by_name = {operation.name: operation for operation in operations}
    medians_ms = medians_from_runs(runs)
    return tuple(
        EngineLayer(
            name=operation.name,
            modules=_modules(operation.name, by_name, places),
            kind=operation.kind,
            precision=OF_OPENVINO.get(operation.precision, operation.precision),
            median_ms=medians_ms[operation.name],
        )
        for operation in sorted(by_name.values(), key=lambda operation: operation.order)
        if operation.kind not in NO_LAYERS and operation.name in medians_ms
    )


def _modules(name: str, by_name: Mapping[str, Operation], places: Mapping[str, str]) -> tuple[str, ...]:
    for _ in by_name:
        operation = by_name.get(name)
        fused = () if operation is None else operation.layers
        modules = modules_of_names((_node(each) for each in (name, *fused)), places)
        if modules or operation is None:
            return modules
        name = operation.reader
    return ()


def _node(name: str) -> str:
    """Return the name of the node of the graph that a name of OpenVINO's begins with: `module/node`, without what follows."""
    return "/".join(name.split(REORDER)[0].split("/")[:2])
