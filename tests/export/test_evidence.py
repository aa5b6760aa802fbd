import json
from pathlib import Path

import jsonschema
import pytest
from conftest import export, save_tiny
from fnet_runtime.manifest import EVIDENCE, PARITY, PARITY_PAGE, manifest_from_folder

from fnet_core.tasks import TASKS
from fnet_export import evidence

SCHEMA = json.loads((Path(evidence.__file__).parent / "parity.schema.json").read_text())


def evidence_of(folder):
    values = json.loads((folder / PARITY).read_text())
    jsonschema.validate(values, SCHEMA)
    return values


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("sequence-classification", {}),
        ("question-answering", {"precision": "int8"}),
        ("masked-lm", {"predict_positions": 3}),
        ("feature-extraction", {"simplify": False}),
    ],
)
def test_a_real_export_is_as_the_schema_says(task, options, tmp_path):
    folder = export(save_tiny(tmp_path / "c", task), tmp_path / "b", task=task, **options).folder
    values = evidence_of(folder)
    assert (values["passed"], values["shipped"][:12], len(values["worst"])) == (True, "ONNX Runtime", 10)
    assert [layer["name"] for layer in values["layers"]] == ["embeddings", "block 0", "block 1"]
    assert sum(values["histogram"]["counts"][next(iter(TASKS[task].outputs))]) > 0
    manifest = manifest_from_folder(folder)
    assert not set(EVIDENCE) & set(manifest.files)
    assert {name: (v["size_bytes"], v["sha256"]) for name, v in values["files"].items()} == {
        name: (info.size_bytes, info.sha256) for name, info in manifest.files.items()
    }
    assert "transformers" in (folder / PARITY_PAGE).read_text()


def test_own_samples_and_a_tolerance_are_told(checkpoint, tmp_path):
    texts = tmp_path / "mine.txt"
    texts.write_text("a letter\n\nanother one, of more words\n")
    values = evidence_of(export(checkpoint, tmp_path / "b", samples=texts, atol=0.5).folder)
    assert (values["samples"]["name"], values["samples"]["texts"]) == ("mine.txt", 2)
    assert {worst["text"] for worst in values["worst"]} <= {"", "a letter", "another one, of more words"}
    assert values["rows"][0]["outputs"]["logits"]["limit_max_abs"] == 0.5
    assert values["rule"][-1] == "replaced here by atol + rtol * scale: atol 0.5, rtol 0.0"
