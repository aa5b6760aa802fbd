"""Compares a graph with a fresh one of the same checkpoint, node by node. Each node is fed exact inputs, so an error is its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from fnet_runtime.bundle.manifest import BF16, FP16, FP32
from fnet_runtime.pipeline.measures import largest_error, relative_error

from fnet_export.graph.parts import OrtPart, node_in_float64, part_of_node, values_in_float64
from fnet_export.parity.tolerance import MULTIPLE, UNIT

UNITS = {ir.DataType.FLOAT: UNIT[FP32], ir.DataType.FLOAT16: UNIT[FP16], ir.DataType.BFLOAT16: UNIT[BF16]}
Arrays = Mapping[str, npt.NDArray[np.generic]]
Key = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Departure:
    """How far a node, or a part, is from what it should be: largest errors, in parts of the largest number that there should be.

    `noise` is what rounding alone was measured to do there.
    """

    error: float
    noise: float

    @property
    def limit(self) -> float:
        """Return the largest error that is taken for rounding: a multiple of what was measured there, on the same input.

        Both are the largest of many thousands: healthy graphs came to 4.4 times torch's rounding, which sums in another order.
        """
        return MULTIPLE * self.noise

    @property
    def departs(self) -> bool:
        """Return whether the error is more than rounding. An error that is not finite always is."""
        return not self.error <= self.limit or not np.isfinite(self.error)


def unit(dtype: ir.DataType | None) -> float:
    """Half the distance of two neighbouring numbers of a float type, in parts of them; nothing for whole numbers."""
    return UNITS.get(dtype, 0.0) if dtype is not None else 0.0


def departures_from_part(
    shipped: ir.Model, fresh: ir.Model, values: Arrays
) -> Iterator[tuple[ir.Node, Departure, tuple[str, ...]]]:
    """Run each node of one part alone, on what a fresh one computes in float64 up to there: nodes, departures, what differs.

    `values` are what goes into both. A node that has no twin of its name in the fresh part is run on what it is given.
    """
    twins = _keyed(fresh.graph)
    exact = values_in_float64(fresh, values)
    seen = dict(values)
    for key, node in _keyed(shipped.graph).items():
        twin = twins.get(key)
        got = OrtPart(part_of_node(shipped, node), name=str(node.name)).run(seen)
        if twin is None or len(twin.outputs) != len(node.outputs):
            want = node_in_float64(shipped, node, seen)
            beside = {name: want[name] for name in got}
            differs: tuple[str, ...] = ("a fresh graph has no such node",)
        else:
            computed = OrtPart(part_of_node(fresh, twin), name=str(twin.name)).run(exact)
            want, beside = (
                {
                    str(output.name): table[str(twin_output.name)]
                    for output, twin_output in zip(node.outputs, twin.outputs, strict=True)
                    if output.name
                }
                for table in (exact, computed)
            )
            differs = differences_of_nodes(node, twin)
        yield node, _departure(node, got, want, beside), differs
        seen |= want


def _departure(node: ir.Node, got: Arrays, want: Arrays, beside: Arrays) -> Departure:
    error, noise = 0.0, 0.0
    for output in node.outputs:
        name = str(output.name)
        if name in got:
            error = max(error, relative_error(got[name], want[name]))
            error_beside = relative_error(beside[name], want[name])
            noise = max(noise, unit(output.dtype), error_beside if np.isfinite(error_beside) else 0.0)
    return Departure(error=error, noise=noise)


def differences_of_nodes(node: ir.Node, twin: ir.Node) -> tuple[str, ...]:
    """Say what of a node is not as in its twin: the operator, attributes, weights, where its inputs come from."""
    differences = [f"operator {node.op_type}, not {twin.op_type}"] if node.op_type != twin.op_type else []
    for name in sorted({*node.attributes, *twin.attributes}):
        got, want = (_attribute(one, name) for one in (node, twin))
        if got != want:
            differences.append(f"{name} {got}, not {want}")
    for index in range(max(len(node.inputs), len(twin.inputs))):
        mine, other = (one.inputs[index] if index < len(one.inputs) else None for one in (node, twin))
        difference = _difference(mine, other)
        if difference:
            differences.append(f"input {index}: {difference}")
    return tuple(differences)


def _attribute(node: ir.Node, name: str) -> str:
    value = node.attributes.get(name)
    if value is None:
        return "unset"
    return f"{value.value:g}" if isinstance(value.value, float) else str(value.value)


def _difference(mine: ir.Value | None, other: ir.Value | None) -> str:
    if mine is None or other is None:
        return "" if mine is other else f"{_origin(mine)}, not {_origin(other)}"
    if mine.const_value is None or other.const_value is None:
        origins = _origin(mine), _origin(other)
        same = origins[0] == origins[1]
        return "" if same else f"{origins[0]}, not {origins[1]}"
    got, want = mine.const_value.numpy(), other.const_value.numpy()
    if got.shape != want.shape or got.dtype != want.dtype:
        return f"{mine.name} is {got.dtype}{list(got.shape)}, not {want.dtype}{list(want.shape)}"
    count = int(np.count_nonzero(got != want))
    if not count:
        return ""
    return f"{count} of {got.size} numbers of {mine.name} differ, by up to {largest_error(got, want):.3g}"


def _origin(value: ir.Value | None) -> str:
    if value is None:
        return "nothing"
    producer = value.producer()
    if producer is None:
        return str(value.name)
    return str(producer.name) if len(producer.outputs) == 1 else f"output {value.index()} of {producer.name}"


def _keyed(graph: ir.Graph) -> dict[Key, ir.Node]:
    """Nodes by name and count: a quantised graph gives several nodes of a module one name."""
    counts: dict[str, int] = {}
    nodes = {}
    for node in graph:
        name = str(node.name)
        counts[name] = counts.get(name, -1) + 1
        nodes[name, counts[name]] = node
    return nodes
