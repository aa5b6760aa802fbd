"""The profiler of a TensorRT engine against stand-ins for the library and for CUDA, with the signatures of tensorrt-stubs."""

import json

import numpy as np
import pytest
import tensorrt_rtx
from fnet_runtime.bundle.manifest import AxisProfile, EngineBuild, EngineInfo, TensorInfo
from fnet_runtime.errors import LibraryError, NoDeviceError, SessionError
from support.fake_cuda import importer_of
from support.fake_engine import FakeMemory, ICudaEngine, fake_runtime

from fnet_export.engine.layers.tensorrt import layers_from_tensorrt, profiled_from_engine

INPUTS = [TensorInfo(name="x", dtype="int64", axes=("batch_size", "sequence_length"))]
LENGTHS = (AxisProfile(min=2, opt=3, max=4), AxisProfile(min=3, opt=6, max=8))
INSPECTED = json.dumps(
    {"Layers": [{"Name": "gemm", "LayerType": "gemm", "Inputs": [{"Format/Datatype": "Half"}]}, {"Name": "copy"}]}
)


def info(**more):
    ranges = {"batch_profile": {"batch_size": AxisProfile(min=1, opt=2, max=3)}, "length_profiles": ()}
    fixed = {"file": "model.engine", "library": "tensorrt", "version": "10.13.0.35", "compute_capabilities": ("8.9",)}
    return EngineInfo(**fixed | ranges | more)


def times(run):
    """The first run takes long, as it does on a GPU."""
    return [("gemm", 100.0 if run == 0 else 0.5 + run), ("gemm", 0.25)]


def asked(tmp_path, engine, *, cuda=None, length=3, rounds=3, **more):
    path = tmp_path / "model.engine"
    path.write_bytes(b"engine")
    importer = importer_of(tensorrt=fake_runtime(engine), cuda_bindings_runtime=cuda or FakeMemory())
    row = {"x": np.ones((1, length), np.int64)}
    return profiled_from_engine(path, info(**more), INPUTS, row, rounds=rounds, importer=importer)


def test_layers_have_the_median_of_the_runs_after_the_first(tmp_path):
    engine, cuda = ICudaEngine(text=INSPECTED, times=times), FakeMemory()
    profiled = asked(tmp_path, engine, cuda=cuda)
    assert profiled.runs == tuple((("gemm", 0.5 + run), ("gemm", 0.25)) for run in (1, 2, 3))
    assert (len(profiled.runs_ms), profiled.batch_size) == (3, 1)
    gemm, copy = layers_from_tensorrt(profiled.inspected, profiled.runs, {})
    assert (gemm.kind, gemm.precision, gemm.median_ms) == ("gemm", "fp16", 2.75)
    assert (copy.kind, copy.precision, copy.median_ms) == (None, None, None)
    (context,) = engine.contexts
    assert (context.runs, context.shapes, context.profiles) == (4, {"x": (1, 3)}, [])
    assert (cuda.allocated, cuda.copied, context.addresses) == (2, [(1, 24)], {"x": 1, "y": 2})
    assert (cuda.blocks, cuda.streams) == ({}, set())


def test_a_row_fills_the_least_batch_and_runs_in_the_profile_of_its_length(tmp_path):
    engine = ICudaEngine(text=INSPECTED, times=times)
    profiled = asked(
        tmp_path, engine, length=6, batch_profile={"batch_size": AxisProfile(min=2, opt=2, max=3)}, length_profiles=LENGTHS
    )
    assert (profiled.batch_size, engine.contexts[0].shapes, engine.contexts[0].profiles) == (2, {"x": (2, 6)}, [1])


def test_an_engine_without_weights_gets_them_and_one_for_newer_versions_may_run_code(tmp_path):
    engine = ICudaEngine(text=INSPECTED, times=times)
    asked(tmp_path, engine, build=EngineBuild(weight_stripped=True, version_compatible=True))
    assert (engine.refitted, engine.host_code) == (str(tmp_path / "model.onnx"), True)
    folder = tmp_path / "missing"
    folder.mkdir()
    with pytest.raises(SessionError, match=r"the weights of model\.onnx cannot be filled in: what the library logged"):
        asked(folder, engine, build=EngineBuild(weight_stripped=True))


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"contexts": False}, "could not create an execution context; usually the GPU is out of memory: what the library logged"),
        ({"executes": False}, "the engine failed: what the library logged"),
        ({"takes_shapes": False}, r"x: the engine refuses the shape \[1, 6\]: what the library logged"),
        ({"takes_profiles": False}, "the engine refuses its optimisation profile 1: what the library logged"),
    ],
)
def test_failures_are_told_and_nothing_stays_on_the_gpu(tmp_path, behaviour, message):
    cuda = FakeMemory()
    with pytest.raises(SessionError, match=message):
        asked(tmp_path, ICudaEngine(**behaviour), cuda=cuda, length=6, length_profiles=LENGTHS)
    assert (cuda.blocks, cuda.streams) == ({}, set())


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(SessionError, match=r"model\.engine: tensorrt 10\.13\.0\.35 cannot open it: what the library logged"):
        asked(tmp_path, None)
    with pytest.raises(NoDeviceError, match=r"expected a GPU of compute capability 8\.9, found 7\.5"):
        asked(tmp_path, ICudaEngine(), cuda=FakeMemory(capability=(7, 5)))
    nothing = FakeMemory()
    nothing.cudaGetDeviceCount = lambda: (0, 0)
    with pytest.raises(NoDeviceError, match="no NVIDIA GPU on this host"):
        asked(tmp_path, ICudaEngine(), cuda=nothing)
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
