"""A bundle checked again from its own references, whole and damaged in each way that the check tells apart."""

import dataclasses
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import MANIFEST, manifest_from_folder
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.session import ANY_BATCH
from rich.console import Console
from support.bundles import replaced
from support.checkpoints import save_tiny
from support.engines import BUILD
from support.exports import export

from fnet_export.base.errors import OptionError
from fnet_export.bundle import verify
from fnet_export.bundle.verify import verification_from_bundle
from fnet_export.commands.cli import main
from fnet_export.commands.verify import table_from_verification
from fnet_export.parity.agreement import Agreement

ENGINE = {
    "file": "model.engine",
    "library": "tensorrt_rtx",
    "version": "1.7",
    "compute_capabilities": ["1.0"],
    "profiles": [{"batch_size": {"min": 1, "opt": 1, "max": 8}}],
    "build": BUILD,
}


def run(*arguments):
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


def described(bundle, **changes):
    """Change what a manifest says."""
    path = bundle / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return bundle


def with_engine(bundle):
    """A bundle with an engine of a GPU that does not exist."""
    described(
        bundle,
        target="tensorrt-rtx",
        engine=ENGINE,
        files=json.loads((bundle / MANIFEST).read_text())["files"] | {ENGINE["file"]: {}},
    )
    return replaced(bundle, ENGINE["file"], b"no engine")


def off_by(bundle, error):
    """Move every reference by a part of its scale."""
    path = bundle / "golden.safetensors"
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    tensors = safetensors.numpy.load(path.read_bytes())
    tensors |= {name: a + error * np.abs(a).max() for name, a in tensors.items() if ".reference." in name}
    return replaced(bundle, path.name, safetensors.numpy.save(tensors, metadata))


def pipeline_of(session, bundle):
    return SimpleNamespace(session=session, manifest=manifest_from_folder(bundle), problem_type=None)


def test_a_whole_bundle_passes(whole_bundle):
    shown = run(whole_bundle)
    assert (shown.exit_code, shown.stdout.count("passed"), shown.stderr) == (0, 1, "")
    values = json.loads(run(whole_bundle, "--json").stdout)
    (row,) = values["rows"]
    assert (values["passed"], values["samples"], row["runtime"], row["status"], row["reason"]) == (
        True,
        4,
        "onnxruntime",
        "passed",
        None,
    )
    assert row["version"] == values["environment"]["libraries"]["onnxruntime"]
    logits = row["outputs"]["logits"]
    assert 0 < logits["max_abs"] <= logits["limit_max_abs"]
    assert logits["cosine"] == pytest.approx(1)
    assert logits["passed"]
    assert (logits["agreement"]["share"], logits["agreement"]["decisions"], logits["agreement"]["ties"]) == (1.0, 4, 0)


def test_every_case_counts(bundle):
    path = bundle / "golden.safetensors"
    with safetensors.safe_open(path, "numpy") as file:
        metadata, limit = file.metadata(), float(file.metadata()["limit.logits"])
    one = safetensors.numpy.load(path.read_bytes())
    assert {name.split(".")[0] for name in one} == {"0"}
    second = {name.replace("0.", "1.", 1): array[:3].copy() for name, array in one.items()}
    replaced(bundle, path.name, safetensors.numpy.save(one | second, metadata))
    values = json.loads(run(bundle, "--json").stdout)
    logits = values["rows"][0]["outputs"]["logits"]
    assert (values["passed"], values["samples"], logits["agreement"]["decisions"], logits["agreement"]["differ"]) == (True, 7, 7, 0)
    wrong = second["1.reference.logits"]
    best = wrong.argmax(axis=-1)
    wrong[0, (best[0] + 1) % 3] = wrong[0, best[0]] + 10 * limit
    wrong[1, (best[1] + 1) % 3] = wrong[1, best[1]] + limit
    replaced(bundle, path.name, safetensors.numpy.save(one | second, metadata))
    shown = run(bundle, "--json")
    logits = json.loads(shown.stdout)["rows"][0]["outputs"]["logits"]
    assert (shown.exit_code, logits["passed"]) == (3, False)
    assert [logits["agreement"][key] for key in ("decisions", "differ", "ties")] == [7, 2, 1]
    assert run(bundle, "--atol", 1e9).exit_code == 0


@pytest.mark.parametrize("task", ["question-answering", "pretraining"])
def test_two_outputs_fit_80_columns(task, monkeypatch, bundles):
    bundle = bundles(task)
    found = verification_from_bundle(bundle)
    (row,) = found.rows
    agreement = Agreement(decisions=40_000, differ=12_345, ties=12_345)
    outputs = {name: dataclasses.replace(output, agreement=agreement) for name, output in row.outputs.items()}
    row = dataclasses.replace(row, runtime="tensorrt-rtx", outputs=outputs)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table_from_verification(dataclasses.replace(found, rows=(row,))))
    lines = console.export_text().splitlines()
    assert any(
        line.split() == ["runtime", "output", "max", "abs", "limit", "max", "rel", "1", "-", "cos", "agree", "ties", "status"]
        for line in lines
    )
    assert sum(line.endswith(" 69.13% 12345 passed") for line in lines) == 2
    assert {name[:12] for name in outputs} <= {word[:12] for line in lines for word in line.split()}


def test_decisions_that_differ_are_counted_and_ties_apart(bundle):
    path = bundle / "golden.safetensors"
    with safetensors.safe_open(path, "numpy") as file:
        limit = float(file.metadata()["limit.logits"])
        metadata = file.metadata()
    tensors = safetensors.numpy.load(path.read_bytes())
    logits = tensors["0.reference.logits"]
    best = logits.argmax(axis=-1)
    logits[0, (best[0] + 1) % 3] = logits[0, best[0]] + limit  # a tie, and beyond the limit on the way there
    logits[1, (best[1] + 1) % 3] = logits[1, best[1]] + 10 * limit
    bundle = replaced(bundle, path.name, safetensors.numpy.save(tensors, metadata))
    values = json.loads(run(bundle, "--json").stdout)["rows"][0]["outputs"]["logits"]["agreement"]
    assert (values["decisions"], values["differ"], values["ties"], values["share"]) == (4, 2, 1, 0.5)
    assert "50.00%" in run(bundle).stdout


def verified(folder, task="sequence-classification", **changes):
    """Export a small model, then verify it: its outputs of the terminal and of the JSON, and those of the export."""
    bundle = export(save_tiny(folder / "c", task, **changes), folder / "b", task=task, quick=True).folder
    (row,) = json.loads(run(bundle, "--json").stdout)["rows"]
    return bundle, row, json.loads((bundle / "parity.json").read_text())["rows"][-1]


def test_an_answer_that_is_a_token_is_counted_whole(tmp_path):
    _, row, proved = verified(tmp_path, "question-answering")
    for name in ("start_logits", "end_logits"):
        assert (row["outputs"][name]["agreement"]["decisions"], row["outputs"][name]["agreement"]["differ"]) == (4, 0)
        assert proved["outputs"][name]["agreement"]["decisions"] == 16


def test_labels_one_by_one_are_counted_by_sign_and_too_few_are_said_in_words(tmp_path):
    bundle, row, proved = verified(tmp_path, problem_type="multi_label_classification")
    counts = [found["outputs"]["logits"]["agreement"]["decisions"] for found in (row, proved)]
    assert (counts, proved["answers"]["decisions"], row["attention"]) == ([4 * 3, 16 * 3], 16, [])
    path = bundle / "golden.safetensors"
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    tensors = safetensors.numpy.load(path.read_bytes())
    tensors["0.reference.logits"] = -tensors["0.reference.logits"]
    replaced(bundle, path.name, safetensors.numpy.save(tensors, metadata))
    (row,) = json.loads(run(bundle, "--json").stdout)["rows"]
    assert row["outputs"]["logits"]["agreement"]["differ"] == 12
    (attention,) = row["attention"]
    assert attention.startswith("Attention: logits: more than one decision in a hundred differs from the reference. 0.00 %")
    assert attention in run(bundle).stdout


def test_a_regression_decides_nothing(tmp_path):
    _, row, proved = verified(tmp_path, problem_type="regression", labels=("grade",))
    assert (row["outputs"]["logits"]["agreement"], proved["outputs"]["logits"]["agreement"], proved["answers"]) == (
        None,
        None,
        None,
    )
    with pytest.raises(OptionError, match="--min-agreement: regression decides nothing that could agree; leave it out"):
        export(tmp_path / "c", tmp_path / "d", min_agreement=99)


def test_references_that_it_misses_are_exit_3(bundle):
    shown = run(off_by(bundle, 0.1))
    assert (shown.exit_code, "failed" in shown.stdout) == (3, True)
    assert "failed in onnxruntime; do not use it here" in shown.stderr
    values = json.loads(run(bundle, "--json").stdout)
    assert (values["passed"], values["rows"][0]["outputs"]["logits"]["max_rel"]) == (False, pytest.approx(0.1, rel=0.2))
    assert run(bundle, "--rtol", 0.2).exit_code == 0
    assert run(bundle, "--atol", 1e9).exit_code == 0
    assert run(bundle, "--atol", 0, "--rtol", 1e-3).exit_code == 3


def test_what_cannot_run_is_told_and_does_not_count(bundle):
    shown = run(with_engine(bundle))
    assert (shown.exit_code, "tensorrt-rtx: not run: " in shown.stdout, shown.stdout.count("passed")) == (0, True, 1)
    alone = run(bundle, "--runtime", "tensorrt-rtx", "--json")
    assert alone.exit_code == 4
    assert "nothing could run on this host, so nothing was checked" in alone.stderr
    values = json.loads(alone.stdout)
    assert (values["passed"], values["rows"][0]["status"], values["rows"][0]["outputs"]) == (False, "not run", {})
    assert values["rows"][0]["reason"]


def test_onnxruntime_has_no_bf16(bundle):
    shown = run(described(bundle, precision="bf16"))
    assert (shown.exit_code, "onnxruntime: not run: " in shown.stdout, "cannot multiply in bf16" in shown.stdout) == (4, True, True)


def test_one_that_opens_and_then_fails_has_failed(whole_bundle, monkeypatch):
    def fail(inputs):
        raise SessionError("ONNX Runtime failed: out of memory")

    monkeypatch.setattr(verify, "load", lambda *_, **__: pipeline_of(SimpleNamespace(batch=ANY_BATCH, run=fail), whole_bundle))
    shown = run(whole_bundle)
    assert (shown.exit_code, "onnxruntime: failed: ONNX Runtime failed: out of memory" in shown.stdout) == (3, True)


def test_other_shapes_and_nan_fail_any_limit(whole_bundle, monkeypatch):
    for output in (np.full((4, 3), np.nan, np.float32), np.zeros((4, 1), np.float32)):
        session = SimpleNamespace(batch=ANY_BATCH, run=lambda _, output=output: {"logits": output})
        monkeypatch.setattr(verify, "load", lambda *_, session=session, **__: pipeline_of(session, whole_bundle))
        shown = run(whole_bundle, "--atol", 1e9, "--json")
        logits = json.loads(shown.stdout)["rows"][0]["outputs"]["logits"]
        assert (shown.exit_code, logits["max_abs"], logits["cosine"], logits["passed"]) == (3, None, 0.0, False)
        assert "inf" in run(whole_bundle).stdout


def test_every_runtime_of_a_bundle_runs(checkpoint, tmp_path):
    folder = export(checkpoint, tmp_path / "b", target="openvino").folder
    rows = verification_from_bundle(folder).rows
    assert [(row.runtime, row.status) for row in rows] == [("openvino", "passed"), ("onnxruntime", "passed")]
    assert [row.runtime for row in verification_from_bundle(folder, runtime="onnxruntime").rows] == ["onnxruntime"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--runtime", "openvino"], 1, "has no engine for openvino; it opens with onnxruntime"),
        (["--runtime", "webgpu"], 2, "'webgpu' is not one of 'auto', 'onnxruntime'"),
        (["--atol", "-1"], 2, "--atol: expected a number from 0, found -1.0"),
    ],
)
def test_bad_usage(whole_bundle, arguments, code, message):
    shown = run(whole_bundle, *arguments)
    assert (shown.exit_code, message in shown.stderr) == (code, True), shown.stderr


def test_damage_is_exit_1(bundle, tmp_path):
    (bundle / "model.onnx").write_bytes(b"x")
    shown = run(bundle, "--json")
    assert (shown.exit_code, "model.onnx: the file was altered: expected " in json.loads(shown.stdout)["error"]) == (1, True)
    assert "expected the folder that fnet-export wrote" in run(tmp_path).stderr
