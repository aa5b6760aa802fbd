import onnx
import onnx_ir as ir
import pytest
from conftest import tiny_config
from google.protobuf.message import EncodeError
from onnx import TensorProto, helper

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.errors import GraphError
from fnet_export.optimize import OPTIMIZER, optimized_from_graph
from fnet_export.passes.gelu import GeluPass
from fnet_export.trace import TraceOptions, checked, graph_from_model


def traced(opset=20, act="gelu_new"):
    model = FNet(tiny_config(hidden_act=act), TASKS["question-answering"], mixing="dft").eval()
    return graph_from_model(model, TraceOptions(opset=opset))


def operators(graph):
    return [node.op_type for node in graph.graph.node]


@pytest.mark.parametrize(("act", "approximate"), [("gelu_new", "tanh"), ("gelu", "none")])
def test_gelu_becomes_one_operator(act, approximate):
    graph = optimized_from_graph(traced(act=act))
    found = [node for node in graph.graph.node if node.op_type == "Gelu"]
    assert len(found) == 2
    assert [next((a.s.decode() for a in node.attribute), "none") for node in found] == [approximate] * 2
    assert not {"Tanh", "Erf", "Pow"} & set(operators(graph))


@pytest.mark.parametrize(("opset", "act"), [(18, "gelu_new"), (20, "relu")])
def test_gelu_pass_leaves_what_it_cannot_write_or_find(opset, act):
    model = ir.from_proto(traced(opset, act))
    before = [node.op_type for node in model.graph]
    result = GeluPass()(model)
    assert (result.modified, [node.op_type for node in model.graph]) == (False, before)


def test_no_dead_or_duplicate_constants_and_nothing_left_to_do():
    graph = optimized_from_graph(traced())
    used = {name for node in graph.graph.node for name in node.input}
    assert {t.name for t in graph.graph.initializer} <= used
    arrays = [onnx.numpy_helper.to_array(t) for t in graph.graph.initializer]
    values = [(a.shape, a.dtype, a.tobytes()) for a in arrays]
    assert len(set(values)) == len(values)
    model = ir.from_proto(graph)
    assert not any(change(model).modified for change in OPTIMIZER)


def test_a_graph_that_is_not_valid_is_refused():
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    graph = helper.make_graph([helper.make_node("Rely", ["x"], ["x"])], "g", [value], [value])
    with pytest.raises(GraphError, match="the graph is not valid ONNX"):
        checked(helper.make_model(graph), "the graph")


def test_a_graph_of_more_than_a_protocol_buffer_holds_is_refused(monkeypatch):
    def too_large(*_, **__):
        raise EncodeError("Failed to serialize proto")

    monkeypatch.setattr(onnx.checker, "check_model", too_large)
    with pytest.raises(GraphError, match="the graph passes 2 GiB, which is all that a graph in memory can have"):
        checked(onnx.ModelProto(), "the graph")


def test_a_tied_decoder_stands_once_and_an_untied_one_stays():
    for tied in (True, False):
        model = FNet(tiny_config(tie_word_embeddings=tied), TASKS["masked-lm"], mixing="dft").eval()
        graph = optimized_from_graph(graph_from_model(model))
        sizes = [sorted(t.dims) for t in graph.graph.initializer]
        assert sizes.count(sorted([tiny_config().vocab_size, 12])) == (1 if tied else 2)
