"""Find the nodes of a graph to keep in float32, as few as a greedy search finds, so that half precision holds the limits.

Each node runs alone, and every value between two nodes is stored in the type that the graph says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from fnet_runtime.bundle.golden import Golden
from fnet_runtime.pipeline.measures import is_finite, largest_error, relative_rms_error

from fnet_core.config import FNetConfig
from fnet_export.base.counted import counted
from fnet_export.graph.parts import (
    FLOATS,
    NodeByNode,
    OrtPart,
    Values,
    part_from_graph,
    part_of_node,
    typed,
    values_in_float64,
)
from fnet_export.precision.half import FLOAT32_OPERATORS, half_from_graph
from fnet_export.precision.steps import steps_from_graph

TRIED = 24
"""How many of the nodes are tried without, one by one."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Names of nodes to keep in float32, and the largest error of an output, in parts of its limit, before and after.

    If float32 in every node is not enough, `nodes` is empty, and `after` is the error with all nodes in float32.
    """

    kept: tuple[str, ...]
    before: float
    after: float

    @property
    def holds(self) -> bool:
        """Return whether the outputs are within their limits."""
        return self.after <= 1.0


def proposal_from_graph(
    graph: ir.Model,
    precision: str,
    golden: Golden,
    config: FNetConfig,
    *,
    keep: Sequence[str] = (),
    on_progress: Callable[[str], None] = lambda _: None,
) -> Proposal:
    """Find the nodes that half precision needs in float32, in addition to those kept already, to hold the limits of golden inputs.

    Nodes are ranked by the error that half precision makes in each, fed what it should be. Those that overflow come first; then the
    shortest beginning of the ranking that holds is found by halving, and nodes that are not needed are dropped.
    Raises SessionError when ONNX Runtime does not take a node.
    """

    def share(kept: Sequence[str]) -> float:
        on_progress(f"{precision} with {counted(len(kept), 'node')} in float32")
        return _share_of_limit(typed(half_from_graph(graph, precision, keep=kept)), golden)

    before = share(keep)
    if before <= 1.0:
        return Proposal(kept=tuple(keep), before=before, after=before)
    on_progress(f"what {precision} does to each node")
    damages = damages_from_graph(graph, precision, golden, config, keep=keep)
    ranked = list(dict.fromkeys([*keep, *sorted(damages, key=lambda name: -damages[name])]))
    low, high = 0, len(ranked)
    least = sum(name in keep or not np.isfinite(damages[name]) for name in ranked)
    if least and share(ranked[:least]) <= 1.0:
        high = least
    elif share(ranked) > 1.0:
        return Proposal(kept=(), before=before, after=share(ranked))
    else:
        low = least
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if share(ranked[:middle]) <= 1.0 else (middle, high)
    kept = ranked[:high]
    for name in list(reversed(kept))[:TRIED]:
        fewer = [other for other in kept if other != name]
        if share(fewer) <= 1.0:
            kept = fewer
    return Proposal(kept=tuple(kept), before=before, after=share(kept))


def damages_from_graph(
    graph: ir.Model, precision: str, golden: Golden, config: FNetConfig, *, keep: Sequence[str] = ()
) -> dict[str, float]:
    """Return what half precision does to each node of a float32 graph: the root mean square error of what it makes, in parts of it.

    A node is fed what it should be, from golden inputs; where it takes or makes numbers beyond the precision, that is infinite.
    """
    half = typed(half_from_graph(graph, precision, keep=keep))
    halved = {node.name: node for node in half.graph}
    damages: dict[str, float] = {}
    states: list[Values] = [{} for _ in golden.cases]
    for step in steps_from_graph(graph, config):
        part = part_from_graph(graph, [] if step.source is None else [step.source], step.outputs)
        exact = [values_in_float64(part, {**c.inputs, **state}) for c, state in zip(golden.cases, states, strict=True)]
        states = [{name: values[name] for name in step.outputs} for values in exact]
        for twin in part.graph:
            node = halved.get(twin.name)
            if node is not None and node.op_type not in FLOAT32_OPERATORS and node.outputs[0].dtype in FLOATS:
                alone = OrtPart(part_of_node(half, node), name=str(node.name))
                damages[str(twin.name)] = max(_damage(alone, node, twin, values) for values in exact)
    return damages


def _damage(alone: OrtPart, node: ir.Node, twin: ir.Node, exact: Values) -> float:
    fed = {
        str(mine.name): alone.rounded(str(mine.name), exact[str(other.name)])
        for mine, other in zip(node.inputs, twin.inputs, strict=True)
        if mine is not None and other is not None and not mine.is_initializer()
    }
    made = alone.run(fed)
    if not all(is_finite(array) for array in (*fed.values(), *made.values())):
        return float("inf")
    worst = 0.0
    for mine, other in zip(node.outputs, twin.outputs, strict=True):
        worst = max(worst, relative_rms_error(made[str(mine.name)], exact[str(other.name)]))
    return worst


def _share_of_limit(half: ir.Model, golden: Golden) -> float:
    """The largest error of an output, in parts of its limit."""
    nodes, worst = NodeByNode(half), 0.0
    for case in golden.cases:
        outputs = nodes.run(case.inputs)
        for name, reference in case.references.items():
            got = outputs[name][tuple(slice(n) for n in reference.shape)]
            worst = max(worst, largest_error(got, reference) / golden.limits[name])
    return worst
