"""The layers that int8 damages are found, ranked, and kept in float32 for the accuracy."""

import json

import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import MODEL
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.sessions.ort_session import OrtSession
from support.exports import options_from

from fnet_export.base.errors import EvaluationError, OptionError
from fnet_export.commands.cli import main
from fnet_export.evaluation.evaluation import records_of_pipeline
from fnet_export.graph.file import write_graph
from fnet_export.graph.optimize import QUANTISABLE, optimized_from_graph
from fnet_export.graph.trace import graph_from_model
from fnet_export.plan.graphs import lowered_from_plan
from fnet_export.plan.manifest import manifest_from_plan
from fnet_export.plan.plan import plan_from_options
from fnet_export.precision.calibrate import MINMAX, bounds_from_graph
from fnet_export.precision.quantised import TABLE, layers_from_model, products_from_graph
from fnet_export.precision.sensitivity import sensitivity_from_graph
from fnet_export.texts.emails import EMAILS
from fnet_export.texts.samples import samples_from_texts
from fnet_export.texts.text_files import texts_from_file

CLASSIFY = {"task": "sequence-classification", "target": "onnx"}
SPOILT = "encoder.embeddings.projection"


@pytest.fixture(scope="module")
def built_in(tmp_path_factory):
    """The built-in classifier's float32 graph for at most 64 tokens: its pipeline, bounds and samples."""
    folder = tmp_path_factory.mktemp("float32")
    plan = plan_from_options(
        options_from(**CLASSIFY, precision="int8", sequence_length=64, accept_drift=True, output=folder / "none")
    )
    lowered = lowered_from_plan(plan)
    graph, layers = optimized_from_graph(graph_from_model(lowered), QUANTISABLE), layers_from_model(lowered.model)
    write_graph(graph, folder / MODEL)
    manifest, tokenizer = manifest_from_plan(plan), plan.tokenizer.tokenizer
    pipeline = Pipeline(manifest=manifest, tokenizer=tokenizer, session=OrtSession(folder / MODEL, manifest.inputs), golden=folder)
    samples = samples_from_texts(
        plan.trained.task, tokenizer, texts_from_file(None).texts[:16], padding=plan.trained.padding, choices=1
    )
    products = products_from_graph(graph, layers)
    names = [str(product.activation.name) for product in products]
    bounds = bounds_from_graph(folder / MODEL, names, manifest.inputs, samples, MINMAX, cache=folder)
    return graph, products, layers, pipeline, bounds, samples


def test_nothing_is_kept_where_nothing_is_lost(built_in, tmp_path):
    graph, products, layers, pipeline, bounds, samples = built_in
    records = records_of_pipeline(EMAILS, pipeline, limit=40)
    found = sensitivity_from_graph(
        graph, "int8", bounds, layers, pipeline, records, samples, max_accuracy_drop=100, scratch=tmp_path
    )
    assert found.kept == ()
    assert set(found.damages) == {TABLE, *(product.module for product in products)}
    assert list(found.damages.values()) == sorted(found.damages.values(), reverse=True)
    assert 0 < max(found.damages.values()) < 0.05
    assert found.wanted == found.float32 - 100


def test_what_spoils_the_answers_is_kept_first(built_in, tmp_path):
    graph, products, layers, pipeline, bounds, samples = built_in
    (spoilt,) = (product for product in products if product.module == SPOILT)
    wrong = bounds | {str(spoilt.activation.name): 1e4}  # every activation of it is rounded to 0
    records = records_of_pipeline(EMAILS, pipeline)
    found = sensitivity_from_graph(graph, "int8", wrong, layers, pipeline, records, samples, max_accuracy_drop=0, scratch=tmp_path)
    assert next(iter(found.damages)) == SPOILT
    assert found.kept[0] == SPOILT
    assert len(found.kept) < len(found.damages)
    assert found.reached >= found.float32


def test_the_export_tells_what_it_kept(tmp_path):
    output = tmp_path / "bundle"
    arguments = ["--task", "sequence-classification", "--target", "onnx", "--precision", "int8", "--max-accuracy-drop", "1"]
    done = CliRunner().invoke(main, [*arguments, "--sequence-length", "64", "--accept-drift", "--output", str(output)])
    assert done.exit_code == 0, done.output
    assert "in float32 (" in done.output
    assert "kept in float32: nothing" in done.output
    found = json.loads((output / "parity.json").read_text())["sensitivity"]
    assert found["reached"] >= found["wanted"] == found["float32"] - 1
    assert json.loads((output / "manifest.json").read_text())["quantization"]["kept"] == found["kept"] == []


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"max_accuracy_drop": 1.0}, OptionError, "--max-accuracy-drop: is for int8 and fp8; found precision fp32"),
        ({"min_accuracy": 101.0}, OptionError, "--min-accuracy: expected points of 100, 0 to 100; found 101"),
        ({"max_accuracy_drop": 101.0, "precision": "int8"}, OptionError, "expected points of 100, 0 to 100; found 101"),
    ],
)
def test_limits_that_make_no_sense_are_refused(options, error, text):
    with pytest.raises(error, match=text):
        options_from(**CLASSIFY, **options)


def test_labelled_data_that_is_not_there_is_refused_before_work_begins(tmp_path):
    missing = {"precision": "int8", "max_accuracy_drop": 1.0, "evaluation": tmp_path / "none.jsonl"}
    with pytest.raises(EvaluationError, match=r"none.jsonl: cannot be read .*; expected labelled data in JSON Lines"):
        plan_from_options(options_from(**CLASSIFY, **missing, output=tmp_path / "bundle"))


def test_a_limit_without_labelled_data_of_the_task_is_refused(tmp_path):
    options = CLASSIFY | {"task": "masked-lm", "precision": "int8", "max_accuracy_drop": 1.0, "output": tmp_path / "bundle"}
    with pytest.raises(OptionError, match="is measured on labelled data of the task; add --evaluation FILE"):
        plan_from_options(options_from(**options))


def test_labels_are_checked_before_anything_is_made(tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "a", "label": "eggs"}')
    options = {"precision": "int8", "max_accuracy_drop": 1.0, "evaluation": data}
    with pytest.raises(
        EvaluationError, match=r"data.jsonl, line 1: label: 'eggs' is not a label of the model; expected one of ham"
    ):
        plan_from_options(options_from(task="sequence-classification", target="onnx", output=tmp_path / "b", **options))
