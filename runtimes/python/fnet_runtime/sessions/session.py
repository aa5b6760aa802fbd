"""An opened engine: arrays in, arrays out, and how it runs a batch of any size."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fnet_runtime.bundle.manifest import AxisProfile, TensorInfo
from fnet_runtime.errors import InputError, SessionError

Ids = npt.NDArray[np.int64]
Outputs = dict[str, npt.NDArray[np.floating]]
"""The outputs by name; the manifest says which float each has."""
ANY_BATCH = AxisProfile(min=1, opt=8, max=8)
"""The batch of a session that takes any number of rows. It bounds the memory of long lists."""


class Session(Protocol):
    """An opened engine. `batch` says how many rows it takes at once."""

    batch: AxisProfile

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run `int64` inputs with the axes of the manifest. Any number of threads may call this at once.

        Raises InputError for other inputs, SessionError when the engine fails.
        """
        ...


def notes_from_session(session: Session) -> tuple[str, ...]:
    """Return what a user should know of an opened session: the nodes that a provider left to the CPU."""
    notes: tuple[str, ...] = getattr(session, "notes", ())
    return notes


def checked_inputs(inputs: Mapping[str, Ids], expected: Sequence[TensorInfo]) -> dict[str, Ids]:
    """Return the inputs in the order of the manifest, contiguous.

    Raises InputError for a missing or unknown name, another dtype or rank, or a fixed axis of another length. Raises it also for
    an open axis that is empty or differs between inputs.
    """
    names = [tensor.name for tensor in expected]
    if set(inputs) != set(names):
        raise InputError(f"expected the inputs {', '.join(names)}; found {', '.join(sorted(inputs)) or 'none'}")
    open_axes: dict[str, int] = {}
    for tensor in expected:
        array = inputs[tensor.name]
        if array.dtype != tensor.dtype:
            raise InputError(f"{tensor.name}: expected {tensor.dtype}, found {array.dtype}")
        expected_shape = [
            open_axes.setdefault(a, n) if isinstance(a, str) else a for a, n in zip(tensor.axes, array.shape, strict=False)
        ]
        if array.ndim != len(tensor.axes) or list(array.shape) != expected_shape or 0 in array.shape:
            raise InputError(
                f"{tensor.name}: expected the axes {list(tensor.axes)}, none empty; found the shape {list(array.shape)}"
            )
    return {name: np.ascontiguousarray(inputs[name]) for name in names}


def check_graph_inputs(model: Path, graph_inputs: Sequence[TensorInfo], expected: Sequence[TensorInfo]) -> None:
    """Raise SessionError unless an opened graph has exactly the inputs of the manifest, in any order."""
    if sorted(graph_inputs, key=_name) != sorted(expected, key=_name):
        raise SessionError(
            f"{model}: expected the inputs {_shown(expected)}, found {_shown(graph_inputs)}; export the bundle again"
        )


def _name(tensor: TensorInfo) -> str:
    return tensor.name


def _shown(tensors: Sequence[TensorInfo]) -> str:
    return ", ".join(f"{t.name} {t.dtype}{list(t.axes)}" for t in tensors)


def outputs_of_rows(session: Session, rows: Sequence[Mapping[str, Ids]]) -> Iterator[tuple[int, Outputs]]:
    """Run rows, each with a batch axis of 1, and return the number and the outputs of each row as its batch is done.

    Rows of one shape run as batches, so no row is padded for the sake of another. Raises as `run_in_batches` does.
    """
    numbers_by_shape: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for number, row in enumerate(rows):
        numbers_by_shape.setdefault(tuple(array.shape for array in row.values()), []).append(number)
    for numbers in numbers_by_shape.values():
        for start in range(0, len(numbers), session.batch.max):
            batch = numbers[start : start + session.batch.max]
            inputs = {name: np.concatenate([rows[number][name] for number in batch]) for name in rows[batch[0]]}
            outputs = run_in_batches(session, inputs)
            for index, number in enumerate(batch):
                yield number, {name: array[index : index + 1] for name, array in outputs.items()}


def run_in_batches(session: Session, inputs: Mapping[str, Ids]) -> Outputs:
    """Run any number of rows: at once up to `batch.max`, else `batch.opt` at a time. Copies fill a batch below `batch.min`.

    Raises the errors of the session, and SessionError unless every output has one row per row of the inputs, all alike.
    """
    batch = session.batch
    rows = len(next(iter(inputs.values())))
    size = batch.max if rows <= batch.max else batch.opt
    parts: list[Outputs] = []
    for start in range(0, rows, size):
        part = {name: array[start : start + size] for name, array in inputs.items()}
        count = min(size, rows - start)
        if count < batch.min:
            part = {name: np.concatenate([a, np.repeat(a[-1:], batch.min - count, axis=0)]) for name, a in part.items()}
        outputs = session.run(part)
        for name, array in outputs.items():
            expected_shape = (max(count, batch.min), *(parts[0][name] if parts else array).shape[1:])
            if array.shape != expected_shape:
                raise SessionError(f"{name}: expected an output of the shape {list(expected_shape)}, found {list(array.shape)}")
        parts.append({name: array[:count] for name, array in outputs.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
