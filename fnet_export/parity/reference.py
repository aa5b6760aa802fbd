"""The reference of a parity check: what the float64 model puts out for each input, computed once and remembered by content."""

import contextlib
import hashlib
import math
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""Larger references are kept in a file while parity runs (77 inputs of fnet-base's masked-lm: 242 MB)."""
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

    def __init__(self, model: AnyFNet, kept: Mapping[str, Floats]) -> None:
        """Take the model, which is not kept, and `float64[input, ...]` by output, before the decoder."""
        self.task, self.config = model.task, model.config
        self._kept = kept
        head = _head_of_words(model)
        self._decoder = None if head is None else head.decoder
        self._logits = _Spool()
        self.decoded = None if head is None else next(iter(model.task.outputs))

    @property
    def count(self) -> int:
        """Return how many inputs there are."""
        return len(next(iter(self._kept.values())))

    @property
    def bytes_of_one(self) -> int:
        """Return how much memory the outputs of one input take."""
        sizes = {name: array[0].nbytes for name, array in self._kept.items()}
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
            self._logits.put(number, outputs[self.decoded])
            return outputs
        outputs = {name: array[[number]] for name, array in self._kept.items()}
        outputs[self.decoded] = logits
        return outputs

    def outputs(self, inputs: Sequence[int]) -> Outputs:
        """Return the outputs of some inputs, by their number."""
        outputs: Outputs = {name: np.asarray(array[list(inputs)]) for name, array in self._kept.items()}
        if self._decoder is not None and self.decoded is not None:
            with torch.inference_mode():
                outputs[self.decoded] = self._decoder(torch.from_numpy(outputs[self.decoded])).numpy()
        return outputs


class _Spool:
    """Keep arrays of float64 in a temporary file. Without room in the file, an array is forgotten."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  the finalizer closes it
        self._places: dict[int, tuple[int, tuple[int, ...]]] = {}
        weakref.finalize(self, self._file.close)

    def put(self, number: int, array: npt.NDArray[np.floating]) -> None:
        with contextlib.suppress(OSError):
            place = self._file.seek(0, os.SEEK_END)
            self._file.write(np.ascontiguousarray(array).data)
            self._file.flush()
            self._places[number] = place, array.shape

    def get(self, number: int) -> Floats | None:
        if number not in self._places:
            return None
        place, shape = self._places[number]
        self._file.seek(place)
        return np.fromfile(self._file, np.float64, math.prod(shape)).reshape(shape)


def reference_from_model(
    model: AnyFNet, samples: Samples, *, cache: Remembered | None = None, on_progress: Callable[[int], None] = lambda rows: None
) -> Reference:
    """Run a float64 model with `fft` mixing on the samples, except the inputs that the cache remembers for the same model.

    A cache that cannot be written says so in its `problem`.
    """
    count = len(samples.names)
    keys: list[str] = []
    remembered: dict[int, Outputs] = {}
    if cache is not None:
        keys = _keys(model, samples)
        read = ((i, _whole(cache.get(key), model)) for i, key in enumerate(keys))
        remembered = {i: outputs for i, outputs in read if outputs is not None}
    if remembered:
        on_progress(len(remembered))
    missing = [i for i in range(count) if i not in remembered]
    kept: dict[str, Floats] = {}
    for i, remembered_outputs in remembered.items():
        _keep(kept, [i], remembered_outputs, count)
    session = TorchSession(model)
    at_once = _rows_at_once(model, samples)
    with _without_decoder(model):
        for start in range(0, len(missing), at_once):
            part = missing[start : start + at_once]
            outputs = session.run({name: array[part] for name, array in samples.inputs.items()})
            _keep(kept, part, outputs, count)
            if cache is not None and cache.problem is None:
                for index, i in enumerate(part):
                    cache.put(keys[i], safetensors.numpy.save({name: a[index : index + 1].copy() for name, a in outputs.items()}))
            on_progress(len(part))
    if cache is not None and missing:
        cache.trim()
    return Reference(model, kept)


def _rows_at_once(model: AnyFNet, samples: Samples) -> int:
    """Return how many inputs run as one batch."""
    widest_bytes = int(samples.inputs["input_ids"][0].size) * model.config.intermediate_size * 8
    return max(1, min(ROWS_AT_ONCE, AT_ONCE_BYTES // widest_bytes))


def _keep(kept: dict[str, Floats], inputs: Sequence[int], outputs: Outputs, count: int) -> None:
    """Put the outputs of some inputs where those of all stand."""
    for name, array in outputs.items():
        if name not in kept:
            kept[name] = _room((count, *array.shape[1:]))
        kept[name][list(inputs)] = array


def _room(shape: tuple[int, ...]) -> Floats:
    """Make room for an array: in memory, or in a file that goes with the array when it is large."""
    if 8 * int(np.prod(shape)) <= IN_MEMORY_BYTES:
        return np.empty(shape)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float64, "w+", shape=shape)


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
        for name, array in samples.rows(i, i + 1).items():
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
