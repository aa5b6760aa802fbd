import dataclasses
import json

import pytest
from fnet_runtime.bundle.manifest import MANIFEST, MODEL, Manifest, Quantization, file_info, manifest_from_folder
from fnet_runtime.errors import BundleError
from support.hostile import ENGINE, FORMAT, NO_MANIFESTS, OUTSIDE, QUANTIZATION, altered


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


@pytest.mark.parametrize("name", ["model.onnx", "spiece.model", "tokenizer_config.json", "config.json", "golden.safetensors"])
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


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_that_leaves_the_folder_is_refused(bundle, name):
    files = json.loads((bundle / MANIFEST).read_text())["files"]
    with pytest.raises(BundleError, match="is not the plain name of a file inside the bundle"):
        manifest_from_folder(altered(bundle, files=files | {name: vars(file_info(bundle / MODEL))}))


@pytest.mark.parametrize(("changes", "message"), FORMAT)
def test_what_the_format_does_not_have_is_refused(bundle, changes, message):
    with pytest.raises(BundleError, match=message):
        manifest_from_folder(altered(bundle, **changes))


@pytest.mark.parametrize("text", NO_MANIFESTS, ids=range(len(NO_MANIFESTS)))
def test_what_is_no_manifest_is_refused(bundle, text):
    (bundle / MANIFEST).write_text(text, "utf-8")
    with pytest.raises(BundleError, match="manifest.json: (not JSON|expected an object)"):
        manifest_from_folder(bundle)


def test_no_bundle_at_all(tmp_path):
    with pytest.raises(BundleError, match="expected the folder that fnet-export wrote"):
        manifest_from_folder(tmp_path / "nothing")
