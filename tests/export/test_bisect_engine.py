"""Bisect in the engines of a bundle: OpenVINO itself, and TensorRT-RTX's builder with ONNX Runtime in place of a GPU."""

import json
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import onnx_ir as ir
import pytest
import tensorrt_rtx
from click.testing import CliRunner
from fnet_runtime.bundle.manifest import MODEL, OPENVINO, EngineInfo
from fnet_runtime.errors import NoDeviceError
from fnet_runtime.sessions.openvino_session import precision_on_cpu
from fnet_runtime.sessions.processor import saturates_int8
from support.bisecting import samples_of, subject_of
from support.fake_cuda import FakeCuda

from fnet_export.commands.cli import main
from fnet_export.engine import part as engine_part
from fnet_export.engine.library import library_from_name
from fnet_export.engine.part import engine_of_parts, inputs_from_shapes, with_float32_edges
from fnet_export.graph.parts import NodeByNode, OrtPart, part_from_graph
from fnet_export.parity.bisect.bisection import bisection_from_subject
from fnet_export.parity.bisect.cuts import cut_from_part

RTX = EngineInfo(
    file="model.engine",
    library="tensorrt_rtx",
    version=tensorrt_rtx.__version__,
    compute_capabilities=("8.9",),
    profiles=(),
)


def openvino_runs(precision):
    """Whether OpenVINO computes in a precision on this CPU."""
    return not (precision == "int8" and saturates_int8()) and precision_on_cpu(precision) == precision


def openvino_parts(precision):
    return engine_of_parts(library_from_name(OPENVINO), RTX, precision)


def with_wrong_gelu(engine, part, fed):
    """An engine that is wrong where it runs the GELU of block 0 together with the bias before it."""
    changed = part.clone()
    bias = [node.inputs[1] for node in changed.graph if node.name.startswith("encoder.blocks.0.intermediate/node_linear")]
    if bias and any(node.op_type == "Gelu" and node.name.startswith("encoder.blocks.0") for node in changed.graph):
        bias[0].const_value = ir.tensor(bias[0].const_value.numpy() + 3, name=bias[0].name)
    return engine(changed, fed)


@pytest.fixture(scope="module")
def in_fp32(checkpoint, tmp_path_factory):
    return subject_of(tmp_path_factory.mktemp("fp32"), checkpoint, target="openvino")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "int8"])
def test_nothing_departs_in_openvino(precision, checkpoint, tmp_path):
    if not openvino_runs(precision):
        pytest.skip(f"OpenVINO does not compute in {precision} on this CPU")
    healthy = subject_of(tmp_path, checkpoint, target="openvino", precision=precision)
    found = bisection_from_subject(healthy, samples_of(healthy), engine=openvino_parts(precision))
    assert found.place is None
    assert all(step.departure.error > 0 for step in found.steps)


def test_what_an_engine_does_wrong_is_placed(in_fp32):
    engine = partial(with_wrong_gelu, openvino_parts("fp32"))
    found = bisection_from_subject(in_fp32, samples_of(in_fp32), engine=engine)
    assert [step.module for step in found.steps if step.departure.departs] == ["fnet.encoder.layer.0"]
    assert (found.place.module, found.place.operator) == ("fnet.encoder.layer.0.intermediate.intermediate_act_fn", "Gelu")
    assert found.place.differs[0].startswith("run alone in ONNX Runtime, the node computes what it should; the engine departs")
    assert found.place.differs[1].startswith("up to the node before, encoder.blocks.0.intermediate/")


def test_a_wrong_graph_is_not_the_engines_fault(in_fp32):
    damaged = in_fp32.shipped.clone()
    norm = next(node for node in damaged.graph if node.name.startswith("encoder.embeddings.norm"))
    norm.attributes["epsilon"] = ir.AttrFloat32("epsilon", 1e-1)
    subject = replace(in_fp32, shipped=damaged)
    place = bisection_from_subject(subject, samples_of(subject), engine=openvino_parts("fp32")).place
    assert (place.operator, place.differs) == ("LayerNormalization", ("epsilon 0.1, not 1e-12",))


def test_no_cut_goes_through_eight_bits(checkpoint, tmp_path):
    """A wrong DequantizeLinear of an activation is placed with the QuantizeLinear before it, which no cut can separate."""
    subject = subject_of(tmp_path, checkpoint, precision="int8")
    part = part_from_graph(subject.shipped, ["layer_norm_2"], ["layer_norm_4"])
    values = {"layer_norm_2": np.random.default_rng(0).normal(size=(1, 32, 12))}

    def opened(cut):
        changed = cut.clone()
        products = [node for node in changed.graph if node.op_type == "DequantizeLinear" and not node.inputs[0].is_initializer()]
        if products:
            scale = products[0].inputs[1]
            name = f"{scale.name}_wrong"
            wrong = ir.Value(name=name, const_value=ir.tensor(1.5 * scale.const_value.numpy(), name=name))
            changed.graph.register_initializer(wrong)
            products[0].replace_input_with(1, wrong)
        return OrtPart(changed, name="changed")

    cut = cut_from_part(part, values, opened)
    assert cut.node.op_type == "DequantizeLinear"
    assert cut.differs[-1].startswith("no cut is possible between the nodes ")
    assert cut_from_part(part, values, lambda right: OrtPart(right, name="right")) is None


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_edges_are_float32_and_the_numbers_are_the_same(precision, checkpoint, tmp_path):
    subject = subject_of(tmp_path, checkpoint, precision=precision)
    stored = [value.name for node in subject.shipped.graph for value in node.outputs if value.dtype.bitwidth == 16]
    part = part_from_graph(subject.shipped, stored[3:4], stored[-1:])
    wide = with_float32_edges(part)
    assert {value.dtype for value in (*wide.graph.inputs, *wide.graph.outputs)} == {ir.DataType.FLOAT}
    values = {stored[3]: np.random.default_rng(0).normal(size=(2, 32, 12))}
    (narrow,), (from_wide,) = (NodeByNode(each).run(values).values() for each in (part, wide))
    assert np.array_equal(narrow.astype(np.float32), from_wide)


def test_axes_of_several_lengths_are_open(in_fp32):
    part = part_from_graph(in_fp32.shipped, [], ["linear"])
    names = [value.name for value in part.graph.inputs]
    inputs, ranges = inputs_from_shapes(
        part, [{name: np.zeros((rows, 32)) for name in ("input_ids", "token_type_ids")} for rows in (4, 1)]
    )
    assert {tensor.axes for tensor in inputs} == {("axis_4_1", 32)}
    assert [(name, profile.min, profile.max) for name, profile in ranges.items()] == [("axis_4_1", 1, 4)]
    same, none = inputs_from_shapes(part, [dict.fromkeys(names, np.zeros((4, 32)))])
    assert (same[0].axes, none) == ((4, 32), {})


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "fp8"])
def test_tensorrt_builds_every_step(precision, checkpoint, tmp_path, monkeypatch):
    """The real builder takes every part. ONNX Runtime opens the part's graph in place of the engine, which needs a GPU."""
    built = []

    def opened(options):
        built.append(options.file.stat().st_size)
        return OrtPart(ir.load(options.file.with_name(MODEL)), name="in place of an engine")

    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", FakeCuda())
    monkeypatch.setattr(engine_part, "session_from_options", opened)
    subject = subject_of(tmp_path, checkpoint, target="tensorrt-rtx", precision=precision)
    engine = engine_of_parts(library_from_name("tensorrt_rtx"), RTX, precision)
    found = bisection_from_subject(subject, samples_of(subject), engine=engine)
    assert found.place is None
    assert len(built) == len(found.steps) == 4
    if precision != "int8":  # whose rounding hides an error of this size
        wrong = bisection_from_subject(subject, samples_of(subject), engine=partial(with_wrong_gelu, engine))
        assert wrong.place.operator == "Gelu"


def test_an_engine_of_tensorrt_needs_a_gpu():
    with pytest.raises(NoDeviceError, match="no NVIDIA GPU on this host"):
        engine_of_parts(library_from_name("tensorrt_rtx"), RTX, "fp32")


def test_the_command(openvino_bundle):
    done = CliRunner().invoke(main, ["bisect", str(openvino_bundle), "--runtime", "openvino"])
    assert (done.exit_code, "fp32 in openvino against float64" in " ".join(done.stdout.split())) == (0, True), done.output
    values = json.loads(CliRunner().invoke(main, ["bisect", str(openvino_bundle), "--runtime", "openvino", "--json"]).stdout)
    assert (values["runtime"], values["passed"]) == ("openvino", True)
    other = CliRunner().invoke(main, ["bisect", str(openvino_bundle), "--runtime", "tensorrt"])
    assert (other.exit_code, other.stderr.splitlines()[-1]) == (
        1,
        f"error: {openvino_bundle}: has no engine for tensorrt; it opens with openvino and onnxruntime",
    )
