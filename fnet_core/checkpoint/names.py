"""Describe the names and layouts of another format, and those of transformers, as plain data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fnet_core.checkpoint.weights import WeightFile
from fnet_core.config import LAYERS, WEIGHT_SIZES, FNetConfig
from fnet_core.errors import CheckpointError


@dataclass(frozen=True)
class Change:
    """Convert a stored tensor to transformers' layout, and back. `undo` also takes the number of attention heads."""

    apply: Callable[[Tensor], Tensor]
    undo: Callable[[Tensor, int], Tensor]


AS_IT_IS = Change(lambda t: t, lambda t, _: t)
TRANSPOSED = Change(lambda t: t.T, lambda t, _: t.T)
FIRST = Change(lambda t: t[0], lambda t, _: t[None])
"""Removes a leading axis of length one."""
HEADS_OUT = Change(lambda t: t.flatten(1).T, lambda t, heads: t.T.reshape(t.shape[1], heads, -1))
"""A projection to heads, `[in, heads, size]`, as one linear layer's `[heads * size, in]`."""
HEADS_BIAS = Change(lambda t: t.flatten(), lambda t, heads: t.reshape(heads, -1))
HEADS_IN = Change(lambda t: t.flatten(0, 1).T, lambda t, heads: t.T.reshape(heads, -1, t.shape[0]))
"""A projection from heads, `[heads, size, out]`, as one linear layer's `[out, heads * size]`."""

Leaves = Mapping[str, tuple[str, Change]]
"""The tensors of a kind of module: the name in the format, and transformers' name with the change."""
Modules = Mapping[str, tuple[str, Leaves]]
"""The modules of a format: the name in the format, and transformers' name with the tensors."""
Renames = Mapping[str, tuple[str, Change]]
"""The tensors of a format: the name in the format, and transformers' name (without `fnet.`) with the change."""


def renames_from_modules(modules: Modules) -> dict[str, tuple[str, Change]]:
    """Return the renames of all tensors of the modules."""
    return {
        f"{key}/{leaf}": (f"{name}.{kind}", change)
        for key, (name, leaves) in modules.items()
        for leaf, (kind, change) in leaves.items()
    }


@dataclass(frozen=True)
class Stored:
    """Locate a tensor: its file, its name there, and the change to transformers' layout."""

    file: WeightFile
    key: str
    change: Change = AS_IT_IS

    def read(self) -> Tensor:
        """Read the tensor in transformers' layout, with the stored type. Raises CheckpointError if the file is damaged."""
        return self.change.apply(self.file.read(self.key))


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Describe the contents of a checkpoint of any format.

    Each file comes with the names of all tensors that it may hold. `origin` says, for errors, where `config` comes from. `assumed`
    lists the values in it that no file states. `vocabulary` is where the SentencePiece model is or should be. `tokenizer` is the
    flavour of the format's code, or None if files next to the weights state the flavour.
    """

    folder: Path
    config: FNetConfig
    origin: str
    files: tuple[tuple[WeightFile, Renames], ...]
    vocabulary: Path
    tokenizer: str | None = None
    assumed: tuple[str, ...] = ()


def check_sizes(config: FNetConfig, files: Sequence[WeightFile], *, path: Path, words: Callable[[str], str] = str) -> None:
    """Refuse sizes that no tensor has, before a model is made that might need too much time and memory.

    `path` is the file of the configuration. `words` translates the error to the terms of that file. Raises CheckpointError.
    """
    shapes = [shape for file in files for shape in file.shapes.values() if 0 not in shape]
    longest = max((axis for shape in shapes for axis in shape), default=0)
    for field in WEIGHT_SIZES:
        value = getattr(config, field)
        if value > (len(shapes) if field == LAYERS else longest):
            holds = f"{len(shapes)} tensors" if field == LAYERS else f"no axis above {longest}"
            raise CheckpointError(f"{path}: {words(f'{field} {value}')}: the weights hold {holds}; they are of different models")


def stored_shape(shape: tuple[int, ...], change: Change, config: FNetConfig) -> tuple[int, ...]:
    """Return the shape that a file has for a tensor of `shape` in transformers' layout."""
    return tuple(undone(change, torch.empty(shape, device="meta"), config).shape)


def undone(change: Change, tensor: Tensor, config: FNetConfig) -> Tensor:
    """Return a tensor as the file has it, from transformers' layout."""
    return change.undo(tensor, config.num_attention_heads or 1)  # what has no heads does not ask for them
