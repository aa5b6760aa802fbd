"""Bisect: where the graph of a bundle departs from the model that it was made of, block by block, then node by node.

Every block is fed what the float64 reference holds there, so that an error is the block's own and is not carried on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from fnet_runtime.bundle.manifest import BF16, FP32, MODEL, POSITIONS, Manifest
from fnet_runtime.pipeline.measures import is_finite, largest_magnitude, relative_error
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.session import Ids
from torch import Tensor

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import Checkpoint
from fnet_core.fnet import FNet
from fnet_core.tasks import ATTENTION_MASK, Task, task_of_config
from fnet_export.base.errors import GraphError
from fnet_export.graph.parts import (
    FLOATS,
    NodeByNode,
    OrtPart,
    Part,
    Values,
    part_from_graph,
    rounded,
    typed,
    values_in_float64,
)
from fnet_export.parity.bisect.cuts import cut_from_part
from fnet_export.parity.bisect.node_errors import Departure, departures_from_part, unit
from fnet_export.parity.bisect.rebuilt import float32_of_manifest, fresh_from_float32, lowered_of_manifest, task_of_manifest
from fnet_export.parity.tolerance import MULTIPLE
from fnet_export.precision.half import FLOAT32, HALVES
from fnet_export.precision.steps import Step, module_of_place, steps_from_graph
from fnet_export.texts.samples import Samples

ROWS_AT_ONCE = 4

Array = npt.NDArray[np.generic]
OnProgress = Callable[[int, int], None]
Engine = Callable[[ir.Model, Sequence[Values]], Part]
"""Builds an engine of a part of the graph, for the shapes of everything that the part will be fed."""


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """One step of the graph against the reference: the checkpoint's name of it, and its departure."""

    module: str
    departure: Departure


@dataclass(frozen=True, kw_only=True)
class Place:
    """Locate where a graph departs: the module by the checkpoint's name, the node, and what differs.

    `node` and `operator` are None if a block departs and no node does that runs alone.
    """

    module: str
    node: str | None
    operator: str | None
    departure: Departure
    differs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Bisection:
    """Every step of the graph, and the first place that departs; None where nothing does."""

    samples: int
    steps: tuple[StepResult, ...]
    place: Place | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """What a bisection is of: a bundle's graph, a fresh one of the same checkpoint, in float32 as well, and the model as trained.

    `reference` is that in float64, `rounded` in float32, whose rounding is independent of any graph.
    """

    manifest: Manifest
    task: Task
    reference: FNet
    rounded: FNet
    shipped: ir.Model
    float32: ir.Model
    fresh: ir.Model
    tokens: npt.NDArray[np.int64] = field(repr=False)
    hidden: npt.NDArray[np.int64] = field(repr=False)

    def ordered(self, x: Tensor) -> Array:
        """Put `float64[batch, sequence, hidden]` in the order of the graph."""
        return x.numpy()[:, self.tokens[: x.shape[1]]][:, :, self.hidden]  # a graph for any length leaves tokens as they are

    def natural(self, x: Array) -> Tensor:
        """Undo `ordered`."""
        return torch.from_numpy(x[:, np.argsort(self.tokens[: x.shape[1]])][:, :, np.argsort(self.hidden)])


def subject_from_bundle(folder: Path, manifest: Manifest, checkpoint: Checkpoint) -> Subject:
    """Open a bundle's graph, and make a fresh one of its checkpoint.

    Raises SessionError for a graph that cannot be opened, CheckpointError and GraphError.
    """
    task = task_of_manifest(manifest)
    random_head, length = manifest.source.random_head, manifest.sequence_length

    def read(dtype: torch.dtype) -> FNet:
        return model_from_checkpoint(checkpoint, task, sequence_length=length, dtype=dtype, random_head=random_head)

    if manifest.precision != BF16:  # which no session on a CPU opens
        OrtSession(folder / MODEL, manifest.inputs)  # which says why, where it cannot be opened
    shipped = typed(_loaded(folder / MODEL))
    rounded = read(torch.float32)
    lowered = lowered_of_manifest(rounded, task, manifest)
    float32 = float32_of_manifest(lowered, manifest, shipped)
    return Subject(
        manifest=manifest,
        task=task_of_config(task, checkpoint.config),
        reference=read(torch.float64),
        rounded=rounded,
        shipped=shipped,
        float32=float32,
        fresh=typed(fresh_from_float32(float32, rounded, manifest, shipped)),
        tokens=lowered.ids_order.numpy(),
        hidden=np.argsort(lowered.hidden_back.numpy()),
    )


def bisection_from_subject(
    subject: Subject, samples: Samples, on_progress: OnProgress | None = None, *, engine: Engine | None = None
) -> Bisection:
    """Walk the graph of a bundle, and find the first place that departs from a fresh graph and from the reference.

    `engine` runs the steps in place of ONNX Runtime. The nodes of a step still run in ONNX Runtime first, to find an error of the
    graph itself. In another precision than float32 a block's own rounding hides small errors, so all nodes are looked at where no
    block departs. Raises SessionError when a library does not take a part of the graph, EngineError when it builds none, and
    GraphError when the graph cannot be cut.
    """
    config = subject.reference.config
    steps = steps_from_graph(subject.shipped, config)
    results: list[StepResult] = []
    first: Place | None = None
    for index, walked in enumerate(_walked(subject, steps, samples, engine)):
        step = walked.step
        results.append(StepResult(module=_title(subject, step), departure=walked.departure))
        if first is None and (walked.departure.departs or subject.manifest.precision != FP32):
            first = _place(subject, walked, engine)
        if on_progress is not None:
            on_progress(index + 1, len(steps))
    return Bisection(samples=len(samples.names), steps=tuple(results), place=first)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Walked:
    """A step that was run: what went into it in the worst row, and the node that overflowed."""

    step: Step
    departure: Departure
    shipped: ir.Model
    values: Values
    overflow: ir.Node | None


def _walked(subject: Subject, steps: list[Step], samples: Samples, engine: Engine | None) -> Iterator[_Walked]:
    """Run the steps one after the other, each on the reference's own numbers, a few rows at a time."""
    chunks = [samples.batch(batch) for batch in samples.batches(range(len(samples.names)), ROWS_AT_ONCE)]
    states: list[Tensor | None] = [None for _ in chunks]
    one_token, precision = False, subject.manifest.precision
    least = unit(HALVES.get(precision, FLOAT32))
    for step in steps:
        inputs = [] if step.source is None else [step.source]
        part = part_from_graph(subject.shipped, inputs, step.outputs)
        fresh = part_from_graph(subject.fresh, inputs, step.outputs)
        fed_and_states = [
            _fed(subject, step, ids, state, part, one_token=one_token) for ids, state in zip(chunks, states, strict=True)
        ]
        # in float32 the noise is torch's, so that an error which every export makes is found as well
        run, beside = (_opened(model, step, precision) for model in (part, fresh))
        if engine is not None:
            run = engine(part, [fed for fed, _ in fed_and_states])
        worst, noise, values = -1.0, 0.0, {}
        pooled = False
        for number, (ids, (fed, x)) in enumerate(zip(chunks, fed_and_states, strict=True)):
            expected, after = _expected(subject, subject.reference, step, ids, x)
            got = run.run(fed)
            if precision == FP32:
                other, _ = _expected(subject, subject.rounded, step, ids, None if x is None else x.float())
            else:
                other = beside.run(fed)
            if step.source is None or step.block is not None:
                of_one = next(iter(got.values())).shape[1] == 1  # a text of one token looks like a pooled one
                pooled |= of_one and ids["input_ids"].shape[-1] > 1
                if of_one:
                    expected, other = ({name: array[:, :1] for name, array in table.items()} for table in (expected, other))
            states[number] = after
            error = max(relative_error(got[name], expected[name]) for name in step.outputs)
            of_fresh = [relative_error(other[name], expected[name]) for name in step.outputs]
            noise = max(noise, *(e for e in of_fresh if np.isfinite(e)), least)
            if error > worst:
                worst, values = error, _worst_input(fed, got, expected)
        one_token = pooled
        overflow = run.overflow if isinstance(run, NodeByNode) else None
        departure = Departure(error=worst, noise=noise)
        yield _Walked(step=step, departure=departure, shipped=part, values=values, overflow=overflow)


def _opened(part: ir.Model, step: Step, precision: str) -> Part:
    """Open a step in ONNX Runtime; half precision is stored between nodes, because ONNX Runtime's CPU would keep more."""
    return NodeByNode(part) if precision in HALVES else OrtPart(part, name=step.title)


def _loaded(path: Path) -> ir.Model:
    try:
        return ir.load(path)
    except Exception as error:  # protobuf's and onnx_ir's exceptions have no common base
        raise GraphError(f"{path}: is not an ONNX graph ({error}); export again") from error


def _fed(
    subject: Subject, step: Step, ids: dict[str, Ids], state: Tensor | None, part: ir.Model, *, one_token: bool
) -> tuple[Values, Tensor | None]:
    """Return the inputs of a step, for the graph and for the reference. Both are rounded to the graph's types."""
    if step.source is None:
        return dict(ids), None
    assert state is not None
    (source,) = (value for value in part.graph.inputs if value.name == step.source)
    x = rounded(subject.ordered(state), source.dtype).astype(np.float64)
    return {**ids, step.source: x[:, :1] if one_token else x}, subject.natural(x)


def _expected(subject: Subject, model: FNet, step: Step, ids: dict[str, Ids], x: Tensor | None) -> tuple[Values, Tensor | None]:
    """What the reference makes of it: in the order of the graph, and in its own, to go on with."""
    tensors = {name: torch.from_numpy(array) for name, array in ids.items()}
    flat = {name: array.flatten(0, -2) for name, array in tensors.items() if name != POSITIONS}
    encoder = model.encoder
    with torch.inference_mode():
        if step.source is None:
            after = encoder.embeddings(flat["input_ids"], flat["token_type_ids"])
        elif step.block is not None:
            after = encoder.blocks[step.block](x, flat.get(ATTENTION_MASK))
        else:
            assert x is not None
            if POSITIONS in tensors:
                x = x.gather(1, tensors[POSITIONS][..., None].expand(-1, -1, x.shape[-1]))
            outputs = model.outputs(x, tensors["input_ids"].shape)
            return {name: output.numpy() for name, output in zip(step.outputs, outputs, strict=True)}, None
    return {step.outputs[0]: subject.ordered(after)}, after


def _worst_input(fed: Values, got: Values, expected: Values) -> Values:
    """Return the input row of a step whose result is furthest off. Rows of choices stay together."""
    name = next(iter(expected))
    with np.errstate(invalid="ignore"):
        off = np.abs(got[name].astype(np.float64) - expected[name].astype(np.float64)).reshape(len(expected[name]), -1).max(axis=1)
    count = len(fed["input_ids"])
    worst = int(np.argmax(np.where(np.isfinite(off), off, np.inf))) * count // len(off)
    kept = {}
    for key, array in fed.items():
        each = len(array) // count
        kept[key] = array[worst * each : (worst + 1) * each]
    return kept


def _place(subject: Subject, walked: _Walked, engine: Engine | None) -> Place | None:
    """Find the node of a step that departs: the one whose numbers overflow, else the first that is not as a fresh one.

    If each node is as a fresh one, the place is where the engine departs when it runs the nodes together.
    """
    step, config = walked.step, subject.reference.config
    if walked.overflow is not None:
        node = walked.overflow
        module = module_of_place(node, step, config, subject.task)
        return Place(
            module=module,
            node=str(node.name),
            operator=node.op_type,
            departure=walked.departure,
            differs=_overflow(subject, walked, node),
        )
    inputs = [] if step.source is None else [step.source]
    fresh = part_from_graph(subject.fresh, inputs, step.outputs)
    unmatched = []
    for node, departure, differs in departures_from_part(walked.shipped, fresh, walked.values):
        if departure.departs:
            module = module_of_place(node, step, config, subject.task)
            return Place(module=module, node=str(node.name), operator=node.op_type, departure=departure, differs=differs)
        unmatched += [f"{node.name}: {difference}" for difference in differs]
    if not walked.departure.departs:
        return None
    if engine is not None and not unmatched:
        cut = cut_from_part(walked.shipped, walked.values, lambda cut: engine(cut, [walked.values]))
        if cut is not None:
            module = module_of_place(cut.node, step, config, subject.task)
            return Place(
                module=module,
                node=str(cut.node.name),
                operator=cut.node.op_type,
                departure=cut.departure,
                differs=cut.differs,
            )
    differs = tuple(unmatched) or (_of_all(walked, fresh, subject.manifest.precision),)
    return Place(module=_title(subject, step), node=None, operator=None, departure=walked.departure, differs=differs)


def _of_all(walked: _Walked, fresh: ir.Model, precision: str) -> str:
    """Say what it means that a step departs and each of its nodes, run alone, does not."""
    got, other = (_opened(part, walked.step, precision).run(walked.values) for part in (walked.shipped, fresh))
    if all(relative_error(got[name], other[name]) <= MULTIPLE * unit(ir.DataType.FLOAT) for name in walked.step.outputs):
        return (
            "a graph exported now departs as well, and no node of it is wrong by itself: an error of fnet-export; please report it"
        )
    return "each of its nodes computes what it should, run alone; ONNX Runtime does not when it runs them together"


def _overflow(subject: Subject, walked: _Walked, node: ir.Node) -> tuple[str, ...]:
    """Say how large the numbers are that a node makes, and where its type ends."""
    exact = values_in_float64(walked.shipped, walked.values)
    largest = max(largest_magnitude(exact[str(value.name)]) for value in node.outputs if value.name in exact)
    dtype = node.outputs[0].dtype
    if dtype not in FLOATS or not largest > float(dtype.max) or not is_finite(np.array(largest)):
        return ("it makes finite numbers infinite, or none",)
    return (f"its numbers reach {largest:.4g}; {subject.manifest.precision} ends at {float(dtype.max):g}",)


def _title(subject: Subject, step: Step) -> str:
    return step.title if step.source is None or step.block is not None else f"{subject.task.name} head"
