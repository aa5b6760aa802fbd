"""Open weight files, safetensors and pytorch_model.bin, whole or sharded, without running code in them."""

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fnet_core.errors import CheckpointError

WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Names of weight files. The first file that a folder has is read."""


@dataclass(frozen=True)
class WeightFile:
    """Hold one file of weights: the shapes of its tensors by name, and a function that reads a tensor.

    `read` returns a tensor as it is stored. It raises CheckpointError if the file is damaged. `aliases` maps further names of
    tensors to the names under which they are stored.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], Tensor]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def sha256(self) -> str:
        """Return the hash of the file's bytes, in hexadecimal."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def weight_files_from_folder(folder: Path) -> list[WeightFile]:
    """Open the weights of a folder, every shard of them.

    Raises CheckpointError if there are no weights, if a shard is missing or named twice, or if a file is damaged or unsafe.
    """
    first = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if first is None:
        raise CheckpointError(f"{folder}: has no weights; expected one of {', '.join(WEIGHT_FILES)}")
    return [_opened(path) for path in (_shards(first) if first.suffix == ".json" else [first])]


def _opened(path: Path) -> WeightFile:
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                names: list[str] = file.keys()
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
                told: dict[str, str] = file.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise damaged(path, error) from error
        # safetensors' save_model stores what two names share once, and notes the other name
        return WeightFile(path, shapes, partial(_read, path), {name: stored for name, stored in told.items() if stored in shapes})
    loaded = _unpickled(path)
    return WeightFile(path, {name: tuple(tensor.shape) for name, tensor in loaded.items()}, loaded.__getitem__)


def _read(path: Path, name: str) -> Tensor:
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(name)  # type: ignore[no-any-return]
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error


def _unpickled(path: Path) -> dict[str, Tensor]:
    """Read a pytorch_model.bin, and refuse everything except a plain table of tensors."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: expected a plain table of tensors, found a file that may run code when it is read "
            f"({str(error).splitlines()[0]}); convert it to model.safetensors on a host where you trust it"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise damaged(path, error) from error
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise CheckpointError(f"{path}: expected a table of tensors by name, found {type(loaded).__name__} of other things")
    return loaded


def _shards(index: Path) -> list[Path]:
    """Return the files that the index of a sharded checkpoint names."""
    try:
        names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: is not an index of shards; expected a weight_map from tensor names to files") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise CheckpointError(f"{index}: names the shard {name!r}; expected the plain name of a file next to the index")
        if not (index.parent / name).is_file():
            raise CheckpointError(f"{index.parent / name}: is missing; {index.name} names it as a shard")
    return [index.parent / name for name in sorted(names)]


def damaged(path: Path, error: Exception) -> CheckpointError:
    """Return the error of a file that ends early or makes no sense, with the reason that a library gave."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return CheckpointError(f"{path}: truncated or damaged ({reason}); copy or download it again")


def text_from_file(path: Path, expected: str) -> str:
    """Read a text file. Errors say what was `expected`. Raises CheckpointError."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CheckpointError(f"{path}: cannot be read ({reason}); expected {expected}") from error
