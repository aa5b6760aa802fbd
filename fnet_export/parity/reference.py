"""The reference of a parity check: what the float64 model puts out for each input, computed once and remembered by content."""

import contextlib
import hashlib
import math
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
import torch
from fnet_runtime.sessions.session import Outputs
from torch import nn

import fnet_core
from fnet_core.fnet import FNet
from fnet_core.heads import MaskedLMHead
from fnet_export.base.cache import Remembered, cache_folder
from fnet_export.engine.sessions.torch_session import ROWS_AT_ONCE, TorchSession
from fnet_export.graph.lower import AtPositions
from fnet_export.texts.samples import Samples

IN_MEMORY_BYTES = 400_000_000
"""What exceeds this is kept in a file while parity runs (77 inputs of fnet-base's masked-lm: 242 MB)."""
AT_ONCE_BYTES = 2**24
"""What the widest layer may put out at once: memory for larger arrays is got from the system and given back each time."""
AnyFNet = FNet | AtPositions
Floats = npt.NDArray[np.float64]


def reference_cache() -> Remembered:
    """Return the folder that references are remembered in."""
    return Remembered(cache_folder() / "reference")


class Reference:
    """The outputs of a float64 model by input, without the model.

    For vocabulary logits, only the decoder and its inputs are kept, which take a fortieth of the memory. Logits are made for a few
    inputs at a time, when they are needed.
    """

    def __init__(self, model: AnyFNet, outputs: "_StoredOutputs") -> None:
        """Take the model, which is not kept, and `float64[1, ...]` by output for each input, before the decoder."""
        self.task, self.config = model.task, model.config
        self.count = len(outputs)
        self._outputs = outputs
        head = _head_of_words(model)
        self._decoder = None if head is None else head.decoder
        self._logits = _Store(in_memory_bytes=0)
        self.decoded = None if head is None else next(iter(model.task.outputs))

    @property
    def bytes_of_one(self) -> int:
        """Return how much memory the outputs of one input take at most."""
        sizes = dict(self._outputs.largest_bytes)
        if self.decoded is not None and self._decoder is not None:
            sizes[self.decoded] = sizes[self.decoded] // self._decoder.in_features * self._decoder.out_features
        return sum(sizes.values())

    def outputs_again(self, number: int) -> Outputs:
        """Return the outputs of one input that will be asked for again. A file keeps its vocabulary logits until then."""
        if self.decoded is None:
            return self.outputs([number])
        logits = self._logits.get(number)
        if logits is None:
            outputs = self.outputs([number])
            with contextlib.suppress(OSError):  # without room in the file, the logits are computed again
                self._logits.put(number, outputs[self.decoded])
            return outputs
        return {**self._outputs[number], self.decoded: logits}

    def outputs(self, inputs: Sequence[int]) -> Outputs:
        """Return the outputs of inputs of one shape, by their number, as one batch."""
        outputs: Outputs = {name: np.concatenate([self._outputs[i][name] for i in inputs]) for name in self._outputs[inputs[0]]}
        if self._decoder is not None and self.decoded is not None:
            with torch.inference_mode():
                outputs[self.decoded] = self._decoder(torch.from_numpy(outputs[self.decoded])).numpy()
        return outputs


class _Store:
    """Keep arrays of float64 by a number: in memory while they are small, else in a temporary file."""

    def __init__(self, *, in_memory_bytes: int) -> None:
        self._room = in_memory_bytes
        self._arrays: dict[int, npt.NDArray[np.floating]] = {}
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  the finalizer closes it
        self._places: dict[int, tuple[int, tuple[int, ...]]] = {}
        weakref.finalize(self, self._file.close)

    def put(self, number: int, array: npt.NDArray[np.floating]) -> None:
        """Keep an array. Raises OSError where the file has no room for it."""
        if array.nbytes <= self._room:
            self._room -= array.nbytes
            self._arrays[number] = array
            return
        place = self._file.seek(0, os.SEEK_END)
        self._file.write(np.ascontiguousarray(array).data)
        self._file.flush()
        self._places[number] = place, array.shape

    def get(self, number: int) -> npt.NDArray[np.floating] | None:
        """Return the array of a number, or None if there is no such array."""
        if number not in self._places:
            return self._arrays.get(number)
        place, shape = self._places[number]
        self._file.seek(place)
        return np.fromfile(self._file, np.float64, math.prod(shape)).reshape(shape)


class _StoredOutputs:
    """The outputs of each input, in a store."""

    def __init__(self, names: Sequence[str], count: int) -> None:
        self._names, self._count = tuple(names), count
        self._store = _Store(in_memory_bytes=IN_MEMORY_BYTES)
        self.largest_bytes = dict.fromkeys(self._names, 0)

    def put(self, number: int, outputs: Outputs) -> None:
        for index, name in enumerate(self._names):
            self._store.put(number * len(self._names) + index, outputs[name])
            self.largest_bytes[name] = max(self.largest_bytes[name], outputs[name].nbytes)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Outputs:
        outputs = {}
        for index, name in enumerate(self._names):
            array = self._store.get(number * len(self._names) + index)
            assert array is not None  # every input was put
            outputs[name] = array
        return outputs


def reference_from_model(
    model: AnyFNet, samples: Samples, *, cache: Remembered | None = None, on_progress: Callable[[int], None] = lambda rows: None
) -> Reference:
    """Run a float64 model with `fft` mixing on the samples, except the inputs that the cache remembers for the same model.

    A cache that cannot be written says so in its `problem`.
    """
    count = len(samples.names)
    kept = _StoredOutputs(tuple(model.task.outputs), count)
    keys = [] if cache is None else _keys(model, samples)
    missing = []
    for i in range(count):
        outputs = None if cache is None else _whole(cache.get(keys[i]), model)
        if outputs is None:
            missing.append(i)
        else:
            kept.put(i, outputs)
    if len(missing) < count:
        on_progress(count - len(missing))
    session = TorchSession(model)
    with _without_decoder(model):
        for batch in samples.batches(missing, _rows_at_once(model, samples)):
            outputs = session.run(samples.batch(batch))
            for index, i in enumerate(batch):
                of_one = {name: array[index : index + 1].copy() for name, array in outputs.items()}
                kept.put(i, of_one)
                if cache is not None and cache.problem is None:
                    cache.put(keys[i], safetensors.numpy.save(of_one))
            on_progress(len(batch))
    if cache is not None and missing:
        cache.trim()
    return Reference(model, kept)


def _rows_at_once(model: AnyFNet, samples: Samples) -> int:
    """Return how many inputs run as one batch."""
    largest = max(inputs["input_ids"].size for inputs in samples.inputs)
    return max(1, min(ROWS_AT_ONCE, AT_ONCE_BYTES // (largest * model.config.intermediate_size * 8)))


def _head_of_words(model: AnyFNet) -> MaskedLMHead | None:
    return next((module for module in model.modules() if isinstance(module, MaskedLMHead)), None)


@contextlib.contextmanager
def _without_decoder(model: AnyFNet) -> Iterator[None]:
    """Let a model put out what its decoder of words reads, where it has one."""
    head = _head_of_words(model)
    if head is None:
        yield
        return
    decoder = head.decoder
    head.decoder = nn.Identity()  # type: ignore[assignment]
    try:
        yield
    finally:
        head.decoder = decoder


def _keys(model: AnyFNet, samples: Samples) -> list[str]:
    """Name each input's outputs by all that they depend on: the code of the model, its weights and options, the input."""
    common = hashlib.sha256()
    for path in sorted(Path(fnet_core.__file__).parent.rglob("*.py")):
        common.update(path.read_bytes())
    task = model.task
    common.update(f"{task.name} {task.predict_positions} {model.sequence_length} {model.config.to_json()}".encode())
    for name, value in model.named_parameters():
        common.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        common.update(np.ascontiguousarray(value.detach().numpy()).data)
    keys = []
    for i in range(len(samples.names)):
        digest = common.copy()
        for name, array in samples.inputs[i].items():
            digest.update(f"{name} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        keys.append(digest.hexdigest())
    return keys


def _whole(data: bytes | None, model: AnyFNet) -> Outputs | None:
    """Read what is remembered of one input; None unless it holds finite outputs of the task."""
    if data is None:
        return None
    try:
        outputs: Outputs = safetensors.numpy.load(data)
    except safetensors.SafetensorError:
        return None
    whole = set(outputs) == set(model.task.outputs) and all(
        a.dtype == np.float64 and np.isfinite(a).all() for a in outputs.values()
    )
    return outputs if whole else None
