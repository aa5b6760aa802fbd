import json
import sys

import fnet_runtime
import numpy as np
import onnx
import openvino
import pytest
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import ALWAYS, IR, IR_DATA, MANIFEST, MODEL, UNLISTED, EngineInfo, manifest_from_folder
from fnet_runtime.sessions.openvino_session import OpenVinoSession
from support.checkpoints import save_tiny
from support.exports import CPP_ROW, export

from fnet_core.tasks import TASKS
from fnet_export.base.errors import EngineError
from fnet_export.commands import cli
from fnet_export.engine.openvino import ir_from_graph, openvino_library

LIBRARY = openvino_library()


@pytest.mark.parametrize("attends", [False, True], ids=["fourier", "hybrid"])
@pytest.mark.parametrize("task", TASKS)
def test_every_task_becomes_a_bundle_that_answers(task, attends, tmp_path):
    changes = {"attention_layers": (1,), "num_attention_heads": 4} if attends else {}
    checkpoint = save_tiny(tmp_path / "checkpoint", task, **changes)
    folder = export(checkpoint, tmp_path / "bundle", task=task, target="openvino", quick=False).folder
    assert sorted(p.name for p in folder.iterdir()) == sorted([*ALWAYS, *UNLISTED, IR, IR_DATA, "spiece.model", MANIFEST])
    pipe = fnet_runtime.load(folder, threads=1)
    assert isinstance(pipe.session._session, OpenVinoSession)
    assert ("attention_mask" in {tensor.name for tensor in pipe.manifest.inputs}) == attends
    assert all(check.passed for check in pipe.self_test())
    rows = json.loads((folder / "parity.json").read_text())["rows"]
    assert {row["name"] for row in rows if row["status"] != "passed"} == {CPP_ROW, *(["transformers"] if attends else [])}
    assert rows[-1]["name"] == "OpenVINO, model.xml"


def test_masked_lm_at_positions(tmp_path):
    checkpoint = save_tiny(tmp_path / "c", "masked-lm")
    folder = export(checkpoint, tmp_path / "b", task="masked-lm", predict_positions=2, target="openvino").folder
    pipe = fnet_runtime.load(folder)
    assert all(check.passed for check in pipe.self_test())
    assert len(pipe.fill_mask("[MASK] the [MASK] fox [MASK]").masks) == 3


@pytest.mark.usefixtures("traced_anew")
def test_same_input_same_bytes(checkpoint, tmp_path):
    first, second = (export(checkpoint, tmp_path / name, target="openvino").manifest for name in ("a", "b"))
    assert first == second
    assert first.engine == EngineInfo(
        file=IR, library="openvino", version=openvino.__version__, compute_capabilities=(), profiles=()
    )
    text = (tmp_path / "a" / IR).read_text()
    assert str(tmp_path) not in text


def test_names_axes_and_weights_survive(whole_bundle, tmp_path):
    ir_from_graph(whole_bundle / MODEL, tmp_path, library=LIBRARY)
    model = openvino.Core().read_model(tmp_path / IR)
    ports = {port.any_name: str(port.partial_shape) for port in (*model.inputs, *model.outputs)}
    assert ports == {"input_ids": "[?,32]", "token_type_ids": "[?,32]", "logits": "[?,3]"}
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(whole_bundle / MODEL).graph.initializer}
    found = {node.get_friendly_name(): node.data for node in model.get_ordered_ops() if node.get_type_name() == "Constant"}
    name = "model.encoder.embeddings.word.weight"
    assert found[name].dtype == np.float32
    np.testing.assert_array_equal(found[name], weights[name])


def test_weights_beside_the_graph(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("fnet_export.graph.file.write_graph.__kwdefaults__", {"external_above_bytes": 1000})
    folder = export(checkpoint, tmp_path / "b", target="openvino").folder
    assert {"model.onnx.data", IR, IR_DATA} <= set(manifest_from_folder(folder).files)
    assert all(check.passed for check in fnet_runtime.load(folder).self_test())


def test_a_graph_that_openvino_cannot_read(tmp_path):
    (tmp_path / MODEL).write_bytes(b"no graph")
    with pytest.raises(EngineError, match=r"model\.onnx: OpenVINO \S+ cannot convert it: .*"):
        ir_from_graph(tmp_path / MODEL, tmp_path, library=LIBRARY)


def test_without_openvino_the_plan_says_what_to_install(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    options = ["--task", "sequence-classification", "--target", "openvino", "--model", checkpoint, "--output", tmp_path / "b"]
    result = CliRunner().invoke(cli.main, [str(option) for option in [*options, "--json"]])
    assert result.exit_code == 4
    assert "install it: pip install 'openvino>=2026.0'" in json.loads(result.stdout)["error"]
    assert list(tmp_path.iterdir()) == []


def test_dry_run_expects_the_files(checkpoint, tmp_path):
    options = ["--task", "sequence-classification", "--target", "openvino", "--model", checkpoint, "--output", tmp_path / "b"]
    plan = json.loads(CliRunner().invoke(cli.main, [str(o) for o in [*options, "--dry-run", "--json"]]).stdout)
    assert "build the engine" in plan["stages"]
    files = export(checkpoint, tmp_path / "b", target="openvino").manifest.files
    assert set(plan["expected_bytes"]) == {*files, *UNLISTED, MANIFEST}
    assert 0.4 * plan["expected_bytes"][IR_DATA] < files[IR_DATA].size_bytes < plan["expected_bytes"][IR_DATA] + 40_000
