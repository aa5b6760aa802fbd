import json
from functools import cache
from typing import ClassVar

import fnet_runtime
import numpy as np
import openvino
import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import (
    CALIBRATED,
    ENGINE,
    IR,
    MANIFEST,
    MODEL,
    PARITY,
    AxisProfile,
    Quantization,
    file_info,
    manifest_from_folder,
)
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.processor import saturates_int8
from safetensors.torch import load_file, save_file
from support.checkpoints import save_fresh, save_tiny, tiny_config
from support.exports import CPP_ROW, export, options_from
from support.processor import needs_vnni

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.base.errors import EngineError, OptionError
from fnet_export.commands import cli
from fnet_export.plan import rivals
from fnet_export.plan.plan import CALIBRATE, plan_from_options
from fnet_export.precision.proof import ENOUGH, products_from_file
from fnet_export.precision.quantised import layers_from_model
from fnet_export.texts.emails import EMAILS
from fnet_export.texts.text_files import BUILT_IN, COUNT, texts_from_file

SHORT = ["--task", "sequence-classification", "--target", "onnx"]


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


@cache
def cpu_has(floats):
    return floats in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def report_of(folder):
    return json.loads((folder / PARITY).read_text())


@pytest.mark.parametrize("task", TASKS)
def test_every_head_in_int8(task, tmp_path):
    """Freshly made models: what int8 leaves out it would leave out here, where no bias shows where a linear layer ends."""
    done = export(save_fresh(tmp_path / "c", task), tmp_path / "b", task=task, precision="int8", quick=False)
    manifest = manifest_from_folder(done.folder)
    assert manifest.precision == "int8"
    assert manifest.quantization == Quantization(
        method="minmax", data=BUILT_IN, sha256=file_info(EMAILS).sha256, texts=COUNT, kept=()
    )
    pipe = fnet_runtime.load(done.folder, threads=1)
    assert all(check.passed for check in pipe.self_test())
    report = report_of(done.folder)
    assert [row["name"] for row in report["rows"] if row["precision"] == "int8"] == [
        "torch, int8 emulated",
        "ONNX Runtime, final graph, unoptimised",
        "ONNX Runtime, final graph, optimised",
        CPP_ROW,
        "OpenVINO, final graph",
    ]
    without = {CPP_ROW} | ({"OpenVINO, final graph"} if saturates_int8() else set())
    assert {row["name"] for row in report["rows"] if row["status"] != "passed"} == without
    assert set(report["expected"]) == {"fp32", "int8"}
    assert report["proof"]["share"] >= ENOUGH
    layers = layers_from_model(FNet(tiny_config(), TASKS[task]))
    in_int8 = {product.name.partition("/")[0] for product in products_from_file(done.folder / MODEL) if product.precision == "int8"}
    assert in_int8 == set(layers)
    assert report["proof"]["read_from"].startswith("ONNX Runtime ")
    assert (report["headroom"], list(report["latency"]["rows"])) == (None, ["ONNX Runtime, fp32", "ONNX Runtime, int8"])
    assert report["latency"]["not_timed"] == {
        f"ONNX Runtime, {half}": f"the target onnx has no products in {half}" for half in ("fp16", "bf16")
    }


def without_biases(folder):
    """Make every bias of a checkpoint zero, as it is in a freshly made model."""
    weights = load_file(folder / "model.safetensors")
    save_file({key: value * (not key.endswith(".bias")) for key, value in weights.items()}, folder / "model.safetensors")
    return folder


@needs_vnni
@pytest.mark.parametrize("task", ["pretraining", "question-answering"])
def test_int8_in_openvino(task, tmp_path):
    checkpoint = save_tiny(tmp_path / "c", task, attention_layers=(1,), num_attention_heads=4)
    if task == "question-answering":
        without_biases(checkpoint)
    folder = export(checkpoint, tmp_path / "b", task=task, target="openvino", precision="int8", quick=False).folder
    assert all(check.passed for check in fnet_runtime.load(folder, threads=1).self_test())
    report = report_of(folder)
    assert {row["name"] for row in report["rows"] if row["status"] != "passed"} == {"transformers", CPP_ROW}  # it has no attention
    assert (report["rows"][-1]["name"], report["rows"][-1]["precision"]) == ("OpenVINO, model.xml", "int8")
    assert report["proof"]["read_from"].startswith("OpenVINO ")
    assert report["proof"]["share"] == 1.0
    half = ["fp16"] if cpu_has("FP16") else ["bf16"] if cpu_has("BF16") else []
    assert list(report["latency"]["rows"]) == [f"OpenVINO, {precision}" for precision in ("fp32", *half, "int8")]
    missing = ("fp16", "bf16")[: 2 if not half else half == ["bf16"]]
    assert report["latency"]["not_timed"] == {f"OpenVINO, {name}": f"this CPU has no {name}" for name in missing}


@pytest.mark.parametrize("task", ["sequence-classification", "masked-lm"])
def test_bf16_in_openvino(task, tmp_path):
    if not cpu_has("BF16"):
        pytest.skip("this CPU has no bf16")
    checkpoint = without_biases(save_tiny(tmp_path / "c", task))
    folder = export(checkpoint, tmp_path / "b", task=task, target="openvino", precision="bf16").folder
    manifest = manifest_from_folder(folder)
    assert (manifest.precision, manifest.quantization) == ("bf16", None)
    assert all(check.passed for check in fnet_runtime.load(folder, threads=1).self_test())
    report = report_of(folder)
    assert (report["rows"][-1]["name"], report["rows"][-1]["status"]) == ("OpenVINO, model.xml", "passed")
    assert report["proof"]["share"] == 1.0
    assert 0 < report["headroom"]["layers"]["0"]["residual"] < report["headroom"]["limit"]
    with pytest.raises(SessionError, match="ONNX Runtime cannot multiply in bf16 on CPUs; open the bundle with its own engine"):
        fnet_runtime.load(folder, runtime="onnxruntime")


@pytest.mark.parametrize("task", ["sequence-classification", "masked-lm"])
@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8", "fp8"])
def test_precisions_of_tensorrt_rtx(task, precision, tmp_path):
    checkpoint = without_biases(save_tiny(tmp_path / "c", task))
    folder = export(checkpoint, tmp_path / "b", task=task, target="tensorrt-rtx", precision=precision).folder
    manifest = manifest_from_folder(folder)
    assert (manifest.precision, manifest.quantization is not None) == (precision, precision in CALIBRATED)
    assert ENGINE in manifest.files
    report = report_of(folder)
    assert report["proof"]["share"] == 1.0
    assert report["proof"]["read_from"].endswith("the strongly typed network that it built from")
    assert (report["headroom"] is None) == (precision in CALIBRATED)
    rows = {row["name"]: row for row in report["rows"]}
    of_onnx = rows["ONNX Runtime, final graph, optimised"]
    if precision != "bf16":
        assert of_onnx["status"] == "passed"
    else:
        assert (of_onnx["status"], of_onnx["reason"]) == ("not run", "ONNX Runtime has no bf16 products on this CPU")
    assert rows["tensorrt_rtx engine"]["precision"] == precision


@pytest.mark.parametrize(("precision", "capability"), [("fp16", "FP16"), ("bf16", "BF16")])
def test_floats_that_the_cpu_has_not_are_exit_4(checkpoint, tmp_path, precision, capability):
    if cpu_has(capability):
        pytest.skip(f"this CPU has {precision}")
    options = ["--task", "sequence-classification", "--target", "openvino", "--precision", precision, "--json"]
    result = run(*options, "--model", checkpoint, "--output", tmp_path / "b")
    error = json.loads(result.stdout)["error"]
    told = f"{precision}: OpenVINO would compute in fp32 on this CPU, which lacks {precision}; export on a CPU that has it"
    assert (result.exit_code, told in error) == (4, True), result.output
    assert list(tmp_path.iterdir()) == []


def test_own_texts_are_named_with_their_hash(checkpoint, tmp_path):
    texts = tmp_path / "mine.jsonl"
    texts.write_text("".join(json.dumps({"text": f"letter {i} of many"}) + "\n" for i in range(5)))
    output = tmp_path / "b"
    result = run(
        *(*SHORT, "--model", checkpoint, "--output", output, "--precision", "int8"),
        *("--calibration", texts, "--calibration-method", "percentile"),
    )
    assert result.exit_code == 0, result.output
    assert json.loads((output / MANIFEST).read_text())["quantization"] == {
        "method": "percentile",
        "data": "mine.jsonl",
        "sha256": file_info(texts).sha256,
        "texts": 5,
        "kept": [],
    }
    assert "int8: 100.0% of the multiply-adds meant for it, " in result.stdout
    assert "One row, in turns: ONNX Runtime, fp32 " in result.stdout


@pytest.mark.usefixtures("traced_anew")
def test_int8_is_smaller_and_the_same_twice(checkpoint, bundle, tmp_path):
    first, second = (export(checkpoint, tmp_path / name, precision="int8").manifest.files for name in ("a", "b"))
    assert {name for name in first if first[name] != second[name]} == set()
    assert first[MODEL].size_bytes < manifest_from_folder(bundle).files[MODEL].size_bytes


@needs_vnni
def test_positions_and_lengths_go_with_int8(tmp_path):
    checkpoint = save_tiny(tmp_path / "c", "masked-lm")
    folder = export(
        checkpoint,
        tmp_path / "b",
        task="masked-lm",
        precision="int8",
        predict_positions=2,
        sequence_length=16,
        accept_drift=True,
        target="openvino",
    ).folder
    pipe = fnet_runtime.load(folder)
    assert all(check.passed for check in pipe.self_test())
    assert np.isfinite([answer.score for mask in pipe.fill_mask("the [MASK] fox [MASK]").masks for answer in mask]).all()
    assert IR in manifest_from_folder(folder).files


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--precision", "fp4"], 2, "is not one of 'fp32', 'fp16', 'bf16', 'int8', 'fp8'"),
        (
            ["--precision", "fp8"],
            2,
            "--precision: expected fp32, int8 for the target onnx, found 'fp8'; targets for that: tensorrt, tensorrt-rtx",
        ),
        (
            ["--precision", "fp16"],
            2,
            "--precision: expected fp32, int8 for the target onnx, found 'fp16'",
        ),
        (
            ["--precision", "bf16"],
            2,
            "--precision: expected fp32, int8 for the target onnx, found 'bf16'",
        ),
        (["--calibration", "texts.jsonl"], 2, "--calibration: is for int8 and fp8; found precision fp32. Add --precision int8"),
        (["--keep-float32", "head"], 2, "--keep-float32: is for fp16 and bf16; found precision fp32; leave it out"),
        (["--precision", "int8", "--calibration", "texts.jsonl"], 1, "texts.jsonl: cannot be read"),
        (
            ["--precision", "int8", "--no-simplify"],
            2,
            "--no-simplify: int8 is made from the simplified graph; leave it out",
        ),
        (["--precision", "int8", "--calibration-method", "mean"], 2, "is not one of 'minmax', 'percentile', 'entropy'"),
    ],
)
def test_refused(checkpoint, tmp_path, arguments, code, message):
    result = run(*SHORT, "--model", checkpoint, "--output", tmp_path / "b", *arguments)
    assert (result.exit_code, message in result.stderr) == (code, True), result.output
    assert list(tmp_path.iterdir()) == []


def test_refused_when_made():
    with pytest.raises(OptionError, match="--precision: expected fp32, fp16, bf16, int8 for the target openvino, found 'fp8'"):
        options_from(task="ner", target="openvino", precision="fp8")
    with pytest.raises(OptionError, match="--calibration-method: expected minmax, percentile, entropy; found 'mean'"):
        options_from(task="ner", target="onnx", precision="int8", calibration_method="mean")


def test_the_plan_has_the_stage_and_the_texts(checkpoint, tmp_path):
    def plan(**options):
        return plan_from_options(
            options_from(task="sequence-classification", target="onnx", model=str(checkpoint), output=tmp_path / "b", **options)
        )

    assert (plan().calibration, CALIBRATE in plan().stages()) == (None, False)
    assert plan(precision="int8").calibration == texts_from_file(None)
    assert plan(precision="int8").stages()[2:4] == ("simplify", CALIBRATE)


class OnAGpu:
    """Stands in for a session on a GPU: the engines are real, its answers are noughts."""

    opened: ClassVar[list[int]] = []
    batch = AxisProfile(min=1, opt=1, max=8)

    def __init__(self, engine, info):
        OnAGpu.opened.append(engine.stat().st_size)
        assert info.library == "tensorrt_rtx"

    def run(self, inputs):
        return {"logits": np.zeros((len(inputs["input_ids"]), 2), np.float32)}

    def close(self):
        OnAGpu.opened.append(0)


@pytest.fixture
def on_a_gpu(monkeypatch):
    monkeypatch.setattr(rivals, "TrtSession", OnAGpu)
    monkeypatch.setattr(rivals, "session_from_options", lambda options: OnAGpu(options.file, options.engine))
    OnAGpu.opened.clear()


@pytest.mark.usefixtures("on_a_gpu")
def test_on_a_gpu_int8_is_timed_against_engines_in_float32_and_half(checkpoint, tmp_path):
    report = report_of(export(checkpoint, tmp_path / "b", target="tensorrt-rtx", precision="int8").folder)
    assert list(report["latency"]["rows"]) == ["the engine, fp32", "the engine, fp16", "the engine, int8"]
    assert report["latency"]["not_timed"] == {}
    assert len(set(OnAGpu.opened)) == 4  # three engines, closed
    assert OnAGpu.opened[3:] == [0, 0, 0]


@pytest.mark.usefixtures("on_a_gpu")
def test_a_rival_that_cannot_be_made_loses_nothing(checkpoint, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise EngineError("it built no engine")

    monkeypatch.setattr(rivals, "engine_from_graph", refused)
    report = report_of(export(checkpoint, tmp_path / "b", target="tensorrt-rtx", precision="int8").folder)
    assert list(report["latency"]["rows"]) == ["the engine, int8"]
    assert report["latency"]["not_timed"] == {f"the engine, {rival}": "it built no engine" for rival in ("fp32", "fp16", "bf16")}
