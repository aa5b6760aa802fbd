import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import PARITY, PARITY_JUNIT, PARITY_PAGE, UNLISTED, manifest_from_folder
from support.checkpoints import LENGTH, save_tiny
from support.exports import export

from fnet_core.tasks import TASKS
from fnet_export.commands.cli import main
from fnet_export.parity.report import evidence
from fnet_export.parity.report.page import html_from_values

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
def test_a_real_export_is_as_the_schema_says(task, options, bundles):
    folder = bundles(task, **options)
    values = evidence_of(folder)
    assert (values["passed"], values["shipped"][:12], len(values["worst"])) == (True, "ONNX Runtime", 10)
    assert [layer["name"] for layer in values["layers"]] == ["embeddings", "block 0", "block 1"]
    assert sum(values["histogram"]["counts"][next(iter(TASKS[task].outputs))]) > 0
    manifest = manifest_from_folder(folder)
    assert not set(UNLISTED) & set(manifest.files)
    assert {name: (v["size_bytes"], v["sha256"]) for name, v in values["files"].items()} == {
        name: (info.size_bytes, info.sha256) for name, info in manifest.files.items()
    }
    assert "transformers" in html_from_values(values)


def test_own_samples_and_a_tolerance_are_told(checkpoint, tmp_path):
    texts = tmp_path / "mine.txt"
    texts.write_text("a letter\n\nanother one, of more words\n")
    values = evidence_of(export(checkpoint, tmp_path / "b", samples=texts, atol=0.5).folder)
    assert (values["samples"]["name"], values["samples"]["texts"]) == ("mine.txt", 2)
    assert {worst["text"] for worst in values["worst"]} <= {"", "a letter", "another one, of more words"}
    assert values["rows"][0]["outputs"]["logits"]["limit_max_abs"] == 0.5
    assert values["rule"][-1] == "--atol and --rtol replaced the limit: 0.5 plus 0.0 times the largest reference magnitude."


def test_a_quick_check_says_so(checkpoint, tmp_path, pages):
    folder = export(checkpoint, tmp_path / "b", quick=True).folder
    values = evidence_of(folder)
    assert (values["quick"], values["samples"]["inputs"], values["samples"]["texts"]) == (True, 16, 10)
    assert [row["name"] for row in values["rows"]] == ["torch float32, fft", "ONNX Runtime, final graph, optimised"]
    assert [row["inputs"] for row in values["rows"]] == [10, 16]
    assert "This was a quick check (--quick)" in (folder / PARITY_PAGE).read_text()
    assert '<property name="quick" value="True" />' in (folder / PARITY_JUNIT).read_text()


def test_every_row_says_how_many_inputs_it_ran_on(whole_bundle):
    rows = {row["name"]: row for row in evidence_of(whole_bundle)["rows"]}
    total = json.loads((whole_bundle / PARITY).read_text())["samples"]["inputs"]
    ran = {name: row["inputs"] for name, row in rows.items() if row["status"] != "not run"}
    assert ran.pop("ONNX Runtime, final graph, optimised") == total == 77
    assert set(ran.values()) == {10}


def test_too_few_equal_decisions_are_exit_3(tmp_path):
    folder = str(save_tiny(tmp_path / "c", "masked-lm"))
    arguments = ["--task", "masked-lm", "--target", "onnx", "--precision", "int8", "--model", folder, "--quick"]
    shown = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "b"), "--min-agreement", "100"])
    (folder,) = tmp_path.glob("b.failed")
    values = evidence_of(folder)
    agreement = values["rows"][-1]["outputs"]["logits"]["agreement"]
    assert (shown.exit_code, values["passed"], agreement["ties"]) == (3, False, 0)
    assert 0 < agreement["differ"] < agreement["decisions"] == 16 * LENGTH
    assert f"{agreement['differ']} of {agreement['decisions']} differ, 0 of them are ties" in shown.output
    assert "--min-agreement asks for 100.00 %" in values["rows"][-1]["reason"]
    assert "--min-agreement asks for 100.00 %" in (folder / PARITY_JUNIT).read_text()
    error = next(line for line in shown.stderr.splitlines() if line.startswith("error: "))
    share = values["rows"][-1]["reason"]
    assert error.startswith(f"error: ONNX Runtime, final graph, optimised: {share}; the files are in ")
    assert "bisect" not in error
    bad = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "b"), "--min-agreement", "101"])
    assert (bad.exit_code, "'--min-agreement': 101.0 is not in the range 0<=x<=100" in bad.output) == (2, True)
