"""Ensembles of a Triton server: what is written, what is refused, and what their steps say of bad requests, with stand-ins."""

import dataclasses
import json

import fnet_runtime
import numpy as np
import pytest
from fnet_runtime.bundle.golden import golden_from_file
from fnet_runtime.bundle.manifest import GOLDEN, AxisProfile, EngineInfo, manifest_from_folder
from support.triton_backend import Request, TritonError, texts
from support.triton_models import asked, opened, steps_of, write
from support.triton_schema import config_of

from fnet_export.base.errors import OptionError, OutputError
from fnet_export.bundle.triton.ensemble import ensemble_folders
from fnet_export.bundle.triton.options import ServingOptions
from fnet_export.bundle.triton.releases import notes_of_form

SPAM = "sequence-classification"


def test_the_configurations_fit_each_other(bundles, tmp_path):
    folder = write(
        bundles("masked-lm"), tmp_path, form="ensemble", serving=ServingOptions(max_batch_size=4, threads=2, instances=3)
    )
    tokens, graph, answers = map(config_of, steps_of(folder))
    ensemble = config_of(folder)
    assert (ensemble.platform, ensemble.max_batch_size, graph.max_batch_size) == ("ensemble", 0, 4)
    assert (graph.backend, graph.default_model_filename, graph.instance_group[0].count) == ("onnxruntime", "model.onnx", 3)
    assert graph.parameters["intra_op_thread_count"].string_value == "2"
    assert tokens.parameters["max_rows"].string_value == "4"
    for before, after in ((tokens.output, graph.input), (graph.output, answers.input)):
        with_rows = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in before}
        for tensor in after:
            kind, dims = with_rows.get(tensor.name, (tensor.data_type, None))
            assert kind == tensor.data_type
            if dims is not None:
                assert list(tensor.dims) in (dims[1:], [-1, *dims])
    assert [tensor.name for tensor in ensemble.output] == [tensor.name for tensor in answers.output]


def test_the_graph_warms_up_with_a_golden_input(whole_bundle, tmp_path):
    folder = write(whole_bundle, tmp_path, form="ensemble")
    graph = steps_of(folder)[1]
    inputs = golden_from_file(whole_bundle / GOLDEN).cases[0].inputs
    (sample,) = config_of(graph).model_warmup
    assert set(sample.inputs) == set(inputs)
    for name, tensor in sample.inputs.items():
        data = np.frombuffer((graph / "warmup" / tensor.input_data_file).read_bytes(), "<i8").reshape(tensor.dims)
        assert data.tolist() == inputs[name][0].tolist()


def test_bad_requests_are_errors(bundles, tmp_path, monkeypatch):
    folder = write(bundles("question-answering"), tmp_path, form="ensemble", serving=ServingOptions(max_batch_size=2))
    many = asked(folder, monkeypatch, ["answer"], text=texts(["the fox"]), pair=texts(["the quick dog jumps over " * 40]))
    assert "rows of the graph, and this model runs 2 at most" in many.error.message
    two = asked(folder, monkeypatch, ["answer"], text=texts(["a"], ["b"]), pair=texts(["a"], ["b"]))
    assert (two.error.code, "expected one text, found 2" in two.error.message) == (TritonError.INVALID_ARG, True)
    masked = write(bundles("masked-lm"), tmp_path, name="masked", form="ensemble")
    no_mask = asked(masked, monkeypatch, ["answer"], text=texts(["the fox"]))
    assert "found no [MASK]" in no_mask.error.message


@pytest.mark.parametrize(
    "question",
    ["", "[]", "{}", '{"text": 1, "second": null, "top_k": 5}', '{"text": "a", "second": 1, "top_k": 5}', "[" * 5000],
)
def test_a_question_that_the_first_step_did_not_write(question, whole_bundle, tmp_path, monkeypatch):
    answers = opened(steps_of(write(whole_bundle, tmp_path, form="ensemble"))[2], monkeypatch)
    logits = np.zeros((1, 3), np.float32)
    (response,) = answers.execute([Request(question=np.array([question.encode()], np.object_), logits=logits)])
    assert (response.error.code, "expected what the first step" in response.error.message) == (TritonError.INVALID_ARG, True)


def test_outputs_that_do_not_fit_are_an_error(whole_bundle, tmp_path, monkeypatch):
    answers = opened(steps_of(write(whole_bundle, tmp_path, form="ensemble"))[2], monkeypatch)
    question = np.array([json.dumps({"text": "a", "second": None, "top_k": 5}).encode()], np.object_)
    for logits in (np.zeros((1, 2), np.float32), np.zeros((2, 3), np.float32)):
        (response,) = answers.execute([Request(question=question, logits=logits)])
        assert response.error.code == TritonError.INTERNAL


def test_a_part_that_was_altered_is_not_loaded(whole_bundle, tmp_path, monkeypatch):
    tokens = steps_of(write(whole_bundle, tmp_path, form="ensemble"))[0]
    bundle = tokens / "1" / "bundle"
    (bundle / "config.json").write_text("{}")
    with pytest.raises(fnet_runtime.BundleError, match=r"config.json: the file was altered"):
        opened(tokens, monkeypatch)
    (bundle / "manifest.json").unlink()
    with pytest.raises(fnet_runtime.BundleError, match="make the repository again"):
        opened(tokens, monkeypatch)


def test_an_ensemble_has_one_version(whole_bundle, tmp_path):
    write(whole_bundle, tmp_path, form="ensemble")
    with pytest.raises(OutputError, match="an ensemble has one version"):
        write(whole_bundle, tmp_path, form="ensemble", version=2)
    write(whole_bundle, tmp_path, form="ensemble", version=2, force=True)
    assert {path.name for path in tmp_path.glob("*/2")} == {"2"}
    assert not list(tmp_path.glob("*/1"))


def folders_of(bundle, manifest, **serving):
    return ensemble_folders("m", bundle, manifest, version=1, serving=ServingOptions(**serving))


def engine(library, **options):
    batch = {"batch_size": options.pop("batch", AxisProfile(min=1, opt=4, max=8))}
    values = {"file": "model.engine", "library": library, "version": "10.13.3.9", "compute_capabilities": ("8.9",)}
    lengths = [{"sequence_length": lengths} for lengths in options.pop("lengths", ())] or [{}]
    return EngineInfo(**values, profiles=tuple({**batch, **length} for length in lengths))


def test_backends_of_engines(whole_bundle, openvino_bundle, tmp_path):
    graph = config_of(steps_of(write(openvino_bundle, tmp_path, form="ensemble"))[1])
    assert (graph.backend, graph.default_model_filename) == ("openvino", "model.xml")
    assert sorted(path.name for path in (tmp_path / "model_graph" / "1").iterdir()) == ["model.bin", "model.xml"]
    assert any("bf16" in note for note in notes_of_form("ensemble", manifest_from_folder(openvino_bundle), "openvino"))

    manifest = manifest_from_folder(whole_bundle)
    lengths = (AxisProfile(min=1, opt=8, max=16), AxisProfile(min=17, opt=24, max=32))
    info = manifest.files["model.onnx"]
    built = dataclasses.replace(
        manifest, target="tensorrt", engine=engine("tensorrt", lengths=lengths), files={**manifest.files, "model.engine": info}
    )
    text = next(folder for folder in folders_of(whole_bundle, built) if folder.name == "m_graph").files["config.pbtxt"]
    assert 'platform: "tensorrt_plan"' in text
    assert 'profile: "0"\n  profile: "1"\n' in text.replace("    ", "  ")
    assert "kind: KIND_GPU" in text
    assert any("tritonserver:25.10-py3" in note for note in notes_of_form("ensemble", built, "tensorrt"))

    for profile, serving in ((AxisProfile(min=2, opt=4, max=8), {}), (AxisProfile(min=1, opt=1, max=4), {})):
        small = dataclasses.replace(built, engine=engine("tensorrt", batch=profile))
        with pytest.raises(OptionError, match="its engine takes . to . rows, and Triton sends 1 to 8"):
            folders_of(whole_bundle, small, **serving)
    rtx = dataclasses.replace(built, target="tensorrt-rtx", engine=engine("tensorrt_rtx"))
    with pytest.raises(OptionError, match="no backend for tensorrt-rtx, which is not TensorRT; use --form whole"):
        folders_of(whole_bundle, rtx)
    int8 = dataclasses.replace(manifest, precision="int8")
    with pytest.raises(OptionError, match="cannot multiply int8 exactly on every processor; use --form whole"):
        folders_of(whole_bundle, int8)
