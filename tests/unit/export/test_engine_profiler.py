"""The profiler of a TensorRT engine against stand-ins for the library and for CUDA, with the signatures of tensorrt-stubs."""

import gc
import json

import numpy as np
import pytest
import tensorrt_rtx
from fnet_runtime.bundle.manifest import AxisProfile, EngineBuild, EngineInfo, TensorInfo
from fnet_runtime.errors import LibraryError, NoDeviceError, SessionError
from support.fake_cuda import importer_of
from support.fake_trt import FakeStreams, fake_trt

from fnet_export.engine.layers.tensorrt import layers_from_tensorrt, profiled_from_engine

INPUTS = [TensorInfo(name="x", dtype="int64", axes=("batch_size", "sequence_length"))]
BATCH = {"batch_size": AxisProfile(min=1, opt=2, max=3)}
LENGTHS = [{"sequence_length": AxisProfile(min=low, opt=best, max=high)} for low, best, high in ((2, 3, 4), (3, 6, 8))]
INSPECTED = json.dumps(
    {"Layers": [{"Name": "gemm", "LayerType": "gemm", "Inputs": [{"Format/Datatype": "Half"}]}, {"Name": "copy"}]}
)


def info(*profiles, **more):
    fixed = {"file": "model.engine", "library": "tensorrt", "version": "1.7", "compute_capabilities": ("8.9",)}
    return EngineInfo(**fixed | more, profiles=profiles or (BATCH,))


def times(run):
    """The first run takes long, as it does on a GPU."""
    return [("gemm", 100.0 if run == 0 else 0.5 + run), ("gemm", 0.25)]


def asked(tmp_path, *profiles, cuda=None, length=3, rounds=3, build=None, **behaviour):
    path = tmp_path / "model.engine"
    path.write_bytes(b"engine")
    cuda = cuda or FakeStreams()
    importer = importer_of(tensorrt=fake_trt(cuda, **behaviour), cuda_bindings_runtime=cuda)
    row = {"x": np.ones((1, length), np.int64)}
    return profiled_from_engine(path, info(*profiles, build=build), INPUTS, row, rounds=rounds, importer=importer)


def test_layers_have_the_median_of_the_runs_after_the_first(tmp_path):
    cuda = FakeStreams()
    profiled = asked(tmp_path, cuda=cuda, inspected=INSPECTED, times=times)
    assert profiled.runs == tuple((("gemm", 0.5 + run), ("gemm", 0.25)) for run in (1, 2, 3))
    assert (len(profiled.runs_ms), profiled.batch_size) == (3, 1)
    gemm, copy = layers_from_tensorrt(profiled.inspected, profiled.runs, {})
    assert (gemm.kind, gemm.precision, gemm.median_ms) == ("gemm", "fp16", 2.75)
    assert (copy.kind, copy.precision, copy.median_ms) == (None, None, None)
    gc.collect()
    assert (cuda.executed, cuda.contexts_made, cuda.chosen, cuda.held) == (4, 1, [], 0)


def test_a_row_fills_the_least_batch_and_runs_in_the_profile_of_its_length(tmp_path):
    cuda, batch = FakeStreams(), {"batch_size": AxisProfile(min=2, opt=2, max=3)}
    profiled = asked(tmp_path, *({**batch, **lengths} for lengths in LENGTHS), cuda=cuda, length=6, times=times)
    assert (profiled.batch_size, [number for number, _ in cuda.chosen]) == (2, [1])


def test_an_engine_without_weights_gets_them_and_one_for_newer_versions_may_run_code(tmp_path):
    cuda = FakeStreams()
    asked(tmp_path, cuda=cuda, build=EngineBuild(weight_stripped=True, version_compatible=True))
    assert (cuda.refitted, cuda.host_code) == ([str(tmp_path / "model.onnx")], [True])


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"opens": False}, r"model\.engine: tensorrt 1\.7 cannot open it"),
        ({"contexts": 0}, "could not create an execution context; usually the GPU is out of memory"),
        ({"executes": False}, "the engine failed"),
        ({"accepts": False}, r"x: the engine refuses the shape \[1, 6\]"),
        ({"changes": False}, "the engine refuses its optimisation profile 1"),
    ],
)
def test_failures_are_told_and_nothing_stays_on_the_gpu(tmp_path, behaviour, message):
    cuda = FakeStreams()
    with pytest.raises(SessionError, match=message):
        asked(tmp_path, *({**BATCH, **lengths} for lengths in LENGTHS), cuda=cuda, length=6, **behaviour)
    gc.collect()
    assert cuda.held == 0


def test_what_cannot_be_asked(tmp_path):
    with pytest.raises(NoDeviceError, match="no NVIDIA GPU on this host"):
        asked(tmp_path, cuda=FakeStreams(devices=(0, 0)))
    with pytest.raises(LibraryError, match=r"cuda\.bindings\.runtime cannot be imported"):
        profiled_from_engine(tmp_path / "e", info(), INPUTS, {}, rounds=1, importer=importer_of())


def test_tensorrt_rtx_has_what_the_profiler_needs():
    """The one library whose bindings are installed here."""
    for kind, names in {
        "IProfiler": ("report_layer_time",),
        "EngineInspector": ("get_engine_information",),
        "ICudaEngine": (
            "create_engine_inspector",
            "create_execution_context",
            "num_io_tensors",
            "get_tensor_name",
            "get_tensor_mode",
        ),
        "IExecutionContext": ("profiler", "execute_async_v3", "set_input_shape", "set_tensor_address", "get_tensor_shape"),
        "LayerInformationFormat": ("JSON",),
    }.items():
        assert [name for name in names if not hasattr(getattr(tensorrt_rtx, kind), name)] == []
