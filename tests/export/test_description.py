"""What inspect says of a bundle, and that it refuses a damaged one by the name of the file."""

import json
from collections import Counter

import onnx
import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import MANIFEST, manifest_from_folder
from fnet_runtime.errors import BundleError
from support.bundles import replaced
from support.checkpoints import save_tiny
from support.engines import BUILD
from support.exports import export

from fnet_export.bundle.description import description_from_bundle
from fnet_export.commands.cli import main

ENGINE = {
    "file": "model.engine",
    "library": "tensorrt_rtx",
    "version": "1.7",
    "compute_capabilities": ["8.6", "8.9"],
    "profiles": [{"batch_size": {"min": 1, "opt": 2, "max": 8}}],
    "build": BUILD
    | {
        "gpu": "NVIDIA L4",
        "workspace_mib": 512,
        "optimization_level": 1,
        "timing_cache_sha256": "ab" * 32,
        "version_compatible": True,
        "hardware_compatibility": "ampere-plus",
        "weight_stripped": True,
    },
}
QUANTIZATION = {"method": "minmax", "data": "mails.jsonl", "sha256": "ab" * 32, "texts": 64, "kept": ["block 0 dense"]}


def run(*arguments):
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)], env={"COLUMNS": "300"})


def words(text):
    return " ".join(text.split())


def test_everything_of_a_bundle(whole_bundle):
    shown = run(whole_bundle)
    said = words(shown.stdout)
    assert shown.exit_code == 0
    manifest = manifest_from_folder(whole_bundle)
    for text in (
        "task sequence-classification",
        "labels A, B, C",
        f"source {manifest.source.id}",
        f"weights model.safetensors sha256 {manifest.source.sha256['model.safetensors'][:12]}",
        "precision fp32",
        f"transform {manifest.transform}: {manifest.transform_reason}",
        "target onnx; opens with onnxruntime",
        "engine none: ONNX Runtime runs model.onnx",
        "input input_ids int64[batch_size, 32]",
        "output logits float32[batch_size, 3]",
        "padding every input is cut or filled with id 3 to exactly 32 tokens; no mask hides the filling",
        "tokenizer fnet-slow, from spiece.model; do_lower_case false, keep_accents true, remove_space true",
        "parity passed on the exporting host; of ",
        f"torch {manifest.tools['torch']}",
    ):
        assert text in said
    for name, info in manifest.files.items():
        assert f"file {name} " in said
        assert f"sha256 {info.sha256[:12]} matches" in said


def test_operators_are_those_of_the_graph(whole_bundle):
    found = description_from_bundle(whole_bundle).operators
    assert found == Counter(node.op_type for node in onnx.load(whole_bundle / "model.onnx").graph.node)
    assert f"operators {sum(found.values())} in model.onnx: " in words(run(whole_bundle).stdout)


def test_the_oldest_releases_that_open_the_graph(whole_bundle):
    graph = description_from_bundle(whole_bundle).graph
    model = onnx.load(whole_bundle / "model.onnx")
    assert (graph.opset, graph.ir_version) == (model.opset_import[0].version, model.ir_version) == (20, 9)
    said = words(run(whole_bundle).stdout)
    assert "graph operator set 20, IR version 9 oldest release tried ONNX Runtime 1.17.3, OpenVINO 2024.6.0 " in said
    values = json.loads(run(whole_bundle, "--json").stdout)
    assert (values["opset"], values["ir_version"]) == (20, 9)
    assert values["oldest_releases"] == {"ONNX Runtime": "1.17.3", "OpenVINO": "2024.6.0"}


def test_a_graph_that_no_release_was_tried_with(bundle):
    model = onnx.load(bundle / "model.onnx")
    model.ir_version = 99
    said = words(run(replaced(bundle, "model.onnx", model.SerializeToString())).stdout)
    assert "IR version 99 oldest release tried ONNX Runtime: none, OpenVINO: none " in said


def test_labels_that_do_not_print_are_escaped_as_fnet_run_does_it(tmp_path):
    labels = ("a\tb", "c\nd\x1b[31m", "e\\")
    checkpoint = save_tiny(tmp_path / "c", "sequence-classification", labels=labels)
    said = words(run(export(checkpoint, tmp_path / "b", task="sequence-classification").folder).stdout)
    assert r"labels a\tb, c\nd\x1b[31m, e\\ source" in said


def test_json_has_the_whole_manifest(whole_bundle):
    values = json.loads(run(whole_bundle, "--json").stdout)
    assert values["manifest"] == json.loads((whole_bundle / MANIFEST).read_text())
    assert (values["hashes"], values["runtimes"], values["parity"]["passed"]) == ("all match", ["onnxruntime"], True)
    assert set(values["parity"]["rows"].values()) <= {"passed", "not run"}


def test_engine_quantization_and_a_drawn_head(bundle):
    path = bundle / MANIFEST
    values = json.loads(path.read_text())
    values |= {"target": "tensorrt-rtx", "engine": ENGINE, "precision": "int8", "quantization": QUANTIZATION}
    values["source"] |= {"revision": "0123abc", "random_head": True}
    path.write_text(json.dumps(values))
    said = words(run(replaced(bundle, "model.engine", b"x")).stdout)
    assert (
        "revision 0123abc; the sequence-classification head is random (--random-head): outputs mean nothing until it is trained"
        in said
    )
    assert "opens with tensorrt-rtx, onnxruntime" in said
    built = (
        "built on NVIDIA L4; workspace of at most 512 MiB; optimization level 1; timing cache sha256 abababababab; runs with newer "
        "versions; hardware compatibility ampere-plus; weights come from model.onnx"
    )
    assert f"tensorrt_rtx 1.7; compute capabilities 8.6, 8.9; {built}; batch_size 1 to 8, tuned for 2" in said
    assert "quantization minmax ranges of 64 texts of mails.jsonl, sha256 abababababab" in said
    assert "kept in fp32 block 0 dense" in said


def test_what_a_mask_hides(bundle):
    path = bundle / MANIFEST
    values = json.loads(path.read_text())
    values["inputs"].append(values["inputs"][0] | {"name": "attention_mask"})
    path.write_text(json.dumps(values))
    assert "attention_mask hides the filling from attention alone" in run(bundle).stdout


@pytest.mark.parametrize(
    ("multiple_of", "filled"), [(1, ""), (8, ", filled with id 3 to a multiple of 8 tokens")], ids=["tokens", "multiples"]
)
def test_texts_at_their_own_length(bundle, multiple_of, filled):
    path = bundle / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding": "none", "pad_to_multiple_of": multiple_of}))
    said = words(run(bundle).stdout)
    expected = f"every input has its own length, of at most 32 tokens{filled}; filling it up otherwise changes the answers"
    assert f"padding {expected} " in said
    values = json.loads(run(bundle, "--json").stdout)
    assert [values["manifest"][key] for key in ("padding", "pad_to_multiple_of")] == ["none", multiple_of]


def test_without_onnx_operators_are_not_counted(whole_bundle):
    def missing(name):
        raise ImportError(name)

    description = description_from_bundle(whole_bundle, importer=missing)
    assert (description.graph, description.operators, description.oldest_releases) == (None, None, None)
    values = description.values()
    assert [values[key] for key in ("opset", "ir_version", "oldest_releases", "operators")] == [None] * 4


def test_a_graph_or_report_that_is_none(bundle):
    replaced(bundle, "model.onnx", b"\xff\xff")
    with pytest.raises(BundleError, match=r"model.onnx: onnx .* cannot read it"):
        description_from_bundle(bundle)
    (bundle / "parity.json").write_text("[]")
    with pytest.raises(BundleError, match=r"parity.json: not a bundle's parity report"):
        description_from_bundle(bundle)


def test_damage_is_exit_1_with_the_name(bundle, tmp_path):
    data = bytearray((bundle / "spiece.model").read_bytes())
    data[100] ^= 1
    (bundle / "spiece.model").write_bytes(data)
    shown = run(bundle, "--json")
    message = json.loads(shown.stdout)["error"]
    assert (shown.exit_code, f"{bundle / 'spiece.model'}: the file was altered: expected sha256 " in message) == (1, True)
    assert "expected the folder that fnet-export wrote" in run(tmp_path / "nowhere").stderr
