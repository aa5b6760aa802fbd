import onnx_ir as ir
import pytest
import torch
from support.small_models import check_graphs, small_model

from fnet_core.tasks import TASKS
from fnet_export.base.errors import OptionError
from fnet_export.graph.lower import LoweredFNet, any_length_from_model, lowered_from_model
from fnet_export.graph.optimize import optimized_from_graph
from fnet_export.graph.trace import graph_from_model


@pytest.mark.parametrize("name", TASKS)
def test_traced_and_optimized_graphs_agree_with_float64_fft(name):
    check_graphs(name, "folded")


@pytest.mark.usefixtures("traced_anew")
def test_same_model_same_bytes_and_no_paths():
    first, second = (
        ir.to_proto(optimized_from_graph(graph_from_model(lowered_from_model(small_model("masked-lm"), "folded"))))
        for _ in range(2)
    )
    data = first.SerializeToString(deterministic=True)
    assert data == second.SerializeToString(deterministic=True)
    assert b".py" not in data


@pytest.mark.usefixtures("traced_anew")
@pytest.mark.parametrize("opset", [18, 20, 25])
def test_every_opset_that_is_accepted_is_traced(opset):
    graph = graph_from_model(small_model("masked-lm"), opset=opset)
    assert graph.opset_imports[""] == opset


@pytest.mark.parametrize("opset", [17, 26])
def test_other_opsets_are_refused(opset):
    with pytest.raises(OptionError, match=f"--opset: expected 18 to 25, found {opset}"):
        graph_from_model(small_model("masked-lm"), opset=opset)


@pytest.fixture
def decompositions(traced_anew, monkeypatch):
    """The models that torch.onnx captures a second time, one item each."""
    done, decompose = [], torch.export.ExportedProgram.run_decompositions

    def counted(program, table):
        done.append(program)
        return decompose(program, table)

    monkeypatch.setattr(torch.export.ExportedProgram, "run_decompositions", counted)
    return done


@pytest.mark.parametrize("task", ["sequence-classification", "token-classification", "multiple-choice"])
def test_a_lowered_model_is_captured_once(task, decompositions):
    for model in (lowered_from_model(small_model(task), "dft"), any_length_from_model(small_model(task))):
        graph_from_model(model)
    assert decompositions == []


def test_operators_without_a_translation_are_decomposed(decompositions, monkeypatch):
    graph_from_model(lowered_from_model(small_model("sequence-classification"), "fft"))
    assert len(decompositions) == 1
    monkeypatch.setattr(LoweredFNet, "_ordered", lambda _, ids: ids.to(torch.int32))  # torch's own table does not list it
    graph = graph_from_model(lowered_from_model(small_model("sequence-classification"), "dft"))
    assert len(decompositions) == 2
    assert "Cast" in {node.op_type for node in graph.graph}
