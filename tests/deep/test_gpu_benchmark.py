"""The GPU run, rehearsed at toy size in an environment that has only what the GPU machine has, and the wheels that travel there."""

import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"
ON_THE_MACHINE = (
    *(
        "torch",
        "onnx",
        "onnxscript",
        "onnx-ir",
        "onnxruntime",
        "numpy",
        "sentencepiece",
        "tokenizers",
        "safetensors",
        "transformers",
    ),
    *("setuptools", "triton"),
)
"""The packages that the GPU machine has; what they need is there as well."""
TRAVELLING = [line.split("==")[0] for line in (BENCHMARKS / "on_gpu" / "wheels.txt").read_text().splitlines() if "==" in line]


def needed(names):
    """The distributions of these names and all that they need, as far as they are installed here."""
    waiting, found = list(names), {}
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name not in found:
            found[name] = distribution
            requirements = [Requirement(text) for text in distribution.requires or ()]
            waiting += [r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture
def environment(tmp_path):
    """A folder with links to those packages alone."""
    site = tmp_path / "site"
    site.mkdir()
    for distribution in needed([*ON_THE_MACHINE, *TRAVELLING]).values():
        for file in distribution.files or ():
            top = Path(file.parts[0])
            source = Path(distribution.locate_file(top))
            if file.parts[0] != ".." and not (site / top).exists() and source.exists():
                (site / top).symlink_to(source)
    assert (site / "torch").exists()
    assert not (site / "h5py").exists()
    return site


def test_the_rehearsal_runs_every_step(environment, tmp_path):
    output = tmp_path / "gpu.json"
    command = [sys.executable, "-S", str(BENCHMARKS / "gpu.py"), "--rehearse", "--output", str(output)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(environment), "PATH": "/usr/bin:/bin"}, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) <= 60
    report = json.loads(output.read_text())
    assert {name: step["status"] for name, step in report["steps"].items()} == dict.fromkeys(report["steps"], "done"), done.stderr
    assert [name.partition(":")[0] for name in report["steps"]] == [
        "device",
        "tensorrt_rtx",
        *["correct"] * 2,
        *["provider"] * 4,
        *["time"] * 3,
    ]
    results = {name: step["results"] for name, step in report["steps"].items()}
    assert [result["peak"] for result in results["device"]] == ["fp32", "tf32", "fp16", "bf16", "int8", "copy"]
    assert results["tensorrt_rtx"][-1]["answer"] == "not run: no NVIDIA GPU on this host"
    checks = [r for name in ("correct: small", "correct: base") for r in results[name] if "status" in r]
    assert [r for r in checks if r["status"] == "failed"] == []
    assert len({r["task"] for r in checks if r["status"] == "passed"}) == 8
    not_run = [r for r in checks if r["status"] == "not run"]
    assert {r["precision"] for r in not_run} == {"bf16"}  # ONNX Runtime has no such products on a CPU
    assert all("NOT_IMPLEMENTED" in r["reason"] for r in not_run), not_run
    on_cpu = results["provider: cpu"]
    assert all(r["left"] == "" for r in on_cpu if "difference" in r)
    assert {(r["transform"], r["precision"]) for r in on_cpu if "reason" in r} == {
        (t, "bf16") for t in ("folded", "dft", "any length")
    }
    assert max(r["difference"] for r in on_cpu if r["precision"] == "fp32" and "difference" in r) < 1e-5
    assert len([r for r in on_cpu if "median_ms" in r]) == 2 * len([r for r in on_cpu if "difference" in r])
    for provider in ("cuda", "tensorrt", "nv-tensorrt-rtx"):
        (found,) = results[f"provider: {provider}"]
        assert found["reason"]
    times = [r for name in results if name.startswith("time") for r in results[name]]
    assert all("median_ms" in r for r in times), [r for r in times if "median_ms" not in r]
    subjects = {(r["subject"], r["transform"], r["precision"]) for r in times}
    transforms = [("dft", p) for p in ("fp32", "tf32", "fp16", "int8")] + [
        ("fft", "fp32"),
        ("folded", "int8"),
        ("factored", "fp16"),
    ]
    assert {("FNet, ONNX Runtime", *pair) for pair in transforms} < subjects
    assert {("BERT, ONNX Runtime", None, "int8"), ("FNet, torch.compile, autocast", "fft", "fp16")} < subjects
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from on_gpu.report import markdown, write_markdown
    finally:
        sys.path.pop(0)
    write_markdown(report, tmp_path)
    assert "This is a rehearsal" in markdown(report)
    assert (tmp_path / "gpu.svg").stat().st_size > 1000
    assert (tmp_path / "gpu.md").read_text() == markdown(report)


@pytest.fixture
def parts(tmp_path):
    """Two wheels in parts, as scripts/gpu_wheels.sh leaves them."""
    folder, sums = tmp_path / "parts", []
    for call, name in enumerate(("whole", "lost"), start=1):
        wheel = tmp_path / f"{name}-1-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{name}.py", "ANSWER = 42\n")
        data = wheel.read_bytes()
        sums.append(f"{hashlib.sha256(data).hexdigest()}  {wheel.name}")
        (folder / str(call)).mkdir(parents=True)
        for i, start in enumerate(range(0, len(data), 50)):
            (folder / str(call) / f"{wheel.name}.part{i:02}").write_bytes(data[start : start + 50])
    (folder / "1" / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    return folder


@pytest.fixture
def unpacked_wheels(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from on_gpu.wheels import unpacked_wheels

    return unpacked_wheels


def test_wheels_are_joined_and_unpacked(parts, tmp_path, unpacked_wheels):
    found = unpacked_wheels(parts, tmp_path)
    assert found == {"whole-1-py3-none-any.whl": "joined", "lost-1-py3-none-any.whl": "joined"}
    assert (tmp_path / "whole.py").read_text() == "ANSWER = 42\n"


def test_a_wheel_without_all_of_its_parts_is_named(parts, tmp_path, unpacked_wheels):
    (parts / "2" / "lost-1-py3-none-any.whl.part01").unlink()
    assert unpacked_wheels(parts, tmp_path)["lost-1-py3-none-any.whl"].startswith("a part is missing or damaged: sha256 ")
    for part in parts.glob("2/*"):
        part.unlink()
    found = unpacked_wheels(parts, tmp_path)
    assert found == {"whole-1-py3-none-any.whl": "joined", "lost-1-py3-none-any.whl": "no part of it is there"}


def test_a_wheel_of_another_python_is_not_unpacked(parts, tmp_path, unpacked_wheels):
    for path in [*parts.rglob("whole-1-py3-none-any.whl.part*")]:
        path.rename(path.with_name(path.name.replace("py3-none-any", "cp27-cp27m-win32")))
    sums = parts / "1" / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("whole-1-py3-none-any", "whole-1-cp27-cp27m-win32"))
    assert "cannot take it" in unpacked_wheels(parts, tmp_path)["whole-1-cp27-cp27m-win32.whl"]
    assert not (tmp_path / "whole.py").exists()


def test_a_folder_without_sums_says_what_to_run(tmp_path, unpacked_wheels):
    assert "scripts/gpu_wheels.sh" in unpacked_wheels(tmp_path, tmp_path)["SHA256SUMS"]
