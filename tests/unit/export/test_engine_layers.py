"""The layers of an engine: what each library says of them, strange output included, and their sums on the page."""

import json

import pytest
from fnet_runtime.sessions.openvino_session import Operation

from fnet_export.engine.layers.layer import medians_from_runs
from fnet_export.engine.layers.onnxruntime import layers_from_onnxruntime
from fnet_export.engine.layers.openvino import layers_from_openvino, runs_from_averages
from fnet_export.engine.layers.tensorrt import layers_from_tensorrt
from fnet_export.parity.report.engine_layers import line_from_profile, slowest_first, sums_by_kind, sums_by_module

DENSE, ACTIVATION, MIXING = "fnet.encoder.layer.0.output.dense", "fnet.encoder.layer.0.act", "fnet.encoder.layer.1.fourier.self"
PLACES = {"a/MatMul": DENSE, "a_value": DENSE, "a/Gelu": ACTIVATION, "gelu_value": ACTIVATION, "b/MatMul": MIXING}


def node(name, kind, microseconds, outputs=("float",), **arguments):
    shapes = [{output: [1, 8]} for output in outputs]
    arguments = {"op_name": kind, "provider": "CPUExecutionProvider", "output_type_shape": shapes} | arguments
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": microseconds, "args": arguments}


def shown(layers):
    return [(layer.name, layer.modules, layer.kind, layer.precision, layer.median_ms) for layer in layers]


def operation(name, kind="FullyConnected", precision="f32", **more):
    return Operation(name=name, kind=kind, precision=precision, shape=(1, 8), **more)


def test_a_median_is_of_runs_and_a_name_that_occurs_twice_is_added_up():
    runs = [[("a", 1.0), ("b", 5.0), ("a", 2.0)], [("a", 4.0), ("b", 6.0)], [("b", 9.0), ("c", 1.0)]]
    assert medians_from_runs(runs) == {"a": 3.0, "b": 6.0, "c": 0.0}
    assert medians_from_runs([]) == {}


def test_onnxruntime():
    end = {"cat": "Session", "name": "model_run", "dur": 99}
    run = [
        node("a/MatMul", "MatMulIntegerToFloat", 20),
        node("FastGelu", "FastGelu", 5),
        node("b/MatMul", "MatMul", 7, ["float16"]),
    ]
    slow = [{**event, "dur": 50 * event["dur"]} for event in run]
    fence = {"cat": "Node", "name": "a/MatMul_fence_before", "dur": 1000}
    events = [
        {"cat": "Session", "name": "session_initialization", "dur": 9},
        *slow,
        end,
        *run,
        fence,
        end,
        *run,
        node("x", "Cast", 8, ["int64"]),
        end,
    ]
    layers = layers_from_onnxruntime(json.dumps(events), {"FastGelu": ["gelu_value"]}, PLACES)
    assert shown(layers) == [
        ("a/MatMul", (DENSE,), "MatMulIntegerToFloat", "int8", 0.02),
        ("FastGelu", (ACTIVATION,), "FastGelu", "fp32", 0.005),
        ("b/MatMul", (MIXING,), "MatMul", "fp16", 0.007),
        ("x", (), "Cast", "int64", 0.004),
    ]


@pytest.mark.parametrize("events", [[], [node("a", "Add", 1)], [{"name": "model_run", "cat": "Session"}] * 3])
def test_onnxruntime_without_layers(events):
    assert layers_from_onnxruntime(json.dumps(events), {}, PLACES) == ()


def test_onnxruntime_may_leave_out_what_it_knows():
    end = {"name": "model_run", "cat": "Session"}
    bare = {"cat": "Node", "name": "a_kernel_time", "dur": 3}
    assert shown(layers_from_onnxruntime(json.dumps([end, bare, bare, end]), {}, {})) == [("a", (), None, None, 0.006)]


def test_openvino_gives_averages_and_each_run_is_computed_from_them():
    times_us = [[900, 10], [20, 12], [24, 13], [22, 11]]
    averages = [
        [(name, sum(run[i] for run in times_us[:count]) // count / 1e3) for i, name in enumerate("ab")]
        for count in range(1, len(times_us) + 1)
    ]
    assert averages[-1][0][1] == 0.241  # which is what a careless reader would show for 22 microseconds
    runs = runs_from_averages(averages)
    assert [dict(run).keys() for run in runs] == [{"a", "b"}] * 3
    for count, (run, expected) in enumerate(zip(runs, times_us[1:], strict=True), 2):
        assert [ms * 1e3 for _, ms in run] == pytest.approx(expected, abs=count - 0.5)
    assert runs_from_averages([]) == runs_from_averages(averages[:1]) == []


def test_openvino_reports_nothing_of_a_node_that_takes_no_microsecond():
    averages = [[("a", 0.0), ("b", 0.004)], [("a", 0.0), ("b", 0.004)], [("a", 0.001), ("b", 0.004)]]
    assert runs_from_averages(averages)[0] == [("a", 0.0), ("b", pytest.approx(0.0045))]
    assert [name for name, ms in runs_from_averages(averages)[1] if ms] == ["a", "b"]


def test_openvino():
    operations = [
        operation("x", "Input", order=0),
        operation("Multiply_2", "Eltwise", "i32", layers=("Multiply_2", "b/MatMul"), order=3),
        operation("MVN_1", "MVN", reader="Multiply_2", layers=("MVN_1",), order=2),
        operation("a/MatMul/DequantizationMultiply", precision="i8", layers=("a/MatMul/Dequantize", "a/Gelu"), order=1),
        operation("b/MatMul___a/MatMul", "Reorder", "bf16", layers=("",), order=4),
        operation("circle", reader="circle", order=5),
        operation("to nowhere", "Reshape", "boolean", order=6),
        operation("constant", "Const"),
        operation("not reported", order=7),
    ]
    run = [(each.name, 1.0) for each in operations[:-1]]
    layers = layers_from_openvino(operations, [[*run, ("circle", 0.5), ("fused", 0.0)]], PLACES)
    assert shown(layers) == [
        ("a/MatMul/DequantizationMultiply", (DENSE, ACTIVATION), "FullyConnected", "int8", 1.0),
        ("MVN_1", (MIXING,), "MVN", "fp32", 1.0),
        ("Multiply_2", (MIXING,), "Eltwise", "int32", 1.0),
        ("b/MatMul___a/MatMul", (MIXING,), "Reorder", "bf16", 1.0),
        ("circle", (), "FullyConnected", "fp32", 1.5),
        ("to nowhere", (), "Reshape", "bool", 1.0),
    ]
    assert layers_from_openvino(operations, [], PLACES) == layers_from_openvino([], [run], PLACES) == ()


def inspected(*layers):
    return json.dumps({"Layers": layers, "I/O Tensors": []})


def test_tensorrt():
    half = {"Name": "t", "Format/Datatype": "Row major linear FP16 format"}
    text = inspected(
        {"Name": "gemm", "LayerType": "gemm", "Inputs": [half], "Metadata": "[ONNX Layer: a/MatMul]\x1f[ONNX Layer: a/Gelu]"},
        {"Name": "b/MatMul + x", "LayerType": "kgen", "Inputs": [half], "Weights": {"Type": "Float"}, "Metadata": ""},
        {"Name": "twice", "LayerType": "kgen", "Inputs": [{"Datatype": "Int8"}]},
        {"Name": "twice", "LayerType": "signal", "Inputs": [{"Datatype": "Int64"}]},
        {"Name": "untimed", "LayerType": "wait"},
    )
    run = [("gemm", 0.5), ("twice", 0.25), ("twice", 0.25), ("b/MatMul + x", 0.125), ("not inspected", 0.0625)]
    assert shown(layers_from_tensorrt(text, [run, run], PLACES)) == [
        ("gemm", (DENSE, ACTIVATION), "gemm", "fp16", 0.5),
        ("b/MatMul + x", (MIXING,), "kgen", "fp16 and fp32", 0.125),
        ("twice", (), "kgen and signal", "int8", 0.5),
        ("untimed", (), "wait", None, None),
        ("not inspected", (), None, None, 0.0625),
    ]


def test_tensorrt_with_names_alone():
    assert shown(layers_from_tensorrt(inspected("a/MatMul", "[HostToDeviceCopy]"), [[("a/MatMul", 1.0)]], PLACES)) == [
        ("a/MatMul", (DENSE,), None, None, 1.0),
        ("[HostToDeviceCopy]", (), None, None, None),
    ]


@pytest.mark.parametrize("text", ["", "{}", "[]", "no JSON", inspected(), inspected(""), '{"Layers": null}'])
def test_tensorrt_without_layers(text):
    assert layers_from_tensorrt(text, [[], []], PLACES) == ()
    assert shown(layers_from_tensorrt(text, [[("a/MatMul", 1.0)]], PLACES)) == [("a/MatMul", (DENSE,), None, None, 1.0)]


LAYERS = [
    {"name": "1", "modules": [DENSE, ACTIVATION], "kind": "gemm", "precision": "int8", "median_ms": 1.0},
    {"name": "2", "modules": [DENSE.replace("0", "11")], "kind": "gemm", "precision": "fp32", "median_ms": 2.0},
    {"name": "3", "modules": [], "kind": None, "precision": None, "median_ms": None},
    {"name": "4", "modules": [MIXING], "kind": "gemm", "precision": "int8", "median_ms": 5.0},
]


def test_sums_add_up_to_all():
    modules, kinds = sums_by_module(LAYERS), sums_by_kind(LAYERS)
    assert [(part.names, part.count, part.ms, part.share) for part in modules] == [
        (("fnet.encoder.layer.*.fourier.self",), 1, 5.0, 0.625),
        (("fnet.encoder.layer.*.output.dense",), 2, 3.0, 0.375),
        ((None,), 1, 0.0, 0.0),
    ]
    assert [(part.names, part.count, part.ms) for part in kinds] == [
        (("gemm", "int8"), 2, 6.0),
        (("gemm", "fp32"), 1, 2.0),
        ((None, None), 1, 0.0),
    ]
    assert [(number, layer["name"], share) for number, layer, share in slowest_first(LAYERS)] == [
        (4, "4", 0.625),
        (2, "2", 0.25),
        (1, "1", 0.125),
        (3, "3", 0.0),
    ]


def test_one_line_names_the_largest_modules():
    line = line_from_profile({"engine": "OpenVINO 2026.4.1", "layers": LAYERS})
    assert (
        line == "Time by module in OpenVINO 2026.4.1: fnet.encoder.layer.*.fourier.self 62%, fnet.encoder.layer.*.output.dense 38%"
    )
    assert line_from_profile({"engine": "TensorRT 10.13", "layers": LAYERS[2:3]}) is None
    assert line_from_profile({"engine": "TensorRT 10.13", "layers": []}) is None
