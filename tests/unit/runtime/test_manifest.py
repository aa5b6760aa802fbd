import dataclasses
import json
from importlib import resources

import fnet_runtime.bundle
import jsonschema
import pytest
from fnet_runtime.bundle.manifest import (
    ALWAYS,
    ENGINE_FILES,
    FORMAT_VERSION,
    LIBRARIES,
    MANIFEST,
    MODEL,
    PRECISIONS,
    TARGETS,
    AxisProfile,
    EngineInfo,
    Manifest,
    Quantization,
    file_info,
    manifest_from_folder,
)
from fnet_runtime.errors import BundleError
from fnet_runtime.pipeline.tasks import TASKS
from fnet_runtime.tokenizer.encoding import PADDINGS, Padding
from fnet_runtime.tokenizer.tokenizer import FLAVOURS
from support.hostile import ENGINE, FORMAT, LENGTHS, NO_MANIFESTS, NUMBERS, OPEN, OUTSIDE, QUANTIZATION, altered


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
    own_lengths = {
        "padding": "none",
        "pad_to_multiple_of": 8,
        "inputs": OPEN,
        "engine": ENGINE | {"profiles": [LENGTHS, LENGTHS | {"sequence_length": {"min": 8, "opt": 8, "max": 24}}]},
    }
    unpadded = Manifest.from_json(json.dumps(json.loads(text) | engine | own_lengths))
    assert unpadded.text_padding == Padding(unpadded.sequence_length, "none", 8)
    assert unpadded.engine is not None
    assert unpadded.engine.ranges("sequence_length") == (AxisProfile(min=1, opt=16, max=32), AxisProfile(min=8, opt=8, max=24))
    assert unpadded.engine.ranges("batch_size") == (AxisProfile(min=1, opt=2, max=4),)
    assert unpadded.engine.whole_range("sequence_length") == AxisProfile(min=1, opt=16, max=32)
    assert unpadded.engine.whole_range("num_choices") is None
    assert {key: value for key, value in json.loads(unpadded.to_json()).items() if key in own_lengths} == own_lengths
    int8 = Manifest.from_json(json.dumps(json.loads(text) | {"precision": "int8", "quantization": QUANTIZATION}))
    assert int8.quantization == Quantization(method="minmax", data="built-in e-mails", sha256="ab", texts=64, kept=("head.dense",))
    assert json.loads(int8.to_json())["quantization"] == QUANTIZATION


def test_weights_that_no_hash_guards_are_refused(bundle):
    (bundle / "model.onnx.data").write_bytes(b"")
    with pytest.raises(
        BundleError, match=r"model\.onnx\.data: the manifest does not list this file, but model.onnx might read it; remove it"
    ):
        manifest_from_folder(bundle)


@pytest.mark.parametrize("name", ["model.onnx", "spiece.model", "tokenizer_config.json", "config.json", "golden.safetensors"])
def test_a_flipped_byte_is_refused(bundle, name):
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        BundleError, match=f"{name}: the file was altered: expected sha256 .*, found sha256 .*copy the whole bundle again"
    ):
        manifest_from_folder(bundle)
    path.write_bytes(data[:-1])
    with pytest.raises(BundleError, match=f"altered: expected {len(data)} bytes, found {len(data) - 1} bytes"):
        manifest_from_folder(bundle)
    path.unlink()
    with pytest.raises(BundleError, match=f"{name}: cannot be read"):
        manifest_from_folder(bundle)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_that_leaves_the_folder_is_refused(bundle, name):
    files = json.loads((bundle / MANIFEST).read_text())["files"]
    with pytest.raises(BundleError, match="expected plain names of files in the bundle, found "):
        manifest_from_folder(altered(bundle, files=files | {name: vars(file_info(bundle / MODEL))}))


@pytest.mark.parametrize(("changes", "message"), [*FORMAT, *NUMBERS])
def test_what_the_format_does_not_have_is_refused(bundle, changes, message):
    with pytest.raises(BundleError, match=message):
        manifest_from_folder(altered(bundle, **changes))


@pytest.mark.parametrize("text", NO_MANIFESTS, ids=range(len(NO_MANIFESTS)))
def test_what_is_no_manifest_is_refused(bundle, text):
    (bundle / MANIFEST).write_text(text, "utf-8")
    with pytest.raises(BundleError, match="manifest.json: (is not JSON|expected an object)"):
        manifest_from_folder(bundle)


def test_no_bundle_at_all(tmp_path):
    with pytest.raises(BundleError, match="expected the folder that fnet-export wrote"):
        manifest_from_folder(tmp_path / "nothing")


# ---- manifest.schema.json

SCHEMA = json.loads(resources.files(fnet_runtime.bundle).joinpath("manifest.schema.json").read_text())
ACCEPTS = jsonschema.Draft202012Validator(SCHEMA).is_valid


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_has_the_words_of_the_reader():
    keys = SCHEMA["properties"]
    assert list(keys) == SCHEMA["required"] == [field.name for field in dataclasses.fields(Manifest)]
    assert keys["format_version"]["const"] == FORMAT_VERSION
    assert keys["task"]["enum"] == list(TASKS)
    assert keys["target"]["enum"] == list(TARGETS)
    assert keys["padding"]["enum"] == list(PADDINGS)
    assert keys["precision"]["enum"] == list(PRECISIONS)
    assert keys["tokenizer"]["properties"]["flavour"]["enum"] == list(FLAVOURS)
    assert set(keys["files"]["required"]) == set(ALWAYS)
    engine = keys["engine"]["properties"]
    assert set(engine["library"]["enum"]) == {name for names in LIBRARIES.values() for name in names} == set(ENGINE_FILES)
    assert list(engine) == keys["engine"]["required"] == [field.name for field in dataclasses.fields(EngineInfo)]
    assert set(engine["file"]["enum"]) == {files[0] for files in ENGINE_FILES.values()}


def test_the_schema_refuses_the_manifests_that_the_reader_refuses(bundle):
    whole = json.loads((bundle / MANIFEST).read_text())
    assert ACCEPTS(whole)
    accepted = [changes for changes, _ in FORMAT if ACCEPTS(whole | changes)]
    assert accepted == []
    for name in OUTSIDE:
        assert not ACCEPTS(whole | {"files": whole["files"] | {name: {"sha256": "", "size_bytes": 0}}}), name
    for key in whole:
        assert not ACCEPTS({name: value for name, value in whole.items() if name != key}), key


@pytest.mark.parametrize(("changes", "message"), NUMBERS)
def test_the_reader_refuses_more_than_the_schema(bundle, changes, message):
    files = json.loads((bundle / MANIFEST).read_text())["files"] | {"model.engine": {"sha256": "", "size_bytes": 0}}
    path = altered(bundle, files=files, **changes) / MANIFEST
    assert ACCEPTS(json.loads(path.read_text()))
    with pytest.raises(BundleError, match=message):
        Manifest.from_json(path.read_text())
