"""Half precision, executed wherever this host can; what computes in which precision:

- onnx.reference: the graph's own types, node by node in numpy; products (below) sum in float32 and round once, as tensor cores do.
- torch: the lowered model converted, in torch's half-precision kernels of the CPU.
- OpenVINO: the graph's types where the processor has them (bf16 with AVX-512 BF16 or AMX, fp16 with AVX-512 FP16), else float32
  with half-precision weights; the test reads back which.
- ONNX Runtime on a CPU: fp16 only; it puts casts around most nodes, so that products are float32 and what lies between is rounded.
"""

import math

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import openvino
import pytest
import torch
from fnet_runtime.bundle.manifest import AxisProfile
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from fnet_core.config import FNetConfig
from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.base.errors import GraphError
from fnet_export.engine.tensorrt import engine_from_graph, library_for_target
from fnet_export.graph.file import write_graph
from fnet_export.graph.lower import lowered_from_model
from fnet_export.graph.optimize import optimized_from_graph
from fnet_export.graph.trace import graph_from_model
from fnet_export.precision.half import HALVES, MASKED, half_from_graph

LENGTH, HIDDEN, VOCAB = 48, 40, 60
COSINE = {"fp16": 0.9999, "bf16": 0.998}
"""What every token has to reach against float64."""
FLOAT, FLOAT32_KIND = ir.DataType.FLOAT, "LayerNormalization"


class MatMul(OpRun):
    def _run(self, a, b):
        return ((a.astype(np.float32) @ b.astype(np.float32)).astype(a.dtype),)


class Gemm(OpRun):
    def _run(self, a, b, c=None, alpha=1.0, beta=1.0, transA=0, transB=0):
        a32, b32 = (x.astype(np.float32).T if t else x.astype(np.float32) for x, t in ((a, transA), (b, transB)))
        product = alpha * (a32 @ b32) + (0 if c is None else beta * c.astype(np.float32))
        return (product.astype(a.dtype),)


def wide_model(task="feature-extraction", *, std=0.02, length=LENGTH, hidden=HIDDEN, vocab=VOCAB, **changes):
    """LayerNorm weights and biases drawn wide, the rest as `std` says."""
    config = FNetConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        num_hidden_layers=3,
        intermediate_size=2 * hidden,
        max_position_embeddings=length,
        **changes,
    )
    torch.manual_seed(1)
    model = FNet(config, TASKS[task]).eval()
    for module in model.modules():
        for value in module.parameters(recurse=False):
            torch.nn.init.normal_(value, std=0.3 if isinstance(module, torch.nn.LayerNorm) else std)
    return model


def worst_inputs(model):
    """Padding alone, one repeated token, a short text and its padding, any ids."""
    length, draw = model.sequence_length, np.random.default_rng(2).integers(0, VOCAB, model.sequence_length)
    padding = np.full(length, model.config.pad_token_id)
    ids = np.stack([padding, np.full(length, 17), np.where(np.arange(length) < length // 4, draw, padding), draw])
    inputs = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
    return inputs | ({"attention_mask": (ids != padding).astype(np.int64)} if model.task.attends else {})


def reference(model, inputs):
    own = FNet(model.config, model.task, dtype=torch.float64).eval()
    own.load_state_dict({key: value.double() for key, value in model.state_dict().items()})
    with torch.no_grad():
        return [output.numpy() for output in own(**{name: torch.from_numpy(ids) for name, ids in inputs.items()})]


def half_graph(model, precision, transform="folded", *, scaled=True):
    return half_from_graph(optimized_from_graph(graph_from_model(lowered_from_model(model, transform, scaled=scaled))), precision)


def run_by_reference(graph, inputs):
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is for the test to find
        return ReferenceEvaluator(ir.to_proto(graph), new_ops=[MatMul, Gemm]).run(None, inputs)


def smallest_cosine(outputs, wanted):
    """Over all tokens of all outputs."""
    cosines = []
    for found, right in zip(outputs, wanted, strict=True):
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        found = found.astype(np.float64)
        norms = np.linalg.norm(found, axis=-1) * np.linalg.norm(right, axis=-1)
        cosines.append(((found * right).sum(axis=-1) / norms).min())
    return min(cosines)


@pytest.mark.parametrize("std", [0.02, 0.3])
@pytest.mark.parametrize("transform", ["dft", "folded", "factored"])
@pytest.mark.parametrize("precision", HALVES)
def test_worst_inputs_by_the_reference_evaluator(precision, transform, std):
    model = wide_model(std=std)
    inputs = worst_inputs(model)
    outputs = run_by_reference(half_graph(model, precision, transform), inputs)
    assert smallest_cosine(outputs, reference(model, inputs)) >= COSINE[precision]


@pytest.mark.parametrize("transform", ["dft", "folded", "factored"])
@pytest.mark.parametrize("precision", HALVES)
def test_worst_inputs_by_torch(precision, transform):
    model = wide_model()
    inputs = worst_inputs(model)
    lowered = lowered_from_model(model, transform, scaled=True).to({"fp16": torch.float16, "bf16": torch.bfloat16}[precision])
    with torch.no_grad():
        outputs = [output.float().numpy() for output in lowered(**{name: torch.from_numpy(ids) for name, ids in inputs.items()})]
    assert smallest_cosine(outputs, reference(model, inputs)) >= COSINE[precision]


@pytest.mark.parametrize(("precision", "capability", "executed"), [("fp16", "FP16", "f16"), ("bf16", "BF16", "bf16")])
def test_worst_inputs_by_openvino(precision, capability, executed):
    model = wide_model()
    inputs = worst_inputs(model)
    core = openvino.Core()
    # f32 is what OpenVINO may not go below of itself; types in the graph stay as they are, LayerNormalization too
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    read = core.read_model(ir.to_proto(half_graph(model, precision)).SerializeToString(), b"")
    compiled = core.compile_model(read, "CPU", settings)
    found = compiled(inputs)
    assert smallest_cosine([found[output] for output in compiled.outputs], reference(model, inputs)) >= COSINE[precision]
    native = capability in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    kinds = [
        (info["layerType"], info["runtimePrecision"])
        for info in (op.get_rt_info() for op in compiled.get_runtime_model().get_ops())
    ]
    kinds = [tuple(getattr(part, "value", part) for part in kind) for kind in kinds]
    assert {kind for layer, kind in kinds if layer in ("FullyConnected", "MatMul")} == {executed if native else "f32"}
    assert {kind for layer, kind in kinds if layer == "MVN"} == {"f32"}


def test_worst_inputs_by_onnxruntime():
    model = wide_model()
    inputs = worst_inputs(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    data = ir.to_proto(half_graph(model, "fp16")).SerializeToString()
    outputs = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, inputs)
    assert smallest_cosine(outputs, reference(model, inputs)) >= COSINE["fp16"]


@pytest.mark.parametrize("transform", ["dft", "folded", "factored"])
@pytest.mark.parametrize("task", ["feature-extraction", "sequence-classification"])
def test_fp16_ends_where_the_unscaled_form_does_not(task, transform):
    mean, length, hidden = 4.0, 128, 192
    model = wide_model(task, std=0.3, length=length, hidden=hidden)
    torch.nn.init.constant_(model.encoder.embeddings.projection.bias, mean)
    assert length * hidden * mean > float(np.finfo(np.float16).max)
    inputs = worst_inputs(model)
    scaled, plain = (run_by_reference(half_graph(model, "fp16", transform, scaled=scaled), inputs) for scaled in (True, False))
    assert smallest_cosine(scaled, reference(model, inputs)) >= COSINE["fp16"]
    assert not all(np.isfinite(output).all() for output in plain)


@pytest.mark.parametrize("precision", HALVES)
def test_tokens_that_do_not_count_make_no_nan(precision):
    model = wide_model(attention_layers=(1,), num_attention_heads=4)
    inputs = worst_inputs(model)
    assert not inputs["attention_mask"][0].any()
    outputs = run_by_reference(half_graph(model, precision), inputs)
    assert smallest_cosine(outputs, reference(model, inputs)) >= COSINE[precision]


@pytest.mark.parametrize("opset", [18, 20])
@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("task", TASKS)
def test_every_head_keeps_its_tensors(task, precision, opset):
    lowered = lowered_from_model(wide_model(task), "folded", scaled=True)
    traced = graph_from_model(lowered, opset=opset)
    for graph in (traced, optimized_from_graph(traced)):
        before = ir.to_proto(graph).SerializeToString(deterministic=True)
        half = half_from_graph(graph, precision)
        assert ir.to_proto(graph).SerializeToString(deterministic=True) == before
        for found, given in ((half.graph.inputs, graph.graph.inputs), (half.graph.outputs, graph.graph.outputs)):
            assert [(v.name, v.dtype, v.shape) for v in found] == [(v.name, v.dtype, v.shape) for v in given]
        _check_types(half, HALVES[precision])
        again = half_from_graph(graph, precision)
        assert ir.to_proto(half).SerializeToString() == ir.to_proto(again).SerializeToString()


@pytest.mark.parametrize("precision", HALVES)
def test_a_tied_decoder_stays_one_table(precision):
    vocab = 210  # with 40 units above the 8,192 numbers below which the tracer folds the transpose
    half = half_graph(wide_model("masked-lm", vocab=vocab, tie_word_embeddings=True), precision)
    tables = [value for value in half.graph.initializers.values() if set(value.shape.numpy()) == {vocab, HIDDEN}]
    assert [value.dtype for value in tables] == [HALVES[precision]]


def _check_types(half, dtype):
    """float32 is in LayerNormalization, its weights and the casts around it, and in outputs; nowhere else."""
    norms = [node for node in half.graph if node.op_type == FLOAT32_KIND]
    casts = [node for node in half.graph if node.op_type == "Cast"]
    assert {value.dtype for node in norms for value in (*node.inputs, *node.outputs)} == {FLOAT}
    assert all({cast.inputs[0].dtype, cast.outputs[0].dtype} == {FLOAT, dtype} for cast in casts)
    rest = [node for node in half.graph if node not in norms and node not in casts]
    assert FLOAT not in {value.dtype for node in rest for value in (*node.inputs, *node.outputs) if value is not None}
    assert len(casts) == 2 * len(norms) + len([value for value in half.graph.outputs if value.producer().op_type == "Cast"])
    assert all(value.uses() for value in half.graph.initializers.values())


RTX = library_for_target("tensorrt-rtx")
BATCH = AxisProfile(min=1, opt=2, max=4)


@pytest.mark.parametrize("precision", HALVES)
def test_tensorrt_builds_attention(precision, tmp_path):
    write_graph(half_graph(wide_model(attention_layers=(1,), num_attention_heads=4), precision), tmp_path / "model.onnx")
    assert engine_from_graph(tmp_path / "model.onnx", library=RTX, profiles=[{"batch_size": BATCH}]).data


def graph_of(text, **weights):
    model = ir.from_proto(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {text}'))
    for name, array in weights.items():
        value = next(v for node in model.graph for v in node.inputs if v is not None and v.name == name)
        value.const_value = ir.tensor(np.array(array, np.float32), name=name)
        value.type, value.shape = ir.TensorType(FLOAT), ir.Shape(np.shape(array))
        model.graph.register_initializer(value)
    return model


BOTH = "g (int64[2] i) => (float[2, 3] y) { x = Gather(table, i) n = LayerNormalization(x, w) y = Mul(n, w) }"


def test_a_weight_that_both_kinds_read_becomes_two():
    half = half_from_graph(graph_of(BOTH, table=np.eye(3), w=[1.0, 2.0, 3.0]), "bf16")
    weights = {name: value.dtype for name, value in half.graph.initializers.items()}
    assert weights == {"table": ir.DataType.BFLOAT16, "w": FLOAT, "w_bf16": ir.DataType.BFLOAT16}
    (found,) = run_by_reference(half, {"i": np.array([0, 2])})
    normed = [[math.sqrt(2), -math.sqrt(0.5), -math.sqrt(0.5)], [-math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2)]]
    assert np.allclose(found, np.array(normed) * [1, 4, 9], rtol=0.01)


def test_a_cast_to_float_becomes_one_to_half():
    half = half_from_graph(
        graph_of("g (int64[2] i) => (float[2] y) { x = Cast<to = 1>(i) y = Mul(x, w) }", w=[0.5, MASKED]), "fp16"
    )
    assert [node.op_type for node in half.graph] == ["Cast", "Mul", "Cast"]
    (found,) = run_by_reference(half, {"i": np.array([3, 1])})
    assert found.tolist() == [1.5, -65504.0]


@pytest.mark.parametrize("precision", HALVES)
def test_nodes_that_are_kept_compute_in_float32(precision):
    """A module's nodes or one node: no cast between two of them, one cast for all that read the same, its weights as they were."""
    model = wide_model("sequence-classification")
    whole = optimized_from_graph(graph_from_model(lowered_from_model(model, "folded", scaled=True)))
    gelu = next(node.name for node in whole.graph if node.op_type == "Gelu")
    mixing = [node.name for node in whole.graph if node.name.startswith("encoder.blocks.0.mixing/")]
    kept = ["encoder.blocks.0.intermediate", gelu, "encoder.blocks.0.mixing", "head.classifier"]
    half = half_from_graph(whole, precision, keep=kept)
    nodes = {node.name: node for node in half.graph}
    product, bias = (node for node in half.graph if node.name.startswith("encoder.blocks.0.intermediate/"))
    for node in (product, bias, nodes[gelu], *(nodes[name] for name in mixing)):
        assert {value.dtype for value in (*node.inputs, *node.outputs) if value.dtype != ir.DataType.INT64} == {FLOAT}
    assert bias.inputs[0].producer() is product
    assert nodes[gelu].inputs[0].producer() is bias
    assert product.inputs[0].producer().op_type == FLOAT32_KIND
    assert nodes[gelu].outputs[0].uses()[0].node.op_type == "Cast"
    names = [value.name for node in half.graph for value in node.outputs]
    assert len(names) == len(set(names))
    assert half.graph.outputs[0].producer().name.startswith("head.classifier/")
    inputs = worst_inputs(model)
    assert smallest_cosine(run_by_reference(half, inputs), reference(model, inputs)) >= COSINE[precision]
    with pytest.raises(GraphError, match="keep in float32: no node or module of the graph is named ''; fnet-export bisect"):
        half_from_graph(whole, precision, keep=[""])
    with pytest.raises(GraphError, match="keep in float32: no node or module of the graph is named 'nothing'; fnet-export bisect"):
        half_from_graph(whole, precision, keep=["nothing"])


def test_a_weight_beyond_half_is_refused():
    graph = graph_of(BOTH, table=np.full((3, 3), 1e5), w=[1.0, 2.0, 3.0])
    with pytest.raises(
        GraphError, match="table: expected numbers up to 65504, where fp16 ends; found 100000; use another precision"
    ):
        half_from_graph(graph, "fp16")
    assert half_from_graph(graph, "bf16")
    with pytest.raises(GraphError, match="table: expected numbers up to .* found nan"):
        half_from_graph(graph_of(BOTH, table=np.full((3, 3), np.nan), w=[1.0, 2.0, 3.0]), "bf16")


def test_other_precisions_are_refused():
    with pytest.raises(GraphError, match="precision: expected fp16 or bf16 for a graph in half precision, found 'int8'"):
        half_from_graph(graph_of(BOTH, table=np.eye(3), w=[1.0, 2.0, 3.0]), "int8")
