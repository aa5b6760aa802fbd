"""The GPU run, rehearsed at toy size in an environment that has only what the GPU machine has."""

import importlib.machinery
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from support.fake_cuda import FakeCuda
from support.fake_tensorrt import BuilderFlag, fake_tensorrt
from support.fake_trt import FakeStreams, fake_trt
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
    *("setuptools", "triton", "cuda-bindings", "click", "h5py", "huggingface-hub", "jinja2", "matplotlib", "msgpack"),
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
    assert not (site / "openvino").exists()
    return site


STEPS = [
    "device",
    "time: 28 tokens, torch.compile, fp16",
    "time: 28 tokens, ONNX Runtime, fp16",
    "engine: TensorRT",
    "time: 28 tokens, TensorRT, fp16",
    "engine: TensorRT-RTX",
    "time: 28 tokens, TensorRT-RTX, fp16",
    "correct: base",
    "time: any length, ONNX Runtime",
    "kernels",
    *(f"provider: {name}" for name in ("cpu", "cuda", "tensorrt", "nv-tensorrt-rtx")),
    "bundle: onnx",
    "bundle: tensorrt-rtx",
    "options: TensorRT",
    "options: TensorRT-RTX",
    "threads",
    "time: 28 tokens, TensorRT, others",
    "time: 28 tokens, TensorRT-RTX, others",
    "time: 28 tokens, ONNX Runtime, others",
    "time: 28 tokens, torch eager",
    "correct: small",
    "time: 28 tokens, torch.compile, others",
]
NO_TENSORRT = "EngineError: tensorrt cannot be imported (No module named 'tensorrt'); install it: pip install "
NO_GPU = "no: NoDeviceError: no NVIDIA GPU on this host"
RTX = "TensorRT-RTX (stand-in: ONNX Runtime)"


@pytest.fixture
def benchmarks(monkeypatch):
    """The folder of benchmarks on the path."""
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.mark.usefixtures("benchmarks")
def test_the_rehearsal_runs_every_step(environment, tmp_path):
    output = tmp_path / "gpu.json"
    command = [sys.executable, "-S", str(BENCHMARKS / "gpu.py"), "--rehearse", "--output", str(output)]
    done = subprocess.run(
        command,
        env={"PYTHONPATH": str(environment), "PATH": "/usr/bin:/bin", "FNET_EXPORT_CACHE": str(tmp_path / "cache")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) <= 60
    report = json.loads(output.read_text())
    assert list(report["steps"]) == STEPS
    for name, step in report["steps"].items():
        of_tensorrt = name in ("time: 28 tokens, TensorRT, fp16", "options: TensorRT", "time: 28 tokens, TensorRT, others")
        assert step["status"].startswith(f"not run: {NO_TENSORRT}" if of_tensorrt else "done"), (name, step, done.stderr)
    check_answers(report)
    check_correctness(report)
    check_providers(report)
    check_times(report)
    check_report(report, tmp_path)


def results_of(report, step):
    return [r for name, found in report["steps"].items() if name.startswith(step) for r in found["results"]]


def check_answers(report):
    assert [r["peak"] for r in results_of(report, "device")] == ["fp32", "tf32", "fp16", "bf16", "int8", "fp8", "copy"]
    (not_there,) = results_of(report, "engine: TensorRT")[:1]
    assert not_there["answer"].startswith(f"no: {NO_TENSORRT}")
    assert all(r.get("yes", True) for r in results_of(report, "engine: TensorRT-RTX"))
    refused = {r["question"]: r["answer"] for r in results_of(report, "options") if not r["yes"]}
    assert {question: answer.split(": ")[1] for question, answer in refused.items()} == dict.fromkeys(
        (
            "weight-stripped, with the weights filled in when it opens",
            "a timing cache, written",
            "a timing cache, read",
            "version-compatible",
            "hardware-compatible, ampere-plus",
        ),
        "OptionError",
    )
    assert len([r for r in results_of(report, "options") if r["yes"]]) == 5
    assert all((r["yes"] and "spam" in r["answer"]) or "passed" in r["answer"] for r in results_of(report, "bundle: onnx"))
    exported, *others = results_of(report, "bundle: tensorrt-rtx")
    assert exported["answer"].startswith("yes: ")
    assert all(r["answer"].startswith(NO_GPU) for r in others)
    assert len(others) == 3
    kernels = results_of(report, "kernels")
    assert [(r["subject"], r["transform"]) for r in kernels if r["kernel"] == "all of it"] == [
        ("FNet, ONNX Runtime", "dft"),
        ("FNet, ONNX Runtime", "folded"),
        ("BERT, ONNX Runtime", "fused attention"),
    ]
    threads = results_of(report, "threads")
    assert [(r["subject"], r["threads"]) for r in threads] == [
        (f"FNet, {name}", count) for name in ("ONNX Runtime, cpu", f"{RTX}, 4 contexts") for count in (1, 2, 4)
    ]
    assert all(r["texts_per_s"] > 0 for r in threads)


def check_correctness(report):
    checks = [r for r in results_of(report, "correct") if "status" in r]
    assert [r for r in checks if r["status"] == "failed"] == []
    assert len({r["task"] for r in checks if r["status"] == "passed"}) == 8
    not_run = [r for r in checks if r["status"] == "not run"]
    assert {r["precision"] for r in not_run} == {"bf16"}  # ONNX Runtime has no such products on a CPU
    assert all("NOT_IMPLEMENTED" in r["reason"] for r in not_run), not_run
    in_engines = {(r["transform"], r["precision"]) for r in checks if r["row"] == RTX}
    assert in_engines == {("dft", p) for p in ("fp16", "int8-engine", "fp8")} | {("folded", "fp16"), ("any length", "fp16")}


def check_providers(report):
    on_cpu = results_of(report, "provider: cpu")
    assert all(r["left"] == "" for r in on_cpu if "difference" in r)
    assert {(r["transform"], r["precision"]) for r in on_cpu if "reason" in r} == {
        (t, "bf16") for t in ("folded", "dft", "any length")
    }
    assert max(r["difference"] for r in on_cpu if r["precision"] == "fp32" and "difference" in r) < 1e-5
    assert len([r for r in on_cpu if "median_ms" in r]) == 2 * len([r for r in on_cpu if "difference" in r])
    for provider in ("cuda", "tensorrt", "nv-tensorrt-rtx"):
        (found,) = results_of(report, f"provider: {provider}")
        assert found["reason"]


def check_times(report):
    times = results_of(report, "time")
    assert all(r.get("tflop_per_s") for r in times), [r for r in times if not r.get("tflop_per_s")]
    subjects = {(r["subject"], r["transform"], r["precision"]) for r in times}
    transforms = [("dft", p) for p in ("fp32", "tf32", "fp16", "int8")] + [
        ("fft", "fp32"),
        ("folded", "int8"),
        ("factored", "fp16"),
        ("any length", "fp16"),
    ]
    assert {("FNet, ONNX Runtime", *pair) for pair in transforms} < subjects
    norm = "dft with LayerNorm in fp16"
    assert {(f"FNet, ONNX Runtime{graph}", t, "fp16") for graph in ("", ", CUDA graph") for t in ("dft", norm)} < subjects
    assert {("BERT, ONNX Runtime", form, "fp16") for form in (None, "fused attention")} < subjects
    assert {("BERT, ONNX Runtime", None, "int8"), ("FNet, torch.compile", "fft", "fp16")} < subjects
    assert {subject for subject, *_ in subjects if "torch.compile" in subject} == {"FNet, torch.compile"}
    in_engines = {(name.replace(RTX, "RTX"), *rest) for name, *rest in subjects if RTX in name}
    assert in_engines == {
        *(("FNet, RTX", "dft", precision) for precision in ("fp16", "fp32", "int8", "fp8")),
        *((f"FNet, RTX{graph}", t, "fp16") for graph in ("", ", CUDA graph") for t in ("dft", "folded")),
        *((f"BERT, RTX{graph}", None, "fp16") for graph in ("", ", CUDA graph")),
        ("FNet, RTX", "any length", "fp16"),
        ("FNet, RTX, level 5", "dft", "fp16"),
    }


def check_report(report, folder):
    from on_gpu.goals import goal_rows
    from on_gpu.report import markdown, write_markdown

    goals = list(goal_rows(report))
    runtimes = dict.fromkeys(runtime.rpartition(", ")[0] or runtime for _, runtime, *_ in goals)
    assert list(runtimes) == ["ONNX Runtime", "ONNX Runtime, CUDA graph", "TensorRT", RTX, f"{RTX}, CUDA graph"]
    verdicts = {runtime: verdict.split(": ")[0] for _, runtime, _, _, verdict in goals}
    assert {verdict for runtime, verdict in verdicts.items() if runtime != "TensorRT"} <= {"met", "missed"}
    assert verdicts["TensorRT"] == "not run"
    write_markdown(report, folder)
    page = (folder / "gpu.md").read_text()
    assert page == markdown(report)
    assert "This is a rehearsal" in page
    assert page.count("\n## ") == 9
    assert page.rpartition("## ")[2].startswith("Goals\n")
    assert (folder / "gpu.svg").stat().st_size > 1000


def report_of(*results, status="done"):
    return {
        "goal": {"tokens": 512, "batch": 32},
        "steps": {
            "device": {"status": "done", "results": [{"peak": "fp16", "rate": 800.0}]},
            "time: 512 tokens, ONNX Runtime, fp16": {"status": status, "results": list(results)},
        },
    }


def timed(subject, transform, median_ms, tflop_per_s=400.0, **others):
    case = {"subject": subject, "transform": transform, "precision": "fp16", "tokens": 512, "batch": 32}
    return case | {"median_ms": median_ms, "tflop_per_s": tflop_per_s} | others


@pytest.mark.usefixtures("benchmarks")
def test_goals_are_met_or_missed_by_the_fastest_transform():
    from on_gpu.goals import goal_rows

    report = report_of(
        timed("FNet, ONNX Runtime", "folded", 9.0, 300.0),
        timed("FNet, ONNX Runtime", "dft", 6.0, 440.0),
        timed("FNet, ONNX Runtime", "dft", 1.0, batch=1),
        timed("FNet, ONNX Runtime", "any length", 1.0),
        timed("BERT, ONNX Runtime", None, 12.0),
        timed("BERT, ONNX Runtime", "fused attention", 7.0),
        timed("FNet, torch.compile", "fft", 6.0),
    )
    rows = {row[0]: row[1:] for row in goal_rows(report) if row[1].startswith("ONNX Runtime")}
    assert rows == {
        "share of the matrix peak": ("ONNX Runtime, dft", "55.0 %", "at least 55 %", "met"),
        "time as a share of BERT-base's": ("ONNX Runtime, dft", "0.857", "at most 0.8", "missed"),
        "time as a share of torch.compile's": ("ONNX Runtime, dft", "1.000", "less than 1.0", "missed"),
    }


NO_BERT = {"subject": "BERT, ONNX Runtime", "transform": None, "precision": "fp16", "tokens": 512, "reason": "E: no memory"}


@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize(
    ("results", "status", "reasons"),
    [
        ([], "cut off after its 60 s", ["the step time: 512 tokens, ONNX Runtime, fp16 cut off after its 60 s"] * 3),
        ([], "not run: no provider", ["no provider"] * 3),
        (
            [timed("FNet, ONNX Runtime", "dft", 6.0), NO_BERT],
            "done",
            [None, "BERT: E: no memory", "FNet was not timed by torch.compile"],
        ),
    ],
)
def test_goals_without_a_time_say_why(results, status, reasons):
    from on_gpu.goals import goal_rows

    verdicts = [row[-1] for row in goal_rows(report_of(*results, status=status)) if row[1].startswith("ONNX Runtime")]
    assert verdicts == ["missed" if reason is None else f"not run: {reason}" for reason in reasons]


@pytest.mark.usefixtures("benchmarks")
def test_what_a_step_cannot_import_fails_the_step_alone():
    from on_gpu.step import Step, run_step

    ended = run_step(Step(name="a", budget_s=9, results="nowhere:results"), seconds=9, on_result=None)
    assert ended["status"] == "failed: ModuleNotFoundError: No module named 'on_gpu.nowhere'"


@pytest.mark.usefixtures("benchmarks")
def test_what_cannot_be_imported_is_a_reason(monkeypatch):
    import gpu
    from on_gpu.scale import REAL

    monkeypatch.setitem(gpu.NEEDS, "graphs", ("torch", "no_such_module"))
    missing = gpu.missing_modules(REAL, {"a.whl": "joined", "b.whl": "no part of it is there"})
    assert missing["graphs"].startswith("no_such_module cannot be imported: ModuleNotFoundError: ")
    assert missing["graphs"].endswith(" (b.whl: no part of it is there)")
    assert missing["provider"].startswith("ONNX Runtime has no CUDAExecutionProvider; it has ")
    assert missing["torch"] == ""
    assert gpu.started_builders(REAL, None, missing) is None
    missing["graphs"] = ""
    monkeypatch.setitem(sys.modules, "on_gpu.builders", None)
    assert gpu.started_builders(REAL, None, missing) is None
    assert missing["graphs"].startswith("no graph can be built: ")


@pytest.mark.usefixtures("benchmarks")
def test_the_steps_of_the_goals_come_early():
    from gpu import TOTAL_S
    from on_gpu.plan import steps
    from on_gpu.scale import REAL

    opened = {"status": "done", "results": [{"yes": True, "answer": "yes"}]}
    report = {"steps": {f"engine: {name}": opened for name in ("TensorRT", "TensorRT-RTX")}}
    planned = list(steps(REAL, None, None, report))
    last = max(number for number, step in enumerate(planned) if step.name.startswith("time: 512 tokens") and "fp16" in step.name)
    assert sum(step.budget_s for step in planned[: last + 1]) < TOTAL_S
    assert len({step.name for step in planned}) == len(planned)
    assert {name for step in planned for name in step.needs} == {"torch", "graphs", "provider", "transformers"}


@pytest.mark.usefixtures("benchmarks")
def test_what_runs_on_a_gpu_alone(monkeypatch):
    """The lines that no rehearsal reaches."""
    import torch
    from on_gpu import engines, sessions
    from on_gpu.clock import synchronised
    from on_gpu.kernels import time_of
    from on_gpu.scale import REAL

    asked = []

    class Session:
        def __init__(self, model, options, *, providers):
            asked.append((model, providers))

        def get_providers(self):
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

        def get_outputs(self):
            return []

    monkeypatch.setattr(sessions.onnxruntime, "InferenceSession", Session)
    sessions.DeviceSession("model.onnx", REAL, cuda_graph=True)
    options = {"use_tf32": "0", "enable_cuda_graph": "1"}
    assert asked == [("model.onnx", [("CUDAExecutionProvider", options), "CPUExecutionProvider"])]
    assert synchronised(REAL) is torch.cuda.synchronize
    assert time_of(torch.autograd.profiler_util.FunctionEventAvg(), on_gpu=True) == 0
    assert engines.runtime_name(REAL, "tensorrt_rtx") == "TensorRT-RTX"
    assert engines.targets_in_words(SimpleNamespace()) == "the GPU that is here"


@pytest.mark.usefixtures("benchmarks")
def test_engines_are_opened_by_the_shipped_session(monkeypatch):
    from fnet_runtime.sessions import trt_session
    from on_gpu.engines import opened_engine
    from on_gpu.scale import REAL

    signature = inspect.signature(trt_session.TrtSession)
    monkeypatch.setattr(trt_session, "TrtSession", signature.bind)
    opened = opened_engine(REAL, Path("folder"), "info", ["inputs"], contexts=4, cuda_graph=True)
    assert opened.args == (Path("folder/model.engine"), "info", ["inputs"])
    assert opened.kwargs == {"options": trt_session.TrtOptions(contexts=4, cuda_graph=True)}


@pytest.mark.usefixtures("benchmarks")
def test_engines_of_rtx_compile_their_kernels_first(monkeypatch, tmp_path):
    from on_gpu.eager_engine import EagerEngine

    rtx = pytest.importorskip("tensorrt_rtx")
    assert hasattr(rtx.IRuntimeConfig, "dynamic_shapes_kernel_specialization_strategy")
    assert "EAGER" in rtx.DynamicShapesKernelSpecializationStrategy.__members__
    file, trt, given = tmp_path / "model.engine", fake_trt(FakeStreams()), []
    file.write_bytes(b"engine")

    def created(_, *config):
        given.append(config)
        return SimpleNamespace()

    monkeypatch.setattr(trt.ICudaEngine, "create_execution_context", created)
    engine = EagerEngine(file, SimpleNamespace(library="tensorrt_rtx", version="1", build=None), trt)
    engine.context()
    assert given.pop() == ()  # an older library has no such setting
    trt.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")
    engine.context()
    engine.context_that_captures()
    configs = [config for (config,) in given]
    assert [config.dynamic_shapes_kernel_specialization_strategy for config in configs] == ["eager", "eager"]
    assert [config.cuda_graph_strategy for config in configs] == ["none", "whole"]


@pytest.mark.usefixtures("benchmarks")
def test_an_engine_has_one_profile_with_the_first_batch_as_its_best(monkeypatch, tmp_path):
    from fnet_runtime.bundle.manifest import BATCH, SEQUENCE
    from on_gpu import engines
    from on_gpu.builders import GraphSet, any_length
    from on_gpu.scale import REAL

    asked = []
    monkeypatch.setattr(engines, "built_engine", lambda *arguments, **_: asked.append(arguments[3]))
    for wanted in (GraphSet(length=512, transform="dft"), any_length(REAL)):
        engines.engine_of_set(REAL, "tensorrt", wanted, "fp16", "model.onnx", tmp_path)
    shapes = [{axis: (r.min, r.opt, r.max) for axis, r in profile.items()} for (profile,) in asked]
    assert shapes == [{BATCH: (1, 32, 128)}, {BATCH: (1, 32, 32), SEQUENCE: (1, 512, 2048)}]


@pytest.mark.usefixtures("benchmarks")
def test_half_precision_without_casts_is_for_comparison_only(tmp_path):
    import onnx_ir
    from on_gpu.bert import bert_graphs
    from on_gpu.graphs import HALF_NORM, fnet_graphs
    from on_gpu.models import bert, fnet
    from on_gpu.scale import TOY

    fp16, fp32 = onnx_ir.DataType.FLOAT16, onnx_ir.DataType.FLOAT

    def types(graphs, operator):
        nodes = [node for node in onnx_ir.load(dict(graphs)["fp16"]).graph if node.op_type == operator]
        assert operator == "Softmax" or {node.attributes.get_int("stash_type") for node in nodes} == {fp32}
        return {node.inputs[0].dtype for node in nodes}

    model = fnet(TOY, 28)
    assert types(fnet_graphs(model, HALF_NORM, ("fp16",), tmp_path / "norm"), "LayerNormalization") == {fp16}
    assert types(fnet_graphs(model, "dft", ("fp16",), tmp_path / "dft"), "LayerNormalization") == {fp32}
    graphs = [*bert_graphs(bert(TOY, 28), 28, ("fp32", "fp16"), tmp_path / "bert", fused=False)]
    assert types(graphs, "LayerNormalization") == types(graphs, "Softmax") == {fp16}


@pytest.mark.usefixtures("benchmarks")
def test_a_graph_is_there_before_its_set_is_whole(monkeypatch, tmp_path):
    from on_gpu import builders
    from on_gpu.scale import REHEARSAL

    wanted = builders.GraphSet(length=28, transform="dft", small=True)
    built = builders.Builders.__new__(builders.Builders)
    built._scratch = tmp_path
    seen = []

    def graphs(*_):
        yield "fp32", "model.onnx"
        seen.append(built.path(wanted, "fp32"))
        seen.append(built.path(wanted, "fp16"))
        raise ValueError("no memory")

    monkeypatch.setattr(builders, "WAIT_S", 0.0)
    monkeypatch.setattr(builders, "fnet_graphs", graphs)
    builders._build(REHEARSAL, wanted, tmp_path / wanted.folder)
    assert seen == ["model.onnx", "not built within 0 s"]
    assert built.path(wanted, "fp32") == "model.onnx"
    assert built.path(wanted, "fp16") == "not built: ValueError: no memory"


@pytest.mark.usefixtures("benchmarks")
def test_a_gpu_that_was_used_before_the_steps_ends_the_run(monkeypatch):
    import gpu
    import torch

    gpu.check_unused_gpu()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(SystemExit, match="No step can use the GPU"):
        gpu.check_unused_gpu()


@pytest.mark.usefixtures("benchmarks")
def test_every_option_of_tensorrt_is_asked_for(monkeypatch, tmp_path):
    """TensorRT itself cannot be installed here, so a library that accepts everything stands in for it."""
    from on_gpu.engine_options import option_answers
    from on_gpu.engines import probe
    from on_gpu.scale import REHEARSAL

    library, builds = fake_tensorrt()
    library.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)  # torch asks whether there is one
    monkeypatch.setitem(sys.modules, "tensorrt", library)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", FakeCuda())
    answers = [*probe(REHEARSAL, "tensorrt", tmp_path), *option_answers(REHEARSAL, "tensorrt", tmp_path)]
    assert answers[0]["answer"] == "10.13.0.35: the GPU that is here"
    assert [a for a in answers[1:] if not a["yes"]] == []
    assert [build.builder_optimization_level for build in builds[:3]] == [3, 0, 5]
    stripped, written, read = builds[3:6]
    assert BuilderFlag.STRIP_PLAN in stripped.flags
    assert (written.cache.data, read.cache.data) == (b"", b"times of 10.13.0.35")
    assert [shapes["input_ids"][0] for shapes in builds[-1].profiles] == [(1, 1), (1, 8), (1, 15)]
