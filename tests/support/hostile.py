"""Bundles that someone altered, who knows the format: one table, for the tests of both runtimes."""

import json
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from fnet_runtime.bundle.manifest import FORMAT_VERSION, GOLDEN, MANIFEST, MODEL, TOKENIZER_CONFIG, file_info
from fnet_runtime.errors import BundleError, FNetRuntimeError, InputError, SessionError
from support.bundles import replaced
from support.engines import BUILD
from support.golden_tokenizer import pipeline

Damage = Callable[[Path], object]

ENGINE = {
    "file": "model.engine",
    "library": "tensorrt",
    "version": "10.13.0",
    "compute_capabilities": ["8.7"],
    "profiles": [{"batch_size": {"min": 1, "opt": 2, "max": 4}}],
    "build": BUILD,
}
LENGTHS = {"batch_size": {"min": 1, "opt": 2, "max": 4}, "sequence_length": {"min": 1, "opt": 16, "max": 32}}
"""An optimisation profile of a graph for texts at their own length."""
IR_ENGINE = {
    "file": "model.xml",
    "library": "openvino",
    "version": "2026.4",
    "compute_capabilities": [],
    "profiles": [],
    "build": None,
}
TOKENIZER = {"flavour": "fnet-slow", "do_lower_case": False, "keep_accents": True, "remove_space": True}
QUANTIZATION = {"method": "minmax", "data": "built-in e-mails", "sha256": "ab", "texts": 64, "kept": ["head.dense"]}
DEEP = "[" * 100_000
LOGITS = {"name": "logits", "dtype": "float32", "axes": ["batch_size", 3]}
IDS, TYPES = ({"name": name, "dtype": "int64", "axes": ["batch_size", 32]} for name in ("input_ids", "token_type_ids"))


def _input(name: str, *axes: int | str) -> dict[str, Any]:
    return {"name": name, "dtype": "int64", "axes": list(axes)}


def _inputs(*axes: int | str) -> list[dict[str, Any]]:
    return [_input(name, *axes) for name in ("input_ids", "token_type_ids")]


OPEN = _inputs("batch_size", "sequence_length")
OWN_LENGTHS = {"padding": "none", "target": "tensorrt", "inputs": OPEN}
NO_MANIFESTS = ["", "[]", "{", '{"a": 1, "a": 2}', DEEP, "\ufeff{}", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', "null", "é"]
"""What may stand in a manifest.json and is none."""

OUTSIDE = ["../model.onnx", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "a\0b", "manifest.json"]
"""Names of files that are not plain ones of the folder."""

FORMAT: list[tuple[Mapping[str, Any], str]] = [
    ({"format_version": FORMAT_VERSION + 1}, "expected format version 1, found 2; update fnet-runtime"),
    ({"format_version": "1"}, 'format_version: expected a 64-bit integer, found "1"'),
    ({"format_version": True}, "format_version: expected a 64-bit integer, found true"),
    ({"surprise": 1}, "expected an object with the keys"),
    ({"target": "coreml"}, "target: expected one of onnx, openvino, tensorrt, tensorrt-rtx, found 'coreml'"),
    ({"target": "openvino"}, "engine: expected an object for the target openvino"),
    ({"target": "tensorrt"}, "engine: expected an object for the target tensorrt"),
    ({"engine": ENGINE}, "engine: expected null for the target onnx"),
    ({"target": "openvino", "engine": ENGINE}, "engine: library: expected openvino, found 'tensorrt'"),
    ({"target": "tensorrt-rtx", "engine": ENGINE}, "engine: library: expected tensorrt_rtx, found 'tensorrt'"),
    (
        {"target": "tensorrt", "engine": ENGINE | {"library": "trt"}},
        "engine: library: expected tensorrt or tensorrt_rtx, found 'trt'",
    ),
    ({"target": "openvino", "engine": IR_ENGINE | {"file": "model.onnx"}}, "engine: file: expected model.xml, found 'model.onnx'"),
    ({"target": "openvino", "engine": IR_ENGINE}, "files: model.bin, model.xml not listed"),
    ({"target": "tensorrt", "engine": ENGINE}, "files: model.engine not listed"),
    ({"precision": "fp4"}, "precision: expected one of fp32, fp16, bf16, int8, fp8, found 'fp4'"),
    ({"precision": "fp8"}, "quantization: expected an object for the precision fp8"),
    ({"precision": "int8"}, "quantization: expected an object for the precision int8"),
    ({"quantization": QUANTIZATION}, "quantization: expected null for the precision fp32"),
    (
        {"precision": "int8", "quantization": {"method": "minmax"}},
        "quantization: expected an object with the keys method, data, sha256, texts, kept",
    ),
    ({"sequence_length": 0}, "expected a length from 1 and an id from 0, found "),
    ({"sequence_length": -1}, "expected a length from 1 and an id from 0, found "),
    ({"sequence_length": "512"}, "sequence_length: expected a 64-bit integer"),
    ({"sequence_length": 2**63}, "sequence_length: expected a 64-bit integer, found 9223372036854775808"),
    ({"padding": "longest"}, "padding: expected max_length or none, found 'longest'"),
    ({"padding": ""}, "padding: expected max_length or none, found ''"),
    ({"padding": None}, "padding: expected a string, found null"),
    *(
        ({"pad_to_multiple_of": n}, f"pad_to_multiple_of: expected 1, because every text is padded to one length; found {n}")
        for n in (-1, 0, 2, 32)
    ),
    *(
        ({"padding": "none", "pad_to_multiple_of": n}, f"pad_to_multiple_of: expected an integer from 1; found {n}")
        for n in (-8, 0)
    ),
    ({"padding": "none", "pad_to_multiple_of": "8"}, 'pad_to_multiple_of: expected a 64-bit integer, found "8"'),
    (
        {"target": "tensorrt", "engine": ENGINE | {"profiles": [LENGTHS]}},
        r"engine: profiles\[0\]: expected the open axes of the inputs, batch_size; found batch_size, sequence_length",
    ),
    (
        {"target": "openvino", "engine": IR_ENGINE | {"profiles": [LENGTHS]}},
        r"engine: profiles: expected \[\] for the library openvino",
    ),
    (
        {"target": "tensorrt", "engine": ENGINE | {"profiles": []}},
        "engine: profiles: expected at least one profile for the library tensorrt",
    ),
    (
        {"target": "tensorrt", "engine": ENGINE | {"profiles": [{}]}},
        r"engine: profiles\[0\]: expected the open axes of the inputs, batch_size; found no axis",
    ),
    (
        OWN_LENGTHS | {"engine": ENGINE | {"profiles": [LENGTHS | {"sequence_length": {"min": 1, "opt": 2, "max": 33}}]}},
        "engine: profiles: expected at most 32 tokens, the longest text; found 33",
    ),
    (
        OWN_LENGTHS | {"engine": ENGINE | {"profiles": LENGTHS}},
        "engine: profiles: expected a list, found {",
    ),
    (
        OWN_LENGTHS | {"engine": ENGINE | {"profiles": [LENGTHS, {"batch_size": {"min": 1, "max": 2}}]}},
        r"engine: profiles\[1\]: batch_size: expected an object with the keys min, opt, max; found ",
    ),
    (
        OWN_LENGTHS | {"engine": ENGINE | {"profiles": [LENGTHS | {"sequence_length": {"min": 0, "opt": 2, "max": 9}}]}},
        r"engine: profiles\[0\]: sequence_length: expected 1 <= MIN .* 0 2 9",
    ),
    ({"labels": [1]}, r"labels\[0\]: expected a string, found 1"),
    ({"labels": {"it's": [None, 1.5, "\n"]}}, "labels: expected a list, found {"),
    ({"inputs": [{"name": "input_ids"}]}, r"inputs\[0\]: expected an object with the keys name, dtype, axes"),
    ({"inputs": [_input("a") | {"axes": [1.5]}]}, r"axes\[0\]: expected a 64-bit integer or a string, found 1.5"),
    (
        {"engine": ENGINE | {"profiles": [{"batch_size": {"min": 5, "opt": 0, "max": 1}}]}},
        "batch_size: expected 1 <= MIN .* 5 0 1",
    ),
    ({"engine": ENGINE | {"build": BUILD | {"gpu": 1}}}, "engine: build: gpu: expected a string or null, found 1"),
    ({"engine": ENGINE | {"build": {}}}, "engine: build: expected an object with the keys gpu, workspace_mib, .*found "),
    ({"target": "tensorrt", "engine": ENGINE | {"build": None}}, "engine: build: expected an object for the library tensorrt"),
    ({"target": "openvino", "engine": IR_ENGINE | {"build": BUILD}}, "engine: build: expected null for the library openvino"),
    (
        {"target": "tensorrt", "engine": ENGINE | {"build": BUILD | {"hardware_compatibility": "all"}}},
        "engine: build: hardware_compatibility: expected one of none, ampere-plus, same-compute-capability, found 'all'",
    ),
    ({"engine": 3}, "engine: expected an object or null, found 3"),
    ({"tokenizer": {"do_lower_case": True}}, "tokenizer: expected an object with the keys flavour, do_lower_case, keep_accents"),
    (
        {"tokenizer": TOKENIZER | {"flavour": "fast"}},
        "tokenizer: unknown tokenizer flavour 'fast'; expected one of f_net, sentencepiece",
    ),
    ({"tokenizer": TOKENIZER | {"flavour": ["fnet-fast"]}}, r'tokenizer: flavour: expected a string, found \["fnet-fast"\]'),
    ({"tokenizer": TOKENIZER | {"keep_accents": 1}}, "tokenizer: keep_accents: expected true or false, found 1"),
    (
        {"tokenizer": TOKENIZER | {"flavour": "sentencepiece", "do_lower_case": True}},
        "tokenizer: .*: sentencepiece has no such choice",
    ),
    ({"tokenizer": TOKENIZER | {"flavour": "fnet-v5", "remove_space": False}}, "tokenizer: .*: fnet-v5 has no such choice"),
    ({"tokenizer": TOKENIZER | {"flavour": "fnet-fast"}}, "files: tokenizer.json not listed"),
    ({"files": {}}, "files: config.json, golden.safetensors, model.onnx, spiece.model, tokenizer_config.json not listed"),
    ({"files": {"../x": {"sha256": "", "size_bytes": 0}}}, "expected plain names of files in the bundle, found "),
]
"""Keys of a manifest.json with values that the format does not have, and what is said of them."""

NUMBERS: list[tuple[Mapping[str, Any], str]] = [
    (
        {"target": "tensorrt", "engine": ENGINE | {"profiles": [{"batch_size": {"min": 5, "opt": 2, "max": 9}}]}},
        "batch_size: expected 1 <= MIN <= OPT <= MAX, found 5 2 9",
    ),
    (
        OWN_LENGTHS
        | {"engine": ENGINE | {"profiles": [LENGTHS, LENGTHS | {"sequence_length": {"min": 17, "opt": 16, "max": 32}}]}},
        r"profiles\[1\]: sequence_length: expected 1 <= MIN <= OPT <= MAX, found 17 16 32",
    ),
    *(
        (
            {"padding": "none", "pad_to_multiple_of": n},
            f"pad_to_multiple_of: expected a number that divides the sequence length 32; found {n}",
        )
        for n in (5, 31, 64)
    ),
]
"""Keys of a manifest.json with numbers that do not fit each other, which a schema cannot compare, and what is said of them."""

TASK: list[tuple[Mapping[str, Any], str]] = [
    ({"task": "translation"}, "unknown task 'translation'; expected one of feature-extraction, "),
    ({"task": "question-answering"}, "question-answering has the outputs start_logits, end_logits; found logits"),
    ({"task": "masked-lm"}, "expected 0 labels for masked-lm; found 3"),
    ({"labels": ["A"]}, "expected 3 labels for sequence-classification; found 1"),
    ({"labels": [], "outputs": [LOGITS | {"axes": ["batch_size", 0]}]}, "expected 0 labels for sequence-classification; found 0"),
    ({"outputs": [LOGITS | {"axes": []}]}, "expected no labels for sequence-classification; found 3"),
    ({"outputs": [LOGITS, LOGITS]}, "sequence-classification has the outputs logits; found logits, logits"),
    ({"outputs": []}, "sequence-classification has the outputs logits; found "),
    ({"sequence_length": 16}, "expected the inputs input_ids, token_type_ids, each of 16 tokens"),
    ({"inputs": []}, "expected the inputs input_ids, token_type_ids, each of 32 tokens"),
    ({"inputs": [IDS, TYPES, TYPES]}, "expected the inputs input_ids, token_type_ids, each of 32 tokens"),
    ({"inputs": [IDS, _input("token_type_ids")]}, "expected the inputs input_ids, token_type_ids, each of 32 tokens"),
    ({"padding": "none"}, "expected the inputs input_ids, token_type_ids, each of sequence_length tokens"),
    (
        {"padding": "none", "inputs": [IDS, TYPES | {"axes": ["batch_size", "sequence_length"]}]},
        "expected the inputs input_ids, token_type_ids, each of sequence_length tokens",
    ),
    (
        {"padding": "none", "inputs": _inputs("batch_size", "tokens")},
        "expected the inputs input_ids, token_type_ids, each of sequence_length tokens",
    ),
    (
        {"inputs": _inputs("batch_size", "sequence_length")},
        "expected the inputs input_ids, token_type_ids, each of 32 tokens",
    ),
    (
        {"inputs": [IDS, TYPES, _input("masked_lm_positions", "batch_size", 2)]},
        "only masked-lm has the input masked_lm_positions; found it in sequence-classification",
    ),
    *(
        (
            {"task": "masked-lm", "labels": [], "inputs": [IDS, TYPES, _input("masked_lm_positions", *axes)]},
            "masked_lm_positions: expected a number of positions as its last axis",
        )
        for axes in ((), ("batch_size", "some"), ("batch_size", 0))
    ),
    ({"pad_token_id": 0}, "pieces with <pad> at 3; the model has .* embeddings and pads with 0"),
]
"""Keys of a manifest.json that contradict its task or its tokenizer, and what is said of them."""


def golden_header(**changes: Any) -> bytes:
    """A golden.safetensors of one input, its entry changed."""
    entry = {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]} | changes
    return golden_file({"__metadata__": {}, "0.input.a": entry}, bytes(8))


def golden_file(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def golden_tensors(*names: str) -> bytes:
    """A golden.safetensors of whole tensors of one number each: int64 inputs, else float64, with a limit of each reference."""
    entries = {
        name: {"dtype": "I64" if ".input" in name else "F64", "shape": [1], "data_offsets": [8 * i, 8 * i + 8]}
        for i, name in enumerate(names)
    }
    limits = {f"limit.{name.split('.', 2)[-1]}": "0.1" for name in names if "reference" in name}
    return golden_file({"__metadata__": limits, **entries}, bytes(8 * len(names)))


REFERENCE = {"dtype": "F64", "shape": [1], "data_offsets": [8, 16]}
WHOLE_CASE = ("0.input.a", "0.reference.b")
NO_GOLDENS = [
    b"",
    b"123",
    b"\xff" * 9,
    struct.pack("<Q", 1 << 60) + b"{}",
    golden_file(b"[]"),
    golden_file(b"{}"),
    golden_file(DEEP.encode()),
    golden_file(b"\xff\xfe{}"),
    golden_file('{"__metadata__": {}}'.encode("utf-16")),
    golden_header(),  # no references
    golden_header(shape=[]),
    golden_header(shape=[2]),
    golden_header(shape=[-1]),
    golden_header(shape=[True]),
    golden_header(shape=[2**64]),
    golden_header(dtype="F16"),
    golden_header(dtype=["I64"]),
    golden_header(data_offsets=[0, 16]),
    golden_header(data_offsets=[4, 12]),
    golden_header(data_offsets=[0, -8]),
    golden_header(data_offsets=[False, 8]),
    golden_header() + b"more",
    golden_file({"__metadata__": {}, "0.input.a": 3}),
    golden_file({"__metadata__": [], "0.input.a": 3}),
    golden_file(
        {
            "__metadata__": {"limit.b": 0.1},
            "0.input.a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
            "0.reference.b": REFERENCE,
        },
        bytes(16),
    ),
    golden_tensors(),
    golden_tensors("input.a", "reference.b"),  # no numbers, as before
    golden_tensors("0.reference.b"),
    *(
        golden_tensors(f"{number}.input.a", f"{number}.reference.b")
        for number in ("1", "00", "01", "-1", "+0", " 0", "", "0.0", "a", "\u0660", "1e0")
    ),
    golden_tensors(*WHOLE_CASE, "2.input.a", "2.reference.b"),  # a gap
    golden_tensors(*WHOLE_CASE, "01.input.a", "01.reference.b"),
    golden_tensors(*WHOLE_CASE, "1.input.a"),
    golden_tensors(*WHOLE_CASE, "1.reference.b"),
    golden_tensors(*WHOLE_CASE, "1.input.c", "1.reference.b"),
    golden_tensors(*WHOLE_CASE, "1.input.a", "1.input.c", "1.reference.b"),
    golden_tensors(*WHOLE_CASE, "1.input.a", "1.reference.c"),
    golden_tensors(*WHOLE_CASE, "1.input.a", "1.reference.b", "1.reference.c"),
    golden_tensors(*WHOLE_CASE, "0.limit.b"),
    golden_tensors(*WHOLE_CASE, "0.inputs.a"),
    golden_tensors(*WHOLE_CASE, "0"),
    golden_tensors(*WHOLE_CASE, "0.input"),
]
"""What may stand in a golden.safetensors and is none."""


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """A damage of the folder of `whole_bundle`, and what either runtime raises: when it is opened, asked or tests itself."""

    damage: Damage
    error: type[FNetRuntimeError] = BundleError
    self_test: bool = False
    own_words: str = "\n"
    """What the words of another library follow."""

    @property
    def exit_code(self) -> int:
        return 4 if issubclass(self.error, SessionError) else 1

    @property
    def arguments(self) -> list[str]:
        """Of fnet-run, beside the folder."""
        return ["--self-test"] if self.self_test else ["--text", "a"]


def altered(bundle: Path, **changes: Any) -> Path:
    """A bundle whose manifest has other values."""
    path = bundle / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return bundle


def _altered(changes: Mapping[str, Any]) -> Damage:
    return lambda bundle: altered(bundle, **changes)


def _replaced(name: str, data: bytes) -> Damage:
    return lambda bundle: replaced(bundle, name, data)


def _written(name: str, data: bytes) -> Damage:
    return lambda bundle: (bundle / name).write_bytes(data)


def _flipped(name: str) -> Damage:
    def damage(bundle: Path) -> None:
        data = bytearray((bundle / name).read_bytes())
        data[len(data) // 2] ^= 1
        (bundle / name).write_bytes(data)

    return damage


def _listed(name: str) -> Damage:
    def damage(bundle: Path) -> None:
        files = json.loads((bundle / MANIFEST).read_text())["files"]
        altered(bundle, files=files | {name: vars(file_info(bundle / MODEL))})

    return damage


def with_tokenizer(bundle: Path, data: bytes, flavour: str) -> Path:
    """A bundle with a tokenizer.json, or with a spiece.model, of a flavour."""
    name = "tokenizer.json" if flavour in ("fnet-fast", "fnet-v5") else "spiece.model"
    altered(bundle, tokenizer=TOKENIZER | {"flavour": flavour})
    return replaced(bundle, name, data)


def _tokenizer(change: Callable[[bytes], bytes], flavour: str = "fnet-fast") -> Damage:
    return lambda bundle: with_tokenizer(bundle, change(pipeline("bpe", flavour)), flavour)


def _golden(tensors: Mapping[str, Any] | None = None, **metadata: str) -> Damage:
    """Changes tensors and metadata of the bundle's own golden.safetensors; None removes one."""

    def damage(bundle: Path) -> None:
        path = bundle / GOLDEN
        data = path.read_bytes()
        (length,) = struct.unpack_from("<Q", data)
        kept = json.loads(data[8 : 8 + length])["__metadata__"]
        every = safetensors.numpy.load(data) | dict(tensors or {})
        replaced(bundle, GOLDEN, safetensors.numpy.save({k: v for k, v in every.items() if v is not None}, kept | metadata))

    return damage


def _numbered(name: str, damages: list[Damage], **options: Any) -> dict[str, Hostile]:
    return {f"{name} {i}": Hostile(damage=damage, **options) for i, damage in enumerate(damages)}


SIXTEEN = _inputs("batch_size", 16)
TOKEN_LABELS = {"task": "token-classification"}
IDS_OF_GOLDEN = np.zeros((2, 32), np.int64)


def _case(number: int, *, length: int = 32) -> dict[str, Any]:
    """The tensors of a case of golden.safetensors."""
    inputs = {f"{number}.input.{name}": IDS_OF_GOLDEN[:, :length] for name in ("input_ids", "token_type_ids")}
    return inputs | {f"{number}.reference.logits": np.zeros((2, 3))}


HOSTILE: Mapping[str, Hostile] = {
    "no folder": Hostile(damage=shutil.rmtree),
    "no manifest": Hostile(damage=lambda bundle: (bundle / MANIFEST).unlink()),
    "manifest is a folder": Hostile(damage=lambda bundle: ((bundle / MANIFEST).unlink(), (bundle / MANIFEST).mkdir())),
    "manifest is not UTF-8": Hostile(damage=_written(MANIFEST, b"\xff"), own_words="("),
    **_numbered("no manifest", [_written(MANIFEST, text.encode()) for text in NO_MANIFESTS], own_words="("),
    **_numbered("outside", [_listed(name) for name in OUTSIDE]),
    **_numbered("format", [_altered(changes) for changes, _ in FORMAT]),
    **_numbered("numbers", [_altered(changes) for changes, _ in NUMBERS]),
    **_numbered("task", [_altered(changes) for changes, _ in TASK]),
    **_numbered("flipped", [_flipped(name) for name in (MODEL, "spiece.model", "config.json", TOKENIZER_CONFIG, GOLDEN)]),
    "a file is longer": Hostile(damage=_written("config.json", b"{}")),
    "a file is missing": Hostile(damage=lambda bundle: (bundle / "config.json").unlink()),
    "a file is a folder": Hostile(damage=lambda bundle: ((bundle / MODEL).unlink(), (bundle / MODEL).mkdir())),
    "unlisted weights": Hostile(damage=_written("model.onnx.data", b"")),
    **_numbered(
        "config",
        [
            _replaced("config.json", text.encode())
            for text in (
                *("{}", "[]", DEEP, '{"vocab_size": "1"}', '{"vocab_size": 1e3}', '{"vocab_size": true}'),
                *(f'{{"vocab_size": 1000, "type_vocab_size": {types}}}' for types in ("null", "2.0", '"2"', "9223372036854775808")),
            )
        ],
        own_words="(",
    ),
    "config of another number": Hostile(damage=_replaced("config.json", b'{"vocab_size": 9223372036854775808}'), own_words="("),
    "config of fewer embeddings": Hostile(damage=_replaced("config.json", b'{"vocab_size": 20}')),
    **_numbered("vocabulary", [_replaced("spiece.model", data) for data in (b"", b"no model", b"\n\x07\n\x01a")], own_words="("),
    **_numbered(
        "tokenizer",
        [
            *(_tokenizer(lambda _, data=data: data) for data in (b"", b"{}", b"\xff", DEEP.encode())),
            _tokenizer(lambda fast: fast.replace(b'"prepend_scheme": "always"', b'"prepend_scheme": "never"')),
            _tokenizer(lambda v5: v5.replace(b"[MASK]", b"[OTHER]"), "fnet-v5"),
            lambda bundle: with_tokenizer(bundle, pipeline("bpe", "fnet-v5"), "fnet-fast"),
        ],
        own_words="(",
    ),
    "no graph": Hostile(damage=_replaced(MODEL, b"no graph"), error=SessionError, own_words="("),
    "an empty graph": Hostile(damage=_replaced(MODEL, b""), error=SessionError, own_words="("),
    "a graph of other inputs": Hostile(damage=_altered({"sequence_length": 16, "inputs": SIXTEEN}), error=SessionError),
    "a graph of one length": Hostile(damage=_altered({"padding": "none", "inputs": OPEN}), error=SessionError),
    "a graph of another task": Hostile(damage=_altered(TOKEN_LABELS), error=SessionError),
    "bf16 without an engine": Hostile(damage=_altered({"precision": "bf16"}), error=SessionError),
    **_numbered("no golden", [_replaced(GOLDEN, data) for data in NO_GOLDENS], self_test=True, own_words="("),
    **_numbered(
        "golden",
        [
            _golden({"stray": IDS_OF_GOLDEN}),
            _golden({"0.reference.b": IDS_OF_GOLDEN}),
            _golden({"0.reference.logits": np.full((2, 3), np.nan)}),
            _golden({"0.input.input_ids": np.zeros((2, 32), np.float64)}),
            _golden({"0.reference.logits": None}),
            _golden(_case(2)),
            _golden(_case(1) | {"1.input.token_type_ids": None}),
            _golden(_case(1) | {"1.input.b": IDS_OF_GOLDEN}),
            _golden(_case(1) | {"1.reference.logits": np.full((2, 3), np.inf)}),
            _golden(**{"limit.logits": "nan"}),
            _golden(**{"limit.logits": "-1"}),
            _golden(**{"limit.logits": "some"}),
        ],
        self_test=True,
        own_words="(",
    ),
    **_numbered(
        "golden inputs",
        [
            _golden({"0.input.token_type_ids": None}),
            _golden({"0.input.b": IDS_OF_GOLDEN}),
            _golden({"0.input.input_ids": IDS_OF_GOLDEN[:1]}),
            _golden({"0.input.input_ids": IDS_OF_GOLDEN[:, :9], "0.input.token_type_ids": IDS_OF_GOLDEN[:, :9]}),
            _golden(_case(1, length=9)),
        ],
        self_test=True,
        error=InputError,
    ),
    "golden ids beyond the vocabulary": Hostile(
        damage=_golden({"0.input.input_ids": IDS_OF_GOLDEN + 10**6, "0.input.token_type_ids": IDS_OF_GOLDEN}),
        self_test=True,
        error=SessionError,
        own_words="failed:",
    ),
}
"""By name."""
