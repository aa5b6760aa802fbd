"""The choice of a bundle on tiny models: whole runs, limits, candidates that do not run, and interrupted runs."""

import dataclasses
import json

import fnet_runtime
import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import MANIFEST, manifest_from_folder
from support.checkpoints import save_tiny
from support.labelled import TEXTS, records_of, written

import fnet_export
from fnet_export.base.errors import GraphError
from fnet_export.bundle.folder import bundle_folder
from fnet_export.commands.cli import main
from fnet_export.evaluation import accuracy
from fnet_export.parity.tolerance import tolerance_from_options
from fnet_export.plan.pipeline import bundle_from_plan
from fnet_export.plan.selection import measure

SHORT = ("--task", "sequence-classification", "--quick", "--rounds", 2)
ONE = ("--target", "onnx", "--precision", "fp32", "--padding", "none")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr("fnet_export.engine.sessions.timing.time.sleep", lambda _: None)


@pytest.fixture
def data(tmp_path):
    return written(tmp_path / "data.jsonl", records_of("sequence-classification"))


@pytest.fixture
def place(tmp_path):
    """An empty folder to write to."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def run(checkpoint, data, output, *arguments):
    words = ["choose", "--model", checkpoint, "--data", data, "--output", output, *SHORT, *arguments]
    return CliRunner().invoke(main, [str(word) for word in words], env={"COLUMNS": "200"})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def with_plans(monkeypatch, change):
    """Change the plan of each candidate before its export."""
    monkeypatch.setattr(measure, "bundle_from_plan", lambda plan, *rest, **named: bundle_from_plan(change(plan), *rest, **named))


def test_the_chosen_bundle_takes_the_output(checkpoint, data, place):
    shown = run(checkpoint, data, place / "b", "--target", "onnx", "--target", "openvino", "--precision", "fp32", "--json")
    assert shown.exit_code == 0, shown.stderr
    values = json.loads(shown.stdout)
    assert (values["bundle"], values["results"]) == (str(place / "b"), str(place / "b.choice"))
    candidates = values["candidates"]
    assert [each["name"] for each in candidates] == [  # no file states the padding
        f"{target} fp32 (padding {padding})" for target in ("onnx", "openvino") for padding in ("max_length", "none")
    ]
    assert sorted(each["status"] for each in candidates) == ["chosen", "within", "within", "within"]
    for each in candidates:
        figures = each["figures"]
        assert each["missed"] == []
        assert len(figures["latency_ms"]["times"]) == 2
        assert figures["decisions"]["count"] == len(TEXTS)
        assert figures["differences"][0]["name"] == "accuracy"
        drop = figures["metrics"][0]["value"] - values["baseline"]["metrics"][0]["value"]
        assert figures["differences"][0]["value"] == pytest.approx(drop)
        assert f"--padding {each['padding']}" in each["command"]
    assert names(place) == ["b", "b.choice"]
    assert names(place / "b.choice") == ["choice.html", "choice.json"]
    written_values = json.loads((place / "b.choice" / "choice.json").read_text())
    assert written_values == {key: value for key, value in values.items() if key not in ("bundle", "results")}
    chosen = next(each for each in candidates if each["status"] == "chosen")
    manifest = manifest_from_folder(place / "b")
    exported = f"{manifest.target} {manifest.precision} (padding {manifest.padding})"
    assert (exported, chosen["name"]) == (values["chosen"], values["chosen"])
    assert chosen["figures"]["size_bytes"] == sum(info.size_bytes for info in manifest.files.values())
    evaluation = json.loads((place / "b" / "parity.json").read_text())["evaluation"]
    assert evaluation["runs"][0]["metrics"] == chosen["figures"]["metrics"]
    assert fnet_runtime.load(place / "b").classify("the fox").label in "ABC"


def test_the_checkpoint_is_scored_once(checkpoint, data, place, monkeypatch):
    scored, score = [], accuracy._measurement

    def noted(subject, way, *rest):
        scored.append(way.name)
        return score(subject, way, *rest)

    monkeypatch.setattr(accuracy, "_measurement", noted)
    shown = run(checkpoint, data, place / "b", "--target", "onnx", "--precision", "fp32")
    assert shown.exit_code == 0, shown.stderr
    own, padded, *bundles = scored
    assert (own, padded) == ("checkpoint, each text at its own length", "checkpoint, padded to 32 tokens")
    assert bundles == ["bundle", "bundle"]


def test_no_candidate_is_within_the_limits(checkpoint, data, place):
    shown = run(checkpoint, data, place / "b", *ONE, "--max-latency-ms", 1e-6, "--max-size-mb", 0.0001)
    assert shown.exit_code == 3, shown.stderr
    assert "onnx fp32 (padding none)" in shown.stdout
    assert "No candidate is within the limits." in shown.stdout
    assert "1 onnx fp32 (padding none): limit missed: the median latency is " in shown.stderr
    assert "1 onnx fp32 (padding none): limit missed: the files take " in shown.stderr
    assert f"error: no candidate is within the limits, so no bundle was written to {place / 'b'}" in shown.stderr
    assert names(place) == ["b.choice"]
    values = json.loads((place / "b.choice" / "choice.json").read_text())
    assert (values["chosen"], [each["status"] for each in values["candidates"]]) == (None, ["missed"])
    assert run(checkpoint, data, place / "b", *ONE).exit_code == 0  # the results are replaced
    assert names(place) == ["b", "b.choice"]
    again = run(checkpoint, data, place / "b", *ONE)
    assert (again.exit_code, "exists; expected a new folder" in again.stderr) == (1, True)
    before = (place / "b" / MANIFEST).read_bytes()
    failed = run(checkpoint, data, place / "b", *ONE, "--force", "--max-latency-ms", 1e-6, "--quiet", "--json")
    assert (failed.exit_code, json.loads(failed.stdout)["bundle"]) == (3, None)
    assert (place / "b" / MANIFEST).read_bytes() == before
    assert run(checkpoint, data, place / "b", *ONE, "--force").exit_code == 0


def test_a_candidate_that_cannot_be_made_is_a_line_with_the_reason(checkpoint, data, place, monkeypatch):
    def change(plan):
        if plan.trained.padding.contract == "none":
            raise GraphError("the graph is wrong")
        return plan

    with_plans(monkeypatch, change)
    shown = run(checkpoint, data, place / "b", "--target", "onnx", "--precision", "bf16", "--precision", "fp32")
    assert shown.exit_code == 0, shown.stderr
    for padding in ("max_length", "none"):
        assert (
            f"onnx bf16 (padding {padding}): not run: --precision: expected fp32, int8 for the target onnx, found 'bf16'"
            in shown.stdout
        )
    assert "4 onnx fp32 (padding none): not run: the graph is wrong" in shown.stdout
    assert "onnx fp32 (padding max_length) is the only candidate within the limits." in shown.stdout
    candidates = json.loads((place / "b.choice" / "choice.json").read_text())["candidates"]
    assert [each["command"] is None for each in candidates] == [True, False, True, False]


def test_a_bundle_that_fails_its_proof_is_never_chosen(checkpoint, data, place, monkeypatch):
    strict = tolerance_from_options(1e-12, None)

    def change(plan):
        options = plan.options
        return dataclasses.replace(
            plan, options=dataclasses.replace(options, proof=dataclasses.replace(options.proof, tolerance=strict))
        )

    with_plans(monkeypatch, change)
    shown = run(checkpoint, data, place / "b", *ONE)
    assert shown.exit_code == 3
    assert "1 onnx fp32 (padding none): not run: parity failed: " in shown.stderr
    assert " % of its limit" in shown.stderr
    assert "bisect" not in shown.stderr  # the files are gone
    assert names(place) == ["b.choice"]
    assert "<svg" not in (place / "b.choice" / "choice.html").read_text()


def test_a_bundle_that_cannot_be_timed_is_a_line_with_the_reason(checkpoint, data, place, monkeypatch):
    monkeypatch.setattr("fnet_export.benchmark.benchmark.WORKER", ["-c", "raise SystemExit('out of luck')"])
    shown = run(checkpoint, data, place / "b", *ONE)
    assert (shown.exit_code, "not run: not timed: its process ended (exit 1): out of luck" in shown.stderr) == (3, True)


@pytest.mark.parametrize("stage", ["onnx fp32 (padding none) (1 of 1): prove parity", "time 1 bundle in turns"])
def test_an_interrupted_run_leaves_nothing(checkpoint, data, place, stage):
    def stop(event):
        if event.stage == stage:
            raise KeyboardInterrupt

    options = {"model": checkpoint, "task": "sequence-classification", "data": data, "quick": True, "rounds": 2}
    options |= {"target": "onnx", "precision": "fp32", "padding": "none", "output": place / "b"}
    with pytest.raises(KeyboardInterrupt):
        fnet_export.choose(**options, on_progress=stop)
    assert names(place) == []
    (place / ".b.partial-1.candidates-2").mkdir()  # what a killed run leaves
    (place / ".b.lock").touch()
    with bundle_folder(place / "b", force=False):
        pass
    assert names(place) == ["b"]


def test_python_gets_the_selection(checkpoint, data, place):
    options = {"model": checkpoint, "task": "sequence-classification", "data": str(data), "quick": True, "rounds": 2}
    options |= {"target": "onnx", "precision": ["fp32"], "padding": "none"}
    selection = fnet_export.choose(**options, output=place / "b", max_accuracy_drop=0)
    assert isinstance(selection, fnet_export.Selection)
    assert (selection.folder, selection.chosen) == (place / "b", selection.trials[0])
    assert selection.chosen.figures.difference.value == 0
    nothing = fnet_export.choose(**options, output=place / "c", max_latency_ms=1e-6)
    assert (nothing.folder, nothing.chosen, len(nothing.trials[0].missed)) == (None, None, 1)


def test_a_stated_padding_is_the_only_one(data, tmp_path, place):
    stated = save_tiny(tmp_path / "stated", extra={"trained_padding": "none"})
    shown = run(stated, data, place / "b", "--target", "onnx", "--precision", "fp32", "--json")
    assert [each["padding"] for each in json.loads(shown.stdout)["candidates"]] == ["none"]
    shown = run(stated, data, place / "c", *ONE[:4], "--padding", "max_length")
    assert (shown.exit_code, "--padding: expected none, because training ran" in shown.stderr) == (2, True)
    shown = run(stated, data, place / "c", *ONE[:4], "--padding", "max_length", "--accept-drift", "--json")
    values = json.loads(shown.stdout)
    assert (values["chosen"], values["baseline"]["name"]) == (
        "onnx fp32 (padding max_length)",
        "checkpoint, each text at its own length",
    )


def test_a_regression_has_no_limit_of_accuracy(tmp_path, place):
    model = save_tiny(tmp_path / "regression", problem_type="regression", labels=("grade",))
    records = written(tmp_path / "grades.jsonl", [{"text": text, "label": i / 7} for i, text in enumerate(TEXTS)])
    shown = run(model, records, place / "b", *ONE, "--max-accuracy-drop", 1)
    assert (shown.exit_code, "--max-accuracy-drop: regression has no accuracy that could have a limit" in shown.stderr) == (2, True)
    shown = run(model, records, place / "b", *ONE)
    assert (shown.exit_code, "mean absolute error" in shown.stdout) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--target", "tflite"], 2, "'tflite' is not one of"),
        (["--max-latency-ms", 0], 2, "0 is not in the range x>0"),
        (["--max-accuracy-drop", 101], 2, "101.0 is not in the range"),
        (["--rounds", 1], 2, "1 is not in the range x>=2"),
        (["--target", "onnx", "--precision", "bf16"], 2, "expected a candidate that this host can export and run; onnx bf16"),
        ([*ONE, "--calibration", "texts"], 2, "--calibration: is for int8 and fp8, which are not among the candidates"),
        ([*ONE, "--sequence-length", 64], 1, "64"),
        ([*ONE, "--column", "text=nowhere"], 1, "nowhere"),
        ([*ONE, "--output", "nowhere/../.."], 1, "expected the name of a folder at the end"),
    ],
)
def test_bad_usage(checkpoint, data, place, arguments, code, message):
    shown = run(checkpoint, data, place / "b", *arguments)
    assert (shown.exit_code, message in shown.stderr) == (code, True), shown.stderr
    assert names(place) == []


def test_another_folder_in_the_place_of_the_results_is_kept(checkpoint, data, place):
    (place / "b.choice").mkdir()
    (place / "b.choice" / "notes.txt").touch()
    shown = run(checkpoint, data, place / "b", *ONE)
    assert (shown.exit_code, "b.choice: only a choice is replaced" in shown.stderr) == (1, True)
    assert names(place / "b.choice") == ["notes.txt"]
