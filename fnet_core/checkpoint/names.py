"""Renames: from the names and layouts of another format to transformers', as plain data."""

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
    """How a stored tensor becomes transformers', and back; the way back is told the number of attention heads."""

    apply: Callable[[Tensor], Tensor]
    undo: Callable[[Tensor, int], Tensor]


AS_IT_IS = Change(lambda t: t, lambda t, _: t)
TRANSPOSED = Change(lambda t: t.T, lambda t, _: t.T)
FIRST = Change(lambda t: t[0], lambda t, _: t[None])
"""Of a leading axis of one."""
HEADS_OUT = Change(lambda t: t.flatten(1).T, lambda t, heads: t.T.reshape(t.shape[1], heads, -1))
"""A projection to heads, `[in, heads, size]`, as one linear layer's `[heads * size, in]`."""
HEADS_BIAS = Change(lambda t: t.flatten(), lambda t, heads: t.reshape(heads, -1))
HEADS_IN = Change(lambda t: t.flatten(0, 1).T, lambda t, heads: t.T.reshape(heads, -1, t.shape[0]))
"""A projection from heads, `[heads, size, out]`, as one linear layer's `[out, heads * size]`."""

Leaves = Mapping[str, tuple[str, Change]]
"""What a kind of module holds: its own names of tensors, and transformers' with the change."""
Modules = Mapping[str, tuple[str, Leaves]]
"""A format's names of modules, and transformers' with what they hold."""
Renames = Mapping[str, tuple[str, Change]]
"""A format's names of tensors, and transformers' (without `fnet.`) with the change."""


def renames_from_modules(modules: Modules) -> dict[str, tuple[str, Change]]:
    """Write out the tensors of modules."""
    return {
        f"{key}/{leaf}": (f"{name}.{kind}", change)
        for key, (name, leaves) in modules.items()
        for leaf, (kind, change) in leaves.items()
    }


@dataclass(frozen=True)
class Stored:
    """Where a tensor is: its file, its name there, and the change that makes it transformers'."""

    file: WeightFile
    key: str
    change: Change = AS_IT_IS

    def read(self) -> Tensor:
        """Read the tensor in transformers' layout, of the type stored. Raises CheckpointError when the file is damaged."""
        return self.change.apply(self.file.read(self.key))


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is where a checkpoint was looked for, in whatever format.

    Each file comes with the names of all tensors that it may hold. `origin` says what `config` follows from, for errors, and
    `assumed` names the values of it that no file states. `vocabulary` is where the SentencePiece model is or should be,
    `tokenizer` the flavour of tokenizer that the format's code has, None where files beside the weights say.
    """

    folder: Path
    config: FNetConfig
    origin: str
    files: tuple[tuple[WeightFile, Renames], ...]
    vocabulary: Path
    tokenizer: str | None = None
    assumed: tuple[str, ...] = ()


def check_sizes(config: FNetConfig, files: Sequence[WeightFile], *, path: Path, words: Callable[[str], str] = str) -> None:
    """Refuse sizes that no tensor can have, before a model of them is made: it might take more time and memory than there is.

    `path` is what the configuration was read from, `words` puts the error in the terms of that file. Raises CheckpointError.
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
    """Return a tensor as a file has it, given in transformers' layout."""
    return change.undo(tensor, config.num_attention_heads or 1)  # what has no heads does not ask for them
