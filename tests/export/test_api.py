"""The functions of fnet_export for programs, on tiny models."""

import json
import runpy
import sys

import click
import fnet_runtime
import numpy
import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import MANIFEST
from fnet_runtime.engine.cache import CACHE_VARIABLE
from support.checkpoints import save_tiny
from support.exports import options_from, stored
from support.fake_cuda import FakeCuda
from support.paths import ROOT

import fnet_export
from fnet_export.commands.cli import main
from fnet_export.plan.plan import plan_from_options


def options_of(function):
    """Return the options of the command of a function by the names of their parameters."""
    command = main.get_command(click.Context(main), {"evaluate": "eval"}.get(function, function))
    options = (option for option in command.params if isinstance(option, click.Option))
    return {option.opts[0].removeprefix("--").replace("-", "_"): option for option in options}


def out_of_range(option):
    """Give values next to the range of an option, or a name that is not among its choices."""
    if isinstance(option.type, click.Choice):
        yield "nonsense"
    if isinstance(option.type, click.IntRange | click.FloatRange):
        yield from (bound + step for bound, step in ((option.type.min, -1), (option.type.max, 1)) if bound is not None)


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A checkpoint whose config.json names its task, as transformers writes it."""
    return save_tiny(tmp_path_factory.mktemp("named"), architectures=("FNetForSequenceClassification",))


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": "A"}) + "\n" for text in ("the fox", "a dog", "one more")))
    return path


def test_export_returns_a_bundle_and_reports_progress(named, tmp_path):
    events = []
    options = {"target": "onnx", "output": tmp_path / "b", "quick": True, "keep_float32": [], "batch_profile": []}
    exported = fnet_export.export(model=named, on_progress=events.append, **options)
    assert isinstance(exported, fnet_export.Export)
    assert (exported.folder, exported.values["passed"], exported.values["quick"]) == (tmp_path / "b", True, True)
    assert exported.manifest.task == "sequence-classification"
    assert json.loads((tmp_path / "b" / MANIFEST).read_text()) == json.loads(exported.manifest.to_json())
    plan = plan_from_options(options_from(target="onnx", model=str(named), output=tmp_path / "c"))
    stages = [event.stage for event in events if event.note is None and not event.total]
    assert stages == list(plan.stages())
    assert [event.note for event in events if event.note is not None] == list(plan.notes)
    steps = [event for event in events if event.total]
    assert {event.stage for event in steps} == {"prove parity"}
    assert steps[-1].done == steps[-1].total
    assert fnet_runtime.load(exported.folder).classify("the fox").label in ("A", "B", "C")


def test_an_error_of_the_callback_ends_the_export(named, tmp_path):
    def stop(event):
        if event.stage == "prove parity":
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        fnet_export.export(model=named, target="onnx", output=tmp_path / "b", quick=True, on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_errors_are_exceptions(named, checkpoint, tmp_path):
    with pytest.raises(fnet_export.OptionError, match="--target: expected one of onnx"):
        fnet_export.export(model=named, target="tflite", output=tmp_path / "b")
    with pytest.raises(fnet_export.OptionError, match="--task auto: "):
        fnet_export.export(model=checkpoint, target="onnx", output=tmp_path / "b")
    with pytest.raises(fnet_export.FNetError, match="nowhere"):
        fnet_export.export(model=tmp_path / "nowhere", target="onnx", output=tmp_path / "b")
    with pytest.raises(fnet_export.ParityError) as failed:
        fnet_export.export(model=named, target="onnx", output=tmp_path / "b", quick=True, atol=1e-12)
    assert failed.value.evidence.passed is False
    assert [path.name for path in tmp_path.iterdir()] == ["b.failed"]


def test_export_takes_what_other_targets_need(named, tmp_path):
    """All options of the builder reach the plan, which refuses them for ONNX Runtime by their names."""
    build = {
        "workspace_mib": 64,
        "optimization_level": 0,
        "timing_cache": tmp_path / "times",
        "version_compatible": True,
        "hardware_compatibility": "same-compute-capability",
        "compute_capability": "8.6",
    }
    for name, value in (*build.items(), ("weight_stripped", True), ("length_profile", [(1, 2, 3)]), ("batch_profile", [(1, 2, 3)])):
        with pytest.raises(fnet_export.OptionError, match=f"--{name.replace('_', '-')}.*TensorRT"):
            fnet_export.export(model=named, target="onnx", output=tmp_path / "b", **{name: value})
    with pytest.raises(fnet_export.OptionError, match="--compute-capability: expected a number such as 8.6, found '86'"):
        fnet_export.export(target="tensorrt-rtx", compute_capability=["86"])
    with pytest.raises(fnet_export.OptionError, match="--keep-float32: is for fp16 and bf16"):
        fnet_export.export(target="onnx", keep_float32="encoder.layer.0")
    with pytest.raises(fnet_export.OptionError, match="--column: names columns of labelled data"):
        fnet_export.export(target="onnx", column={"text": "sentence"})
    for sizes in ((1, 2), 3, (4, 2, 8), (True, 1, 8), (1.0, 1, 8), tuple(numpy.arange(1, 4)), ("1", "1", "8")):
        with pytest.raises(fnet_export.OptionError, match="--batch-profile: "):
            fnet_export.export(target="tensorrt-rtx", batch_profile=[sizes])


OUT_OF_RANGE = [
    (function, name, value)
    for function in ("export", "choose", "convert", "verify", "evaluate", "bench")
    for name, option in options_of(function).items()
    for value in out_of_range(option)
]


@pytest.mark.parametrize(("function", "name", "value"), OUT_OF_RANGE)
def test_a_value_that_the_command_line_refuses_is_refused(function, name, value, named, whole_bundle, labelled, tmp_path):
    """The types of click do not check the parameters of a function, so its options and stages must."""
    needed = {
        "export": {"model": named, "target": "onnx", "output": tmp_path / "b"},
        "choose": {"model": named, "data": labelled, "output": tmp_path / "b"},
        "convert": {"model": named, "to": "huggingface", "output": tmp_path / "b"},
        "evaluate": {"data": labelled},
    }.get(function, {})
    bundle = (whole_bundle,) if function in ("verify", "evaluate", "bench") else ()
    wrong = [(value, 1, 1)] if name in ("batch_profile", "length_profile") else value
    errors = (fnet_export.FNetExportError, fnet_export.FNetError, fnet_runtime.FNetRuntimeError)
    with pytest.raises(errors, match="'nonsense'" if value == "nonsense" else f"found {value}"):
        getattr(fnet_export, function)(*bundle, **{**needed, name: wrong})
    assert not (tmp_path / "b").exists()


def test_verify(whole_bundle):
    verification = fnet_export.verify(whole_bundle, runtime="onnxruntime")
    assert isinstance(verification, fnet_export.Verification)
    assert (verification.passed, [row.runtime for row in verification.rows]) == (True, ["onnxruntime"])
    assert fnet_export.verify(str(whole_bundle), atol=1e-12).passed is False


def test_evaluate(whole_bundle, labelled):
    events = []
    scores = fnet_export.evaluate(whole_bundle, data=labelled, on_progress=events.append, min_accuracy=0)
    assert isinstance(scores, fnet_export.Scores)
    assert (len(scores.evaluation.counts), scores.baseline, scores.change, scores.missed) == (3, None, None, ())
    assert events[-1] == fnet_export.ProgressEvent(stage="answer 3 records: bundle", done=3, total=3)
    other = fnet_export.evaluate(whole_bundle, data=labelled, baseline=whole_bundle, max_accuracy_drop=0, limit=2)
    assert (other.change.flipped, len(other.evaluation.counts)) == (0, 2)
    with pytest.raises(fnet_export.OptionError, match="--max-accuracy-drop: expected --baseline as well"):
        fnet_export.evaluate(whole_bundle, data=labelled, max_accuracy_drop=1)


def test_evaluate_returns_what_the_command_prints(whole_bundle, tmp_path):
    data = tmp_path / "reviews.csv"
    best = fnet_runtime.load(whole_bundle).classify("the fox").label
    wrong = next(label for label in "ABC" if label != best)
    data.write_text(f"sentence,label\nthe fox,{wrong}\nthe fox,{best}\nthe fox,{best}\n")
    scores = fnet_export.evaluate(whole_bundle, data=data, column={"text": "sentence"}, min_accuracy=90, baseline=str(whole_bundle))
    assert "is 66.67 points, below the 90 asked for" in scores.missed[0]
    words = ["eval", str(whole_bundle), "--data", str(data), "--column", "text=sentence", "--min-accuracy", "90"]
    printed = CliRunner().invoke(main, [*words, "--baseline", str(whole_bundle), "--json"])
    assert printed.exit_code == 3
    values = json.loads(printed.stdout)
    assert {key: values[key] for key in scores.values()} == json.loads(json.dumps(scores.values()))
    assert values["missed"] == list(scores.missed)


def test_bench(whole_bundle, tmp_path):
    events = []
    chart = tmp_path / "speed.svg"
    measured = fnet_export.bench(whole_bundle, rounds=2, threads=1, chart=chart, on_progress=events.append)
    assert isinstance(measured, fnet_export.Benchmark)
    assert (measured.complete, measured.rounds, len(measured.cases)) == (True, 2, 1)
    assert chart.read_text("utf-8").startswith("<svg")
    steps = [(0, 0), (1, 2), (2, 2)]
    assert [(event.stage, event.done, event.total) for event in events] == [("batch 1, threads 1", *step) for step in steps]


def test_providers_are_checked_at_once(whole_bundle, named, tmp_path):
    for call in (
        lambda **options: fnet_export.export(model=named, target="onnx", output=tmp_path / "b", **options),
        lambda **options: fnet_export.verify(whole_bundle, **options),
        lambda **options: fnet_export.bench(whole_bundle, **options),
    ):
        with pytest.raises(fnet_export.OptionError, match="--provider: expected one of cpu, cuda, .*; found 'gpu'"):
            call(provider="gpu")
        with pytest.raises(fnet_export.OptionError, match="--allow-partial: is for a provider of a GPU"):
            call(allow_partial=True)


def test_bench_refuses_before_it_measures(whole_bundle, tmp_path):
    with pytest.raises(fnet_export.OptionError, match="BUNDLE: expected at least one, found none"):
        fnet_export.bench()
    with pytest.raises(fnet_export.OptionError, match="--batch-size: expected at least one, found none"):
        fnet_export.bench(whole_bundle, batch_size=[])
    with pytest.raises(fnet_export.OptionError, match="expected a name that ends in .svg"):
        fnet_export.bench(whole_bundle, chart=tmp_path / "speed.png")
    with pytest.raises(fnet_export.FNetExportError, match="is not a folder; make it first"):
        fnet_export.bench(whole_bundle, chart=tmp_path / "none" / "speed.svg")


def test_convert(checkpoint, tmp_path):
    events = []
    folder = fnet_export.convert(checkpoint, to="huggingface", output=tmp_path / "c", on_progress=events.append)
    assert (folder, (folder / "model.safetensors").is_file()) == (tmp_path / "c", True)
    assert ["AutoTokenizer refuses" in event.note for event in events] == [True]


def test_rebuild(shared, whole_bundle, tmp_path, monkeypatch):
    bundle = stored(shared, target="tensorrt-rtx")  # before this host seems to have a GPU
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", FakeCuda())
    events = []
    rebuilt = fnet_export.rebuild(bundle, on_progress=events.append)
    assert isinstance(rebuilt, fnet_export.Rebuilt)
    assert (rebuilt.built, rebuilt.gpu.name, rebuilt.file.is_file()) == (True, "NVIDIA L4", True)
    assert {event.stage for event in events} == {"build the engine"}
    with pytest.raises(fnet_runtime.OptionError, match="has no engine of TensorRT"):
        fnet_export.rebuild(whole_bundle)


def test_the_example(named, tmp_path, monkeypatch, capsys):
    labelled = tmp_path / "labelled.jsonl"
    labelled.write_text('{"text": "the fox", "label": "A"}\n' * 3)
    words = ["export_model.py", str(named), str(tmp_path / "b"), "--data", str(labelled), "--rounds", "2"]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(ROOT / "examples" / "export_model.py"), run_name="__main__")
    shown = capsys.readouterr()
    assert f"{tmp_path / 'b'}: sequence-classification, parity passed" in shown.out
    assert "prove parity" in shown.err
    assert "accuracy" in shown.out
    assert "milliseconds for one text" in shown.out
