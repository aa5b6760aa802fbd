import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from support.checkpoints import tiny_config

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.base.errors import GraphError
from fnet_export.graph.check import checked
from fnet_export.graph.optimize import OPTIMIZER, optimized_from_graph
from fnet_export.graph.passes.gelu import GeluPass
from fnet_export.graph.trace import graph_from_model


def traced(opset=20, act="gelu_new"):
    model = FNet(tiny_config(hidden_act=act), TASKS["question-answering"], transform="dft").eval()
    return graph_from_model(model, opset=opset)


def operators(graph):
    return [node.op_type for node in graph.graph]


@pytest.mark.parametrize(("act", "approximate"), [("gelu_new", "tanh"), ("gelu", "none")])
def test_gelu_becomes_one_operator(act, approximate):
    graph = optimized_from_graph(traced(act=act))
    found = [node for node in graph.graph if node.op_type == "Gelu"]
    assert len(found) == 2
    assert [node.attributes.get_string("approximate", "none") for node in found] == [approximate] * 2
    assert not {"Tanh", "Erf", "Pow"} & set(operators(graph))


@pytest.mark.parametrize(("opset", "act"), [(18, "gelu_new"), (20, "relu")])
def test_gelu_pass_leaves_what_it_cannot_write_or_find(opset, act):
    model = traced(opset, act)
    before = [node.op_type for node in model.graph]
    result = GeluPass()(model)
    assert (result.modified, [node.op_type for node in model.graph]) == (False, before)


def test_no_dead_or_duplicate_constants_and_nothing_left_to_do():
    graph = optimized_from_graph(traced())
    weights = graph.graph.initializers.values()
    assert all(value.uses() for value in weights)
    arrays = [value.const_value.numpy() for value in weights]
    values = [(a.shape, a.dtype, a.tobytes()) for a in arrays]
    assert len(set(values)) == len(values)
    assert not any(change(graph).modified for change in OPTIMIZER)


def test_a_graph_that_is_not_valid_is_refused():
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([helper.make_node("Rely", ["x"], ["y"])], "g", [value], [out])
    with pytest.raises(GraphError, match="the graph is not valid ONNX"):
        checked(ir.from_proto(helper.make_model(graph)), "the graph")


def test_a_tied_decoder_stands_once_and_an_untied_one_stays():
    for tied in (True, False):
        model = FNet(tiny_config(tie_word_embeddings=tied), TASKS["masked-lm"], transform="dft").eval()
        graph = optimized_from_graph(graph_from_model(model))
        sizes = [sorted(value.shape.numpy()) for value in graph.graph.initializers.values()]
        assert sizes.count(sorted([tiny_config().vocab_size, 12])) == (1 if tied else 2)
