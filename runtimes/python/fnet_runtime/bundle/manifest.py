"""manifest.json: the index of a bundle. The dataclasses are the format (docs/bundle.md); the reader takes nothing else."""

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.strict_json import json_from_bytes
from fnet_runtime.errors import BundleError, InputError
from fnet_runtime.tokenizer.tokenizer import TokenizerOptions

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MODEL, MODEL_DATA, ENGINE = "model.onnx", "model.onnx.data", "model.engine"
IR, IR_DATA = "model.xml", "model.bin"
"""OpenVINO's graph and its weights, which it finds by that name."""
CONFIG, GOLDEN, PARITY = "config.json", "golden.safetensors", "parity.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
"""What transformers reads next to the tokenizer; a runtime reads the manifest instead."""
PARITY_PAGE, PARITY_JUNIT = "parity.html", "parity.junit.xml"
"""Beside PARITY: the same as a page, and for CI systems."""
EVIDENCE = (PARITY, PARITY_PAGE, PARITY_JUNIT)
"""What an export proves, beside the files of a bundle: a reader needs none of it, and the manifest lists none."""
ALWAYS = (MODEL, CONFIG, GOLDEN, TOKENIZER_CONFIG)
"""Files that every bundle has, beside the tokenizer's."""
OPENVINO = "openvino"
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "onnx": (),
    "openvino": (OPENVINO,),
    "tensorrt": ("tensorrt", "tensorrt_rtx"),
    "tensorrt-rtx": ("tensorrt_rtx",),
}
"""By target, the libraries that its engine may be of; the second stands in for the first."""
TARGETS = tuple(LIBRARIES)
ENGINE_FILES: Mapping[str, tuple[str, ...]] = {OPENVINO: (IR, IR_DATA), "tensorrt": (ENGINE,), "tensorrt_rtx": (ENGINE,)}
"""By library, the file that it opens, then what it reads beside it."""
FP32, FP16, BF16, INT8 = "fp32", "fp16", "bf16", "int8"
PRECISIONS = (FP32, FP16, BF16, INT8)
BATCH = "batch_size"
"""The open axis of every input."""
ATTENTION_MASK = "attention_mask"
"""The input of models with attention: 1 for tokens, 0 for padding."""
POSITIONS = "masked_lm_positions"
"""The input of masked-lm that says which tokens to predict, where the graph has it."""


INT64 = range(-(2**63), 2**63)
"""What an integer of the manifest may be."""


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """An input or output: its name, `int64` or `float32`, and its axes, each a length or the name of an open one."""

    name: str
    dtype: str
    axes: tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the weights came from: an id, a hub commit if any, the hash of each weight file, and whether the head is untrained."""

    id: str
    revision: str | None
    sha256: Mapping[str, str]
    random_head: bool


@dataclass(frozen=True, kw_only=True)
class AxisProfile:
    """The lengths of an open axis that an engine takes, and the one it is tuned for.

    Raises InputError unless 1 <= min <= opt <= max.
    """

    min: int
    opt: int
    max: int

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.opt <= self.max:
            raise InputError(f"expected 1 <= MIN <= OPT <= MAX, found {self.min} {self.opt} {self.max}")


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """The engine's file, what built it, and what it runs on."""

    file: str
    library: str
    version: str
    compute_capabilities: tuple[str, ...]
    batch_profile: Mapping[str, AxisProfile]


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """What int8 was scaled by: the method, the texts by name, hash and count, and the modules that stayed in float32."""

    method: str
    data: str
    sha256: str
    texts: int
    kept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """One file's sha256, in hexadecimal, and size."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The whole of manifest.json; see docs/bundle.md for each key."""

    format_version: int
    task: str
    target: str
    labels: tuple[str, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    sequence_length: int
    pad_token_id: int
    tokenizer: TokenizerOptions
    transform: str
    transform_reason: str
    precision: str
    quantization: Quantization | None
    source: Source
    tools: Mapping[str, str]
    engine: EngineInfo | None
    files: Mapping[str, FileInfo]

    def to_json(self) -> str:
        """Return manifest.json's text: keys in the format's order, two spaces, a final newline."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, name: str = MANIFEST) -> "Manifest":
        """Read manifest.json's text; `name` is what errors call it. Raises BundleError for anything the format does not have."""
        try:
            values = json_from_bytes(text.encode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{name}: not JSON ({error})") from error
        version = values.get("format_version") if isinstance(values, dict) else None
        if isinstance(version, int) and version != FORMAT_VERSION:
            raise BundleError(f"{name}: format version {version}; this runtime reads {FORMAT_VERSION}. Update fnet-runtime")
        manifest: Manifest = _read(cls, values, name)
        manifest._check(name)
        return manifest

    def _check(self, name: str) -> None:
        if self.target not in TARGETS:
            raise BundleError(f"{name}: target: expected one of {', '.join(TARGETS)}, found {self.target!r}")
        if self.precision not in PRECISIONS:
            raise BundleError(f"{name}: precision: expected one of {', '.join(PRECISIONS)}, found {self.precision!r}")
        if (self.quantization is None) != (self.precision != INT8):
            raise BundleError(
                f"{name}: quantization: bundles in {self.precision} {'have none' if self.quantization else 'have it'}"
            )
        libraries = LIBRARIES[self.target]
        if (self.engine is None) != (not libraries):
            raise BundleError(f"{name}: engine: a bundle for {self.target} must {'not ' if self.engine else ''}have one")
        if self.engine and self.engine.library not in libraries:
            raise BundleError(f"{name}: engine: library: expected {' or '.join(libraries)}, found {self.engine.library!r}")
        engine_files = ENGINE_FILES[self.engine.library] if self.engine else ()
        if self.engine and self.engine.file != engine_files[0]:
            raise BundleError(f"{name}: engine: file: expected {engine_files[0]}, found {self.engine.file!r}")
        if self.sequence_length < 1 or self.pad_token_id < 0:
            raise BundleError(f"{name}: sequence_length and pad_token_id: expected a length from 1 and an id from 0")
        for file in self.files:
            if Path(file).name != file or "\\" in file or "\0" in file or file in ("", "..", MANIFEST):
                raise BundleError(f"{name}: files: {file!r} is not the plain name of a file inside the bundle")
        missing = {*ALWAYS, self.tokenizer.file, *engine_files} - set(self.files)
        if missing:
            raise BundleError(f"{name}: files: expected {', '.join(sorted(missing))} as well")


def manifest_from_folder(folder: Path, index: str = MANIFEST) -> Manifest:
    """Read a bundle's manifest, the file `index` in it, and check every file that it lists.

    Raises BundleError, naming the file, when it is missing, unreadable, of another size or with other bytes.
    """
    path = folder / index
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); expected the folder that fnet-export wrote") from error
    manifest = Manifest.from_json(text, name=str(path))
    if MODEL_DATA not in manifest.files and (folder / MODEL_DATA).exists():
        raise BundleError(f"{folder / MODEL_DATA}: is not in the manifest, but {MODEL} might read it; remove it")
    for name, info in manifest.files.items():
        try:
            found = file_info(folder / name)
        except OSError as error:
            raise BundleError(f"{folder / name}: cannot be read ({error.strerror}); copy the whole bundle again") from error
        if found != info:
            what = f"{found.size_bytes} bytes" if found.size_bytes != info.size_bytes else f"sha256 {found.sha256}"
            want = f"{info.size_bytes}" if found.size_bytes != info.size_bytes else info.sha256
            raise BundleError(f"{folder / name}: altered: found {what}, the manifest says {want}; copy the whole bundle again")
    return manifest


def file_info(path: Path) -> FileInfo:
    """Hash and measure one file. Raises OSError."""
    with path.open("rb") as file:
        return FileInfo(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size_bytes=file.tell())


def _read(kind: Any, value: Any, where: str) -> Any:
    """Read a JSON value as a type: a dataclass, Mapping[str, T], tuple[T, ...], a union, str, int or bool; `where` names it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        if not isinstance(value, dict) or set(value) != set(hints):
            found = sorted(value) if isinstance(value, dict) else type(value).__name__
            raise BundleError(f"{where}: expected an object with the keys {', '.join(hints)}; found {found}")
        fields = {key: _read(hint, value[key], f"{where}: {key}") for key, hint in hints.items()}
        try:
            return kind(**fields)
        except InputError as error:
            raise BundleError(f"{where}: {error}") from error
    if origin is types.UnionType:
        fits = [t for t in arguments if _is(t, value) or (dataclasses.is_dataclass(t) and isinstance(value, dict))]
        if fits:
            return _read(fits[0], value, where)
    elif origin is tuple and isinstance(value, list):
        return tuple(_read(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    elif origin is not None and origin is not tuple and isinstance(value, dict):
        return {key: _read(arguments[1], item, f"{where}: {key}") for key, item in value.items()}
    elif _is(kind, value):
        return value
    raise BundleError(f"{where}: expected {getattr(kind, '__name__', kind)}, found {value!r}")


def _is(kind: Any, value: Any) -> bool:
    return type(value) is kind and (kind is not int or value in INT64)
