"""Find where an engine departs when it runs nodes together, by cutting the nodes ever shorter.

An engine fuses nodes, and one of its kernels can be wrong although each node alone is right.
"""

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir
from fnet_runtime.pipeline.measures import relative_error

from fnet_export.graph.parts import FLOATS, NodeByNode, Part, Values, part_from_graph, values_in_float64
from fnet_export.parity.bisect.node_errors import Departure, unit

EIGHT_BITS = (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.FLOAT8E4M3FN)
"""No cut is where such a value would leave the engine, because its products read it inside."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The first node up to which an engine departs, how far, and what is known of it."""

    node: ir.Node
    departure: Departure
    differs: tuple[str, ...]


def cut_from_part(part: ir.Model, values: Values, opened: Callable[[ir.Model], Part]) -> Cut | None:
    """Cut a part that departs in an engine after ever fewer of its nodes, until one node decides whether it departs.

    `values` are what goes into the part, and `opened` makes an engine of what is left. The part in float64 gives the exact numbers.
    Its nodes, each run alone at the precisions of the graph, give the noise. Return None if the engine does not depart on these
    values. Raises as `opened` does, and SessionError.
    """
    nodes = list(part.graph)
    ends = [(index, names) for index, names in enumerate(_values_across(part)) if names]
    names = list(dict.fromkeys(name for _, across in ends for name in across))
    exact = values_in_float64(part, values)
    stored = NodeByNode(part_from_graph(part, _inputs(part), names)).run(values)
    dtypes = {str(value.name): value.dtype for node in nodes for value in node.outputs}

    def departure_at(across: list[str]) -> Departure:
        got = opened(part_from_graph(part, _inputs(part), across)).run(values)
        departures = [
            Departure(
                error=relative_error(got[name], exact[name]),
                noise=max(relative_error(stored[name], exact[name]), unit(dtypes[name])),
            )
            for name in across
        ]
        return max(departures, key=lambda departure: departure.error / departure.limit)

    right, wrong = -1, len(ends) - 1
    departure = departure_at(ends[wrong][1])
    if not departure.departs:
        return None
    while wrong - right > 1:
        middle = (right + wrong) // 2
        here = departure_at(ends[middle][1])
        if here.departs:
            wrong, departure = middle, here
        else:
            right = middle
    between = nodes[(ends[right][0] + 1) if right >= 0 else 0 : ends[wrong][0] + 1]
    return Cut(node=between[-1], departure=departure, differs=_differences(between, nodes[ends[right][0]] if right >= 0 else None))


def _differences(between: list[ir.Node], before: ir.Node | None) -> tuple[str, ...]:
    """Say what is known of the nodes after which the engine departs."""
    last = "it departs from the beginning" if before is None else f"up to the node before, {before.name}, it does not depart"
    lines = ["run alone in ONNX Runtime, the node computes what it should; the engine departs when it runs the step up to it", last]
    if len(between) > 1:
        lines.append(f"no cut is possible between the nodes {', '.join(str(node.name) for node in between)}")
    return tuple(lines)


def _inputs(part: ir.Model) -> list[str]:
    return [str(value.name) for value in part.graph.inputs]


def _values_across(part: ir.Model) -> list[list[str]]:
    """After each node, name the float values that later nodes or the outputs read; none where an 8-bit value would be cut.

    Values that do not depend on the inputs, such as weights, are left out.
    """
    nodes, outputs = list(part.graph), set(part.graph.outputs)
    last = {value: index for index, node in enumerate(nodes) for value in node.inputs if value is not None}
    known = set(part.graph.inputs)
    alive: list[ir.Value] = []
    across = []
    for index, node in enumerate(nodes):
        if any(value in known for value in node.inputs):
            known.update(node.outputs)
            alive += node.outputs
        alive = [value for value in alive if value in outputs or last.get(value, -1) > index]
        cuttable = all(value.dtype not in EIGHT_BITS for value in alive)
        across.append([str(value.name) for value in alive if value.dtype in FLOATS] if cuttable else [])
    return across
