"""A bundle in fp8: TensorRT-RTX builds its engine, and ONNX Runtime computes its graph in float32 between the roundings."""

import json
import shutil

import fnet_runtime
import pytest
from fnet_runtime.bundle.manifest import ENGINE, MODEL, PARITY, Quantization, file_info
from fnet_runtime.errors import NoDeviceError
from support.checkpoints import save_tiny
from support.engine_text import factors_of_products
from support.exports import CPP_ROW, export

from fnet_export.precision.proof import products_from_file
from fnet_export.texts.emails import EMAILS
from fnet_export.texts.text_files import BUILT_IN, COUNT

CAPABILITIES = ("8.9", "12.0", "12.1")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fp8")
    checkpoint = save_tiny(folder / "checkpoint", "masked-lm")
    return export(checkpoint, folder / "bundle", task="masked-lm", target="tensorrt-rtx", precision="fp8", quick=False)


def test_the_manifest_of_an_fp8_bundle(done):
    manifest = done.manifest
    assert (manifest.precision, manifest.engine.compute_capabilities) == ("fp8", CAPABILITIES)
    assert manifest.quantization == Quantization(
        method="minmax", data=BUILT_IN, sha256=file_info(EMAILS).sha256, texts=COUNT, kept=()
    )


def test_its_products_are_given_to_tensorrt_in_fp8(done):
    report = json.loads((done.folder / PARITY).read_text())
    assert (report["proof"]["precision"], report["proof"]["share"], report["proof"]["stayed"]) == ("fp8", 1.0, [])
    assert "the strongly typed network that it built from" in report["proof"]["read_from"]
    in_fp8 = [product.name for product in products_from_file(done.folder / MODEL) if product.precision == "fp8"]
    assert len(in_fp8) == 7  # the projection, two of each block, and two of the head


def test_its_engine_multiplies_fp8(done):
    """The engine itself says so, in a text that NVIDIA does not document."""
    factors = factors_of_products((done.folder / ENGINE).read_bytes())
    names = [product.name for product in products_from_file(done.folder / MODEL) if product.precision == "fp8"]
    assert {tuple(factors[name]) for name in names} == {("fp8_e4m3", "fp8_e4m3")}
    assert {tuple(kinds) for name, kinds in factors.items() if name not in names} == {("float", "float")}


def test_parity_compares_it_with_its_emulation(done):
    report = json.loads((done.folder / PARITY).read_text())
    rows = {row["name"]: row for row in report["rows"] if row["precision"] == "fp8"}
    assert rows["torch, fp8 emulated"]["status"] == "passed"
    for level in ("unoptimised", "optimised"):
        row = rows[f"ONNX Runtime, final graph, {level}"]
        assert (row["status"], row["outputs"]["logits"]["from_emulation"] is not None) == ("passed", True)
        assert row["outputs"]["logits"]["from_emulation"]["median_abs"] == 0  # float32 sums alike, so the same numbers are rounded
    assert rows["OpenVINO, final graph"]["reason"].startswith("OpenVINO rounds to float16 before it rounds to fp8")
    assert rows[CPP_ROW]["status"] in ("passed", "not run")
    engine = rows["tensorrt_rtx engine"]
    assert engine["status"] == "passed" or engine["reason"].startswith("no NVIDIA GPU on this host")
    assert set(report["expected"]) == {"fp32", "fp8"}


def test_onnx_runtime_answers_from_it(done):
    with fnet_runtime.load(done.folder, runtime="onnxruntime", threads=1) as pipeline:
        assert all(check.passed for check in pipeline.self_test())


def test_its_engine_opens_on_a_gpu(done):
    if shutil.which("nvidia-smi") is None:
        with pytest.raises(NoDeviceError, match="no NVIDIA GPU on this host"):
            fnet_runtime.load(done.folder)
        pytest.skip("no NVIDIA GPU here: the engine was built, and cannot run")
    with fnet_runtime.load(done.folder) as pipeline:
        assert all(check.passed for check in pipeline.self_test())
