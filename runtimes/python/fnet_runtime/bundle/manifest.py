"""manifest.json, the index of a bundle. The dataclasses below are the format (docs/bundle.md)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fnet_runtime.bundle.strict_json import json_from_bytes, json_from_values
from fnet_runtime.bundle.typed_json import value_from_json
from fnet_runtime.errors import BundleError, OptionError
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, Padding
from fnet_runtime.tokenizer.tokenizer import TokenizerOptions

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MODEL, MODEL_DATA, ENGINE = "model.onnx", "model.onnx.data", "model.engine"
IR, IR_DATA = "model.xml", "model.bin"
"""OpenVINO's graph, and the weights that OpenVINO finds by their name."""
CONFIG, GOLDEN, PARITY = "config.json", "golden.safetensors", "parity.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
"""The options of the tokenizer for transformers. A runtime reads the manifest instead."""
PARITY_PAGE, PARITY_JUNIT = "parity.html", "parity.junit.xml"
"""The content of PARITY as a page, and as a report for CI systems."""
EVIDENCE = (PARITY, PARITY_PAGE, PARITY_JUNIT)
"""The proof that an export leaves in the folder."""
CARD = "README.md"
"""The page that says what the bundle is and how to run it."""
UNLISTED = (*EVIDENCE, CARD)
"""The files that the manifest does not list. A runtime does not need these files, and people may edit them."""
ALWAYS = (MODEL, CONFIG, GOLDEN, TOKENIZER_CONFIG)
"""The files that every bundle has, next to the tokenizer's file."""
OPENVINO = "openvino"
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "onnx": (),
    "openvino": (OPENVINO,),
    "tensorrt": ("tensorrt", "tensorrt_rtx"),
    "tensorrt-rtx": ("tensorrt_rtx",),
}
"""The libraries that may build the engine of each target. The second library stands in for the first."""
TARGETS = tuple(LIBRARIES)
ENGINE_FILES: Mapping[str, tuple[str, ...]] = {OPENVINO: (IR, IR_DATA), "tensorrt": (ENGINE,), "tensorrt_rtx": (ENGINE,)}
"""The file that each library opens, then the file that it reads next to it."""
FP32, FP16, BF16, INT8, FP8 = "fp32", "fp16", "bf16", "int8", "fp8"
CALIBRATED = (INT8, FP8)
"""Precisions of eight bits, whose scales were measured on texts."""
PRECISIONS = (FP32, FP16, BF16, *CALIBRATED)
NO_COMPATIBILITY, AMPERE_PLUS, SAME_COMPUTE_CAPABILITY = "none", "ampere-plus", "same-compute-capability"
HARDWARE_COMPATIBILITIES = (NO_COMPATIBILITY, AMPERE_PLUS, SAME_COMPUTE_CAPABILITY)
"""The GPUs that an engine of TensorRT runs on: one kind, any from Ampere on, or all of one compute capability."""
BATCH, SEQUENCE = "batch_size", "sequence_length"
"""The names of open axes: the rows, and the tokens of each row where texts are not padded to one length."""
ATTENTION_MASK = "attention_mask"
"""The input of models with attention: 1 for tokens, 0 for padding."""
POSITIONS = "masked_lm_positions"
"""The input of masked-lm that names the tokens to predict. Some graphs predict every token and do not have it."""


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """An input or output: its name, `int64` or `float32`, and its axes. An axis is a length, or the name of an open axis."""

    name: str
    dtype: str
    axes: tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class Source:
    """The origin of the weights: an id, a hub commit if any, the hash of each weight file, and whether the head is untrained."""

    id: str
    revision: str | None
    sha256: Mapping[str, str]
    random_head: bool


@dataclass(frozen=True, kw_only=True)
class AxisProfile:
    """The shortest and longest length of an open axis that an engine takes, and the length that it is tuned for.

    Raises OptionError unless these are integers with 1 <= min <= opt <= max.
    """

    min: int
    opt: int
    max: int

    def __post_init__(self) -> None:
        if not all(type(length) is int for length in (self.min, self.opt, self.max)):
            raise OptionError(f"expected three integers of Python, found {self.min!r} {self.opt!r} {self.max!r}")
        if not 1 <= self.min <= self.opt <= self.max:
            raise OptionError(f"expected 1 <= MIN <= OPT <= MAX, found {self.min} {self.opt} {self.max}")


@dataclass(frozen=True, kw_only=True)
class EngineBuild:
    """How TensorRT built an engine: the GPU that built it, None if no GPU was needed, and the options of the build.

    `timing_cache_sha256` is the hash of the timing cache after the build. None is a choice of the library.
    """

    gpu: str | None = None
    workspace_mib: int | None = None
    optimization_level: int | None = None
    timing_cache_sha256: str | None = None
    version_compatible: bool = False
    hardware_compatibility: str = NO_COMPATIBILITY
    weight_stripped: bool = False


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """The file of an engine, the library that built it, and the GPUs, batches and lengths that it runs on.

    `profiles` are the optimisation profiles of a TensorRT engine, in order. Each has the range of every open axis by its name.
    Other engines have no profiles. `build` is None for OpenVINO, which builds nothing.
    """

    file: str
    library: str
    version: str
    compute_capabilities: tuple[str, ...]
    profiles: tuple[Mapping[str, AxisProfile], ...]
    build: EngineBuild | None = None

    def ranges(self, axis: str) -> tuple[AxisProfile, ...]:
        """Return the different ranges that the profiles have of an axis, in order; nothing without profiles."""
        return tuple(dict.fromkeys(profile[axis] for profile in self.profiles if axis in profile))

    def whole_range(self, axis: str) -> AxisProfile | None:
        """Return the range from the shortest to the longest length that a profile has of an axis, tuned for the widest profile."""
        ranges = self.ranges(axis)
        if not ranges:
            return None
        widest = max(ranges, key=lambda profile: profile.max)
        return AxisProfile(min=min(profile.min for profile in ranges), opt=widest.opt, max=widest.max)


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """The origin of the scales of int8 or fp8: the method, the texts by name, hash and count, and the modules kept in float32."""

    method: str
    data: str
    sha256: str
    texts: int
    kept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """The sha256 of one file, in hexadecimal, and its size."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All of manifest.json. docs/bundle.md describes each key."""

    format_version: int
    task: str
    target: str
    labels: tuple[str, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    sequence_length: int
    padding: str
    pad_to_multiple_of: int
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

    @property
    def text_padding(self) -> Padding:
        """Return how texts are cut and padded. Raises OptionError for values that do not fit each other."""
        return Padding(self.sequence_length, self.padding, self.pad_to_multiple_of)

    @property
    def sequence_axis(self) -> int | str:
        """Return the axis of the tokens of an input: the length of every text, or SEQUENCE where each text has its own."""
        return self.sequence_length if self.padding == MAX_LENGTH else SEQUENCE

    def to_json(self) -> str:
        """Return the text of manifest.json: keys in the order of the format, two spaces, a final newline."""
        return json_from_values(self, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, *, name: str = MANIFEST) -> "Manifest":
        """Read the text of manifest.json; `name` is what errors call the file. Raises BundleError for any other format."""
        try:
            values = json_from_bytes(text.encode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{name}: is not JSON ({error})") from error
        version = values.get("format_version") if isinstance(values, dict) else None
        if isinstance(version, int) and version != FORMAT_VERSION:
            raise BundleError(f"{name}: expected format version {FORMAT_VERSION}, found {version}; update fnet-runtime")
        manifest: Manifest = value_from_json(cls, values, name)
        manifest._check(name)
        return manifest

    def _check(self, name: str) -> None:
        if self.target not in TARGETS:
            raise BundleError(f"{name}: target: expected one of {', '.join(TARGETS)}, found {self.target!r}")
        if self.precision not in PRECISIONS:
            raise BundleError(f"{name}: precision: expected one of {', '.join(PRECISIONS)}, found {self.precision!r}")
        if (self.quantization is None) != (self.precision not in CALIBRATED):
            expected = "null" if self.quantization else "an object"
            raise BundleError(f"{name}: quantization: expected {expected} for the precision {self.precision}")
        libraries = LIBRARIES[self.target]
        if (self.engine is None) != (not libraries):
            raise BundleError(f"{name}: engine: expected {'null' if self.engine else 'an object'} for the target {self.target}")
        if self.engine and self.engine.library not in libraries:
            raise BundleError(f"{name}: engine: library: expected {' or '.join(libraries)}, found {self.engine.library!r}")
        engine_files = ENGINE_FILES[self.engine.library] if self.engine else ()
        if self.engine:
            self._check_profiles(self.engine, name)
        if self.engine and self.engine.file != engine_files[0]:
            raise BundleError(f"{name}: engine: file: expected {engine_files[0]}, found {self.engine.file!r}")
        if self.engine:
            self._check_build(self.engine, name)
        if self.sequence_length < 1 or self.pad_token_id < 0:
            values = f"{self.sequence_length} and {self.pad_token_id}"
            raise BundleError(
                f"{name}: sequence_length and pad_token_id: expected a length from 1 and an id from 0, found {values}"
            )
        try:
            self.text_padding  # noqa: B018  checks the keys
        except OptionError as error:
            raise BundleError(f"{name}: {error}") from error
        for file in self.files:
            if Path(file).name != file or "\\" in file or "\0" in file or file in ("", "..", MANIFEST):
                raise BundleError(f"{name}: files: expected plain names of files in the bundle, found {file!r}")
        missing = {*ALWAYS, self.tokenizer.file, *engine_files} - set(self.files)
        if missing:
            raise BundleError(f"{name}: files: {', '.join(sorted(missing))} not listed; export the bundle again")

    def _check_build(self, engine: EngineInfo, name: str) -> None:
        if (engine.build is None) != (engine.library == OPENVINO):
            expected = "null" if engine.build else "an object"
            raise BundleError(f"{name}: engine: build: expected {expected} for the library {engine.library}")
        if engine.build and engine.build.hardware_compatibility not in HARDWARE_COMPATIBILITIES:
            raise BundleError(
                f"{name}: engine: build: hardware_compatibility: expected one of {', '.join(HARDWARE_COMPATIBILITIES)}, "
                f"found {engine.build.hardware_compatibility!r}"
            )

    def _check_profiles(self, engine: EngineInfo, name: str) -> None:
        profiled = engine.library != OPENVINO
        if bool(engine.profiles) != profiled:
            expected = "at least one profile" if profiled else "[]"
            raise BundleError(f"{name}: engine: profiles: expected {expected} for the library {engine.library}")
        open_axes = {axis for tensor in self.inputs for axis in tensor.axes if isinstance(axis, str)}
        for number, profile in enumerate(engine.profiles):
            if set(profile) != open_axes:
                raise BundleError(
                    f"{name}: engine: profiles[{number}]: expected the open axes of the inputs, {', '.join(sorted(open_axes))}; "
                    f"found {', '.join(sorted(profile)) or 'no axis'}"
                )
        lengths = engine.whole_range(SEQUENCE)
        if lengths is not None and lengths.max > self.sequence_length:
            raise BundleError(
                f"{name}: engine: profiles: expected at most {self.sequence_length} tokens, the longest text; found {lengths.max}"
            )


def manifest_from_folder(folder: Path, index: str = MANIFEST) -> Manifest:
    """Read the manifest of a bundle, the file `index` in the folder, and check every file that the manifest lists.

    Raises BundleError, which names the file, for a file that is missing, unreadable, of another size or with other bytes.
    """
    path = folder / index
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); expected the folder that fnet-export wrote") from error
    manifest = Manifest.from_json(text, name=str(path))
    if MODEL_DATA not in manifest.files and (folder / MODEL_DATA).exists():
        raise BundleError(f"{folder / MODEL_DATA}: the manifest does not list this file, but {MODEL} might read it; remove it")
    for name, info in manifest.files.items():
        try:
            actual = file_info(folder / name)
        except OSError as error:
            raise BundleError(f"{folder / name}: cannot be read ({error.strerror}); copy the whole bundle again") from error
        if actual != info:
            size = actual.size_bytes != info.size_bytes
            want, got = (f"{file.size_bytes} bytes" if size else f"sha256 {file.sha256}" for file in (info, actual))
            raise BundleError(f"{folder / name}: the file was altered: expected {want}, found {got}; copy the whole bundle again")
    return manifest


def file_info(path: Path) -> FileInfo:
    """Hash and measure one file. Raises OSError."""
    with path.open("rb") as file:
        return FileInfo(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size_bytes=file.tell())
