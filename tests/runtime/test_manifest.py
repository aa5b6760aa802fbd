import dataclasses
import json

import pytest
from fnet_runtime.errors import BundleError
from fnet_runtime.manifest import FORMAT_VERSION, MANIFEST, MODEL, Manifest, Quantization, file_info, manifest_from_folder

ENGINE = {
    "file": "model.engine",
    "library": "tensorrt",
    "version": "10.13.0",
    "compute_capabilities": ["8.7"],
    "batch_profile": {"batch_size": {"min": 1, "opt": 2, "max": 4}},
}
IR_ENGINE = {"file": "model.xml", "library": "openvino", "version": "2026.4", "compute_capabilities": [], "batch_profile": {}}
TOKENIZER = {"flavour": "fnet-slow", "do_lower_case": False, "keep_accents": True, "remove_space": True}
QUANTIZATION = {"method": "minmax", "data": "built-in e-mails", "sha256": "ab", "texts": 64, "kept": ["head.dense"]}


def rewritten(bundle, **changes):
    path = bundle / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return bundle


def test_round_trip(bundle):
    text = (bundle / MANIFEST).read_text()
    manifest = manifest_from_folder(bundle)
    assert manifest.to_json() == text
    assert list(json.loads(text)) == [field.name for field in dataclasses.fields(Manifest)]
    engine = {
        "target": "tensorrt",
        "engine": ENGINE,
        "files": json.loads(text)["files"] | {"model.engine": {"sha256": "", "size_bytes": 0}},
    }
    again = Manifest.from_json(json.dumps(json.loads(text) | engine))
    assert again.engine is not None
    assert json.loads(again.to_json())["engine"] == ENGINE
    int8 = Manifest.from_json(json.dumps(json.loads(text) | {"precision": "int8", "quantization": QUANTIZATION}))
    assert int8.quantization == Quantization(method="minmax", data="built-in e-mails", sha256="ab", texts=64, kept=("head.dense",))
    assert json.loads(int8.to_json())["quantization"] == QUANTIZATION


def test_weights_that_no_hash_guards_are_refused(bundle):
    (bundle / "model.onnx.data").write_bytes(b"")
    with pytest.raises(BundleError, match=r"model\.onnx\.data: is not in the manifest, but model.onnx might read it; remove it"):
        manifest_from_folder(bundle)


@pytest.mark.parametrize("name", ["model.onnx", "spiece.model", "config.json", "golden.safetensors"])
def test_a_flipped_byte_is_refused(bundle, name):
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=f"{name}: altered: found sha256 .*copy the whole bundle again"):
        manifest_from_folder(bundle)
    path.write_bytes(data[:-1])
    with pytest.raises(BundleError, match=f"altered: found {len(data) - 1} bytes, the manifest says {len(data)}"):
        manifest_from_folder(bundle)
    path.unlink()
    with pytest.raises(BundleError, match=f"{name}: cannot be read"):
        manifest_from_folder(bundle)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/b", "..", "", "a\\b", "a\0b", "manifest.json"])
def test_a_path_that_leaves_the_folder_is_refused(bundle, name):
    files = json.loads((bundle / MANIFEST).read_text())["files"]
    with pytest.raises(BundleError, match="is not the plain name of a file inside the bundle"):
        manifest_from_folder(rewritten(bundle, files=files | {name: vars(file_info(bundle / MODEL))}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "format version 2; this runtime reads 1. Update fnet-runtime"),
        ({"format_version": "1"}, "format_version: expected int, found '1'"),
        ({"format_version": True}, "format_version: expected int"),
        ({"surprise": 1}, "expected an object with the keys"),
        ({"target": "coreml"}, "target: expected one of onnx, openvino, tensorrt, tensorrt-rtx, found 'coreml'"),
        ({"target": "tensorrt"}, "engine: a bundle for tensorrt must have one"),
        ({"engine": ENGINE}, "engine: a bundle for onnx must not have one"),
        ({"target": "openvino", "engine": ENGINE}, "engine: library: expected openvino, found 'tensorrt'"),
        ({"target": "tensorrt-rtx", "engine": ENGINE}, "engine: library: expected tensorrt_rtx, found 'tensorrt'"),
        (
            {"target": "tensorrt", "engine": ENGINE | {"library": "trt"}},
            "engine: library: expected tensorrt or tensorrt_rtx, found 'trt'",
        ),
        (
            {"target": "openvino", "engine": IR_ENGINE | {"file": "model.onnx"}},
            "engine: file: expected model.xml, found 'model.onnx'",
        ),
        ({"target": "openvino", "engine": IR_ENGINE}, "files: expected model.bin, model.xml as well"),
        ({"target": "tensorrt", "engine": ENGINE}, "files: expected model.engine as well"),
        ({"precision": "fp8"}, "precision: expected one of fp32, fp16, bf16, int8, found 'fp8'"),
        ({"precision": "int8"}, "quantization: bundles in int8 have it"),
        ({"quantization": QUANTIZATION}, "quantization: bundles in fp32 have none"),
        (
            {"precision": "int8", "quantization": {"method": "minmax"}},
            "quantization: expected an object with the keys method, data, sha256, texts, kept",
        ),
        ({"sequence_length": 0}, "expected a length from 1"),
        ({"sequence_length": "512"}, "sequence_length: expected int"),
        ({"labels": [1]}, r"labels\[0\]: expected str, found 1"),
        ({"inputs": [{"name": "input_ids"}]}, r"inputs\[0\]: expected an object with the keys name, dtype, axes"),
        ({"inputs": [{"name": "a", "dtype": "int64", "axes": [1.5]}]}, r"axes\[0\]: expected int \| str, found 1.5"),
        (
            {"engine": ENGINE | {"batch_profile": {"batch_size": {"min": 5, "opt": 0, "max": 1}}}},
            "batch_size: expected 1 <= MIN .* 5 0 1",
        ),
        ({"engine": 3}, "engine: expected EngineInfo | None, found 3"),
        (
            {"tokenizer": {"do_lower_case": True}},
            "tokenizer: expected an object with the keys flavour, do_lower_case, keep_accents",
        ),
        (
            {"tokenizer": TOKENIZER | {"flavour": "fast"}},
            "tokenizer: unknown tokenizer flavour 'fast'; expected one of sentencepiece",
        ),
        ({"tokenizer": TOKENIZER | {"flavour": ["fnet-fast"]}}, r"tokenizer: flavour: expected str, found \['fnet-fast'\]"),
        ({"tokenizer": TOKENIZER | {"keep_accents": 1}}, "tokenizer: keep_accents: expected bool, found 1"),
        ({"tokenizer": TOKENIZER | {"flavour": "fnet-v5", "remove_space": False}}, "tokenizer: .*: fnet-v5 has no such choice"),
        ({"tokenizer": TOKENIZER | {"flavour": "fnet-fast"}}, "files: expected tokenizer.json as well"),
        ({"files": {}}, "files: expected config.json, golden.safetensors, model.onnx, spiece.model as well"),
    ],
)
def test_what_the_format_does_not_have_is_refused(bundle, changes, message):
    with pytest.raises(BundleError, match=message):
        manifest_from_folder(rewritten(bundle, **changes))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1, "a": 2}', "[" * 100_000])
def test_what_is_no_manifest_is_refused(bundle, text):
    (bundle / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match="manifest.json: (not JSON|expected an object)"):
        manifest_from_folder(bundle)


def test_no_bundle_at_all(tmp_path):
    with pytest.raises(BundleError, match="expected the folder that fnet-export wrote"):
        manifest_from_folder(tmp_path / "nothing")
