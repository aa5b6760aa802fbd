"""Read and write files of flax, parameters as msgpack, without jax.

A file is a map whose `target` (or `params`) is the tree of parameters. Other entries, such as an optimizer's state, are skipped. An
array is extension type 1: a msgpack of (shape, name of the type, bytes in row-major order). Arrays above 1 GiB are maps of flat
chunks (flax/serialization.py).
"""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgpack
import torch
from torch import Tensor

from fnet_core.checkpoint.weights import damaged
from fnet_core.errors import CheckpointError

PARAMETERS = ("target", "params")
ARRAY, SCALAR = 1, 3
CHUNKED = "__msgpack_chunked_array__"
MAX_CHUNK_BYTES = 2**30
MAX_DEPTH = 16
TYPES = {
    "float32": torch.float32, "<f4": torch.float32, "float64": torch.float64, "<f8": torch.float64,
    "float16": torch.float16, "<f2": torch.float16, "bfloat16": torch.bfloat16,
}  # fmt: skip
"""Names of types as flax writes them, and as it wrote them in early 2020."""


@dataclass(frozen=True)
class Array:
    """Locate an array in a file: its shape, its type, and the offset and length of each stretch of bytes."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    stretches: tuple[tuple[int, int], ...]


def arrays_from_file(path: Path) -> dict[str, Array]:
    """Find every array of the parameters, by its path in the tree. Raises CheckpointError for a damaged or different file."""
    try:
        with path.open("rb") as file:
            tree = _Reader(path, file).parameters()
    except (OSError, ValueError, TypeError, msgpack.UnpackException) as error:
        raise damaged(path, error) from error
    while set(tree) == {"params"}:  # variables saved whole hold their parameters one level down
        tree = _map(path, tree["params"], "params")
    return dict(_flattened(path, tree, ""))


class _Reader:
    """Walk the maps of a file and keep only where each array is, with one array in memory at a time."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.unpacker = msgpack.Unpacker(file, raw=False, max_buffer_size=0)

    def parameters(self) -> dict[str, Any]:
        """Read the parameters and skip everything else."""
        kept: dict[str, Any] = {}
        passed = []
        count = self.unpacker.read_map_header() if self._at_map() else 0
        for _ in range(count):
            key = self.unpacker.unpack()
            if key in PARAMETERS:
                kept[key] = self._tree(key)
            else:
                passed.append(str(key))
                self.unpacker.skip()
        if len(kept) != 1:
            raise CheckpointError(
                f"{self.path}: expected a flax checkpoint, a msgpack map with one of {', '.join(PARAMETERS)}; "
                f"found {', '.join([*kept, *passed][:4]) or 'no map'}"
            )
        beyond = os.fstat(self.file.fileno()).st_size - self.unpacker.tell()
        if beyond:
            raise CheckpointError(f"{self.path}: {beyond} bytes follow the end of the checkpoint")
        ((key, tree),) = kept.items()
        return _map(self.path, tree, key)

    def _at_map(self) -> bool:
        (first,) = os.pread(self.file.fileno(), 1, self.unpacker.tell())  # msgpack's reader cannot look ahead
        return 0x80 <= first <= 0x8F or first in (0xDE, 0xDF)

    def _tree(self, key: str, depth: int = 0) -> Any:
        if not self._at_map():
            value = self.unpacker.unpack()
            return self._array(key, value) if isinstance(value, msgpack.ExtType) else value
        if depth == MAX_DEPTH:
            raise CheckpointError(f"{self.path}: {key}: maps are nested more than {MAX_DEPTH} deep")
        tree: dict[str, Any] = {}
        for _ in range(self.unpacker.read_map_header()):
            name = self.unpacker.unpack()
            if not isinstance(name, str) or name in tree:
                raise CheckpointError(f"{self.path}: {key}: expected names, each once; found {name!r}")
            tree[name] = self._tree(name, depth + 1)
        return tree

    def _array(self, key: str, value: msgpack.ExtType) -> Array:
        if value.code not in (ARRAY, SCALAR):
            raise CheckpointError(f"{self.path}: {key}: extension type {value.code}; expected {ARRAY}, flax's array")
        shape, name, data = msgpack.unpackb(value.data, raw=True)
        if not isinstance(name, bytes) or not isinstance(data, bytes):
            raise CheckpointError(f"{self.path}: {key}: expected an array as flax writes it")
        dtype = TYPES.get(name.decode())
        if dtype is None:
            raise CheckpointError(f"{self.path}: {key}: type {name.decode()}; expected one of {', '.join(TYPES)}")
        if math.prod(shape) * dtype.itemsize != len(data):
            raise CheckpointError(f"{self.path}: {key}: {len(data)} bytes; shape {shape} of {name.decode()} needs another number")
        return Array(tuple(shape), dtype, ((self.unpacker.tell() - len(data), len(data)),))


def _map(path: Path, value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: {key}: expected a map of parameters, found {type(value).__name__}")
    return value


def _flattened(path: Path, tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Array]]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and CHUNKED not in value:
            yield from _flattened(path, value, f"{key}/")
        elif isinstance(value, dict):
            yield key, _joined(path, key, value)
        elif isinstance(value, Array):
            yield key, value
        else:
            raise CheckpointError(f"{path}: {key}: expected an array, found {type(value).__name__}")


def _joined(path: Path, key: str, value: Mapping[str, Any]) -> Array:
    """Return one array from the chunks that it is stored in."""
    try:
        shape = tuple(value["shape"][str(i)] for i in range(len(value["shape"])))
        chunks = [value["chunks"][str(i)] for i in range(len(value["chunks"]))]
        types = {chunk.dtype for chunk in chunks}
        whole = len(types) == 1 and math.prod(shape) == sum(math.prod(chunk.shape) for chunk in chunks)
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: {key}: expected an array in chunks as flax writes it ({error!r})") from error
    if not whole:
        raise CheckpointError(f"{path}: {key}: its chunks do not make up shape {list(shape)}")
    return Array(shape, types.pop(), tuple(stretch for chunk in chunks for stretch in chunk.stretches))


def read_array(path: Path, arrays: Mapping[str, Array], key: str) -> Tensor:
    """Read one array. Raises CheckpointError if the file ends before the array does."""
    array = arrays[key]
    buffer = bytearray(sum(length for _, length in array.stretches))
    view, done = memoryview(buffer), 0
    with path.open("rb") as file:
        for offset, length in array.stretches:
            file.seek(offset)
            done += file.readinto(view[done : done + length])
    if done != len(buffer):
        raise damaged(path, EOFError(f"{key} ends early"))
    return torch.frombuffer(buffer, dtype=array.dtype).reshape(array.shape)


def write_tree(file: BinaryIO, tree: Mapping[str, Any]) -> None:
    """Write parameters as `{"target": tree}`, with one tensor in memory at a time. Raises OSError.

    A tree consists of maps by name. Its leaves are functions that return a tensor.
    """
    for part in _packed({PARAMETERS[0]: tree}):
        file.write(part)


def _packed(value: Any) -> Iterator[bytes]:
    packer = msgpack.Packer()
    value = value() if callable(value) else value
    if isinstance(value, Tensor):
        tensor = value.contiguous()
        if tensor.nbytes <= MAX_CHUNK_BYTES:
            yield packer.pack_ext_type(ARRAY, _packed_array(tensor))
            return
        chunks = torch.split(tensor.flatten(), MAX_CHUNK_BYTES // tensor.itemsize)
        value = {
            CHUNKED: True,
            "shape": {str(i): size for i, size in enumerate(tensor.shape)},
            "chunks": {str(i): chunk for i, chunk in enumerate(chunks)},
        }
    if not isinstance(value, dict):
        yield packer.pack(value)
        return
    yield packer.pack_map_header(len(value))
    for key, item in value.items():
        yield packer.pack(key)
        yield from _packed(item)


def _packed_array(tensor: Tensor) -> bytes:
    name = str(tensor.dtype).removeprefix("torch.")
    return msgpack.packb((tuple(tensor.shape), name, tensor.view(torch.uint8).numpy().tobytes()))  # type: ignore[no-any-return]
