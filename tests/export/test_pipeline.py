import dataclasses
import json
import sys

import fnet_runtime
import pytest
import torch
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import ALWAYS, MANIFEST, UNLISTED, manifest_from_folder
from fnet_runtime.errors import InputError
from safetensors.torch import load_file, save_file
from support.checkpoints import LENGTH, save_tiny
from support.exports import CPP_ROW, export, options_from
from support.paths import GOLDEN

from fnet_core.errors import CheckpointError
from fnet_core.tasks import TASKS
from fnet_export.base.errors import OptionError, OutputError
from fnet_export.commands import cli
from fnet_export.parity.report.evidence import ParityError
from fnet_export.plan import candidates
from fnet_export.plan.graphs import lowered_from_plan
from fnet_export.plan.plan import plan_from_options

SHORT = ["--task", "sequence-classification", "--target", "onnx"]


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


@pytest.mark.parametrize("task", TASKS)
def test_every_task_becomes_a_bundle_that_answers(task, tmp_path):
    folder = export(save_tiny(tmp_path / "checkpoint", task), tmp_path / "bundle", task=task, quick=False).folder
    assert sorted(p.name for p in folder.iterdir()) == sorted([*ALWAYS, *UNLISTED, "spiece.model", MANIFEST])
    pipe = fnet_runtime.load(folder, threads=1)
    assert all(check.passed for check in pipe.self_test())
    assert pipe.manifest.source.random_head is False
    statuses = {row["name"]: row["status"] for row in json.loads((folder / "parity.json").read_text())["rows"]}
    assert {name: status for name, status in statuses.items() if status != "passed"} == {CPP_ROW: "not run"}
    assert {"transformers", "OpenVINO, final graph", "ONNX Runtime, traced graph, unoptimised"} < set(statuses)


def test_an_untied_decoder(tmp_path):
    checkpoint = save_tiny(tmp_path / "checkpoint", "pretraining", tie_word_embeddings=False)
    folder = export(checkpoint, tmp_path / "bundle", task="pretraining").folder
    assert all(check.passed for check in fnet_runtime.load(folder).self_test())


@pytest.mark.usefixtures("traced_anew")
def test_same_input_same_bytes(checkpoint, tmp_path):
    first, second = (export(checkpoint, tmp_path / name, target="tensorrt-rtx").manifest for name in ("a", "b"))
    different = {name for name in first.files if first.files[name] != second.files[name]}
    assert different <= {"model.engine"}  # the builder's own bytes: TensorRT-RTX numbers its inner names by memory addresses
    assert dataclasses.replace(first, files=second.files) == second
    assert first.engine is not None
    assert (first.target, first.engine.library) == ("tensorrt-rtx", "tensorrt_rtx")
    assert first.engine.compute_capabilities == ("8.0", "8.6", "8.9", "12.0", "12.1")
    report = json.loads((tmp_path / "a" / "parity.json").read_text())
    engine = report["rows"][-1]
    assert (engine["status"], engine["outputs"]) in [("not run", {})] or engine["status"] == "passed"
    if engine["status"] == "not run":
        assert engine["reason"].startswith("no NVIDIA GPU on this host")


def test_options_reach_the_bundle(tmp_path):
    folder = tmp_path / "checkpoint"
    save_tiny(folder, "masked-lm")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true, "keep_accents": false, "model_max_length": 32}')
    result = run(
        *("--task", "ner", "--target", "onnx", "--model", folder, "--output", tmp_path / "b", "--random-head", "--json"),
        *("--sequence-length", 16, "--accept-drift", "--transform", "fft", "--opset", 20, "--no-simplify"),
    )
    assert result.exit_code == 0, result.output
    assert (
        "note: sequence length 16 is not the checkpoint's 32 (assumed from config.json (max_position_embeddings)); "
        in result.stderr
    )
    assert "head is random" in result.stderr
    value = json.loads(result.stdout)
    manifest = value["manifest"]
    assert manifest == json.loads((tmp_path / "b" / MANIFEST).read_text())
    assert (manifest["task"], manifest["sequence_length"], manifest["transform"]) == ("token-classification", 16, "fft")
    assert manifest["source"]["random_head"] is True
    rules = {"do_lower_case": True, "keep_accents": False, "remove_space": True}
    assert manifest["tokenizer"] == {"flavour": "fnet-slow"} | rules
    rows = {row["name"]: (row["status"], row["reason"]) for row in value["parity"]["rows"]}
    assert rows["ONNX Runtime, simplified graph"] == ("not run", "--no-simplify: model.onnx is the traced graph")


@pytest.mark.parametrize(("target", "transform"), [("onnx", "folded"), ("tensorrt-rtx", "dft")])
def test_the_transform_and_its_reason_are_recorded(checkpoint, tmp_path, target, transform):
    manifest = export(checkpoint, tmp_path / "b", target=target).manifest
    assert (manifest.transform, manifest.transform_reason[:6]) == (transform, "table:")


def test_masked_lm_at_positions(tmp_path):
    every = export(save_tiny(tmp_path / "c", "masked-lm"), tmp_path / "every", task="masked-lm").folder
    three = export(tmp_path / "c", tmp_path / "three", task="masked-lm", predict_positions=3, target="tensorrt-rtx").folder
    pipe = fnet_runtime.load(three, runtime="onnxruntime")
    assert all(check.passed for check in pipe.self_test())
    texts = ["the [MASK] fox", "[MASK] the [MASK] dog [MASK] and [MASK]", "[MASK] [MASK] [MASK]"]
    for wanted, found in zip(fnet_runtime.load(every).fill_mask(texts), pipe.fill_mask(texts), strict=True):
        assert [[f.token_id for f in mask] for mask in found.masks] == [[f.token_id for f in mask] for mask in wanted.masks]
        assert found.masks[-1][0].score == pytest.approx(wanted.masks[-1][0].score, rel=1e-4)
    with pytest.raises(InputError, match="found no .MASK."):
        pipe("no mask")
    with pytest.raises(OptionError, match="expected at most the 32 tokens"):
        export(tmp_path / "c", tmp_path / "b", task="masked-lm", predict_positions=33)


def test_dry_run_writes_nothing(checkpoint, tmp_path, monkeypatch, pages):
    result = run(*SHORT, "--model", checkpoint, "--output", tmp_path / "b", "--dry-run", "--json")
    assert result.exit_code == 0
    plan = json.loads(result.stdout)
    assert list(tmp_path.iterdir()) == []
    export(checkpoint, tmp_path / "b")
    for name, expected in plan["expected_bytes"].items():
        found = (tmp_path / "b" / name).stat().st_size
        assert 0.4 * expected < found < expected + 40_000, name
    monkeypatch.setattr("fnet_export.plan.sizes.EXTERNAL_DATA_ABOVE_BYTES", 1000)
    sizes = plan_from_options(options_from(task="ner", target="onnx", model=str(checkpoint), random_head=True)).expected_bytes
    assert sizes["model.onnx.data"] > 1000


def test_dry_run_runs_no_model(checkpoint, tmp_path, monkeypatch):
    """Not for a length that drifts, nor for a transform that the export measures: it names these measurements."""

    def refuse(*_, **__):
        raise AssertionError("a dry run runs a model")

    for name in ("torch.export.export", "torch.nn.Module.__call__", "onnxruntime.InferenceSession"):
        monkeypatch.setattr(name, refuse)
    options = ["--sequence-length", 16, "--accept-drift", "--transform", "measure", "--dry-run"]
    result = run(*SHORT, "--model", checkpoint, "--output", tmp_path / "b", *options)
    assert result.exit_code == 0, result.output
    assert "to be measured: what 16 tokens instead of 32 tokens change" in result.stdout
    assert "to be measured: how fast the transforms dft, folded, factored are" in result.stdout
    shown = run(*SHORT, "--model", checkpoint, "--output", tmp_path / "c", "--dry-run")
    assert "model.onnx  about" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--task", "sequence-clasification", "--target", "onnx"], 2, "did you mean sequence-classification"),
        (["--task", "masked-lm", "--target", "onnx"], 1, "has no weights for the masked-lm head; it has heads for"),
        (["--task", "ner", "--target", "tflite"], 2, "is not one of 'onnx', 'openvino', 'tensorrt', 'tensorrt-rtx'"),
        ([*SHORT, "--batch-profile", 3, 2, 1], 2, "'--batch-profile': expected 1 <= MIN <= OPT <= MAX, found 3 2 1"),
        ([*SHORT, "--opset", 17], 2, "17 is not in the range 18<=x<=25"),
        ([*SHORT, "--tokenizer", "fast"], 2, "is not one of 'f_net', 'sentencepiece', 'fnet-slow', 'fnet-fast', 'fnet-v5'"),
        ([*SHORT, "--sequence-length", 33], 1, "sequence length: expected 4 to 32"),
        ([*SHORT, "--predict-positions", 2], 1, "predict positions: expected 1 or more, for masked-lm"),
        (["--task", "sequence-classification", "--target", "tensorrt-rtx", "--transform", "measure"], 2, "times ONNX Runtime only"),
        ([*SHORT, "--revision", "main"], 1, "a local model has no revision"),
        ([*SHORT, "--transform", "butterfly"], 2, "is not one of 'auto', 'measure', 'fft', 'dft', 'folded', 'factored'"),
    ],
)
def test_bad_options(checkpoint, tmp_path, arguments, code, message):
    result = run(*arguments, "--model", checkpoint, "--output", tmp_path / "b")
    assert (result.exit_code, message in result.stderr) == (code, True), result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", [name for name, task in TASKS.items() if task.paired])
def test_a_model_of_one_token_type_has_no_task_of_two_texts(task, tmp_path):
    folder = save_tiny(tmp_path / "c", task, type_vocab_size=1)
    for more in ([], ["--dry-run"]):
        result = run("--task", task, "--target", "onnx", "--model", folder, "--output", tmp_path / "b", *more)
        told = (
            f"{task} takes two texts, and the tokens of the second have type 1; config.json says type_vocab_size 1. Export a task"
        )
        assert (result.exit_code, told in result.stderr) == (1, True), result.output
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_decoder_that_differs_from_what_it_is_tied_to_is_found_by_the_plan(tmp_path):
    folder = save_tiny(tmp_path / "c", "masked-lm")
    weights = load_file(folder / "model.safetensors")
    decoder = torch.zeros_like(weights["embeddings.word_embeddings.weight"])
    save_file(weights | {"cls.predictions.decoder.weight": decoder}, folder / "model.safetensors")
    result = run("--task", "masked-lm", "--target", "onnx", "--model", folder, "--output", tmp_path / "b", "--dry-run")
    told = "cls.predictions.decoder.weight differs from embeddings.word_embeddings.weight, but tie_word_embeddings"
    assert (result.exit_code, told in result.stderr) == (1, True), result.output


def test_no_library_is_exit_4_with_the_line_to_install(checkpoint, tmp_path, monkeypatch):
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    result = run(
        "--task", "sequence-classification", "--target", "tensorrt", "--model", checkpoint, "--output", tmp_path / "b", "--json"
    )
    assert result.exit_code == 4
    assert "pip install 'tensorrt-rtx-cu13>=1.7' 'tensorrt-rtx>=1.7' 'cuda-bindings>=12.9.1'" in json.loads(result.stdout)["error"]
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_the_builder_refuses_is_exit_4(checkpoint, tmp_path):
    rtx = ["--task", "sequence-classification", "--target", "tensorrt-rtx", "--transform", "fft"]
    result = run(*rtx, "--model", checkpoint, "--output", tmp_path / "b")
    assert (result.exit_code, "export with --transform dft" in result.stderr) == (4, True)
    assert list(tmp_path.iterdir()) == []


def test_failed_parity_is_exit_3_and_no_bundle(checkpoint, tmp_path, monkeypatch):
    def damaged(plan):
        model = lowered_from_plan(plan)
        model.model.head.classifier.bias.data += 1e-3
        return model

    monkeypatch.setattr(candidates, "lowered_from_plan", damaged)
    result = run(*SHORT, "--model", checkpoint, "--output", tmp_path / "b")
    assert (result.exit_code, "parity failed: torch float32, lowered, folded" in result.stderr) == (3, True)
    assert "failed" in result.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["b.failed"]
    assert json.loads((tmp_path / "b.failed" / "parity.json").read_text())["passed"] is False
    assert not (tmp_path / "b.failed" / MANIFEST).exists()
    with pytest.raises(
        ParityError, match=r"^parity failed: torch float32, lowered, folded; the files are in .*b\.failed-2"
    ) as failure:
        export(checkpoint, tmp_path / "b", quick=False)
    assert not failure.value.evidence.passed


def test_existing_output_is_kept(bundle, checkpoint):
    before = manifest_from_folder(bundle)
    with pytest.raises(OutputError, match="exists; expected a new folder.*--force"):
        export(checkpoint, bundle)
    assert manifest_from_folder(bundle) == before
    export(checkpoint, bundle, sequence_length=LENGTH // 2, accept_drift=True, force=True)
    assert manifest_from_folder(bundle).sequence_length == LENGTH // 2
    assert [p.name for p in bundle.parent.iterdir()] == ["bundle"]
    (bundle / MANIFEST).unlink()
    with pytest.raises(OutputError, match="only a bundle is replaced"):
        export(checkpoint, bundle, force=True)


def test_a_failure_while_forcing_keeps_the_old_bundle(bundle, checkpoint, monkeypatch):
    before = manifest_from_folder(bundle)
    monkeypatch.setattr(
        "fnet_export.plan.pipeline.files_from_folder",
        lambda folder: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    with pytest.raises(OutputError, match="the disk is full; free some space"):
        export(checkpoint, bundle, force=True)
    assert manifest_from_folder(bundle) == before
    assert [p.name for p in bundle.parent.iterdir()] == ["bundle"]


def test_output_where_nothing_can_be_written(checkpoint):
    result = run(*SHORT, "--model", checkpoint, "--output", "/proc/nowhere/b")
    assert (result.exit_code, "cannot be written" in result.stderr) == (1, True)


def test_missing_and_foreign_vocabularies(tmp_path):
    folder = save_tiny(tmp_path / "checkpoint")
    (folder / "spiece.model").write_bytes((GOLDEN / "unigram.model").read_bytes()[:100])
    assert "not a SentencePiece model" in run(*SHORT, "--model", folder, "--output", tmp_path / "b").stderr
    (folder / "spiece.model").unlink()
    with pytest.raises(CheckpointError, match=r"spiece\.model: is missing; expected the SentencePiece model next to the weights"):
        export(folder, tmp_path / "b")
    save_tiny(folder, vocab_size=20)
    with pytest.raises(
        CheckpointError, match="expected at most 20 pieces with <pad> at 3, as config.json says.*belong to different models"
    ):
        export(folder, tmp_path / "b")
    for text in ("[", '{"do_lower_case": 1}'):
        save_tiny(folder)
        (folder / "tokenizer_config.json").write_text(text)
        with pytest.raises(CheckpointError, match="tokenizer_config.json: "):
            export(folder, tmp_path / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]


def test_help_says_every_option():
    shown = run("export", "--help").stdout
    options = "--task --target --model --revision --output --tokenizer --transform --predict-positions"
    for option in [
        *options.split(),
        "--precision",
        "--calibration",
        "--calibration-method",
        "--keep-float32",
        "--evaluation",
        "--min-accuracy",
        "--max-accuracy-drop",
        "--sequence-length",
        "--padding",
        "--pad-to-multiple-of",
        "--length-profile",
        "--accept-drift",
        "--batch-profile",
        "--opset",
        "--no-simplify",
        "--random-head",
        "--force",
        "--json",
        "--dry-run",
        "--quiet",
    ]:
        assert option in shown


def test_quiet(checkpoint, tmp_path):
    result = run(*SHORT, "--model", checkpoint, "--output", tmp_path / "b", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
