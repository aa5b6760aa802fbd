"""The TensorRT session against stand-ins for the library and for CUDA, whose device memory is host memory."""

import gc
import inspect
import subprocess
import sys
import threading
from contextlib import suppress

import cuda.bindings.runtime
import numpy as np
import pytest
import tensorrt_rtx
from fnet_runtime.bundle.manifest import AxisProfile, EngineBuild, EngineInfo, TensorInfo
from fnet_runtime.errors import InputError, LibraryError, NoDeviceError, OptionError, SessionError
from fnet_runtime.sessions.trt_lane import MAX_GRAPHS
from fnet_runtime.sessions.trt_session import CONTEXTS, TrtOptions, TrtSession
from support.fake_cuda import importer_of
from support.fake_trt import FakeStreams, fake_trt
from support.threads import differing

INPUTS = [TensorInfo(name="x", dtype="int64", axes=("batch_size", 2))]
INFO = EngineInfo(
    file="model.engine",
    library="tensorrt_rtx",
    version="1.7",
    compute_capabilities=("8.9",),
    profiles=({"batch_size": AxisProfile(min=1, opt=2, max=3)},),
)
TENSORRT = EngineInfo(**vars(INFO) | {"library": "tensorrt"})
OPEN = [TensorInfo(name="x", dtype="int64", axes=("batch_size", "sequence_length"))]
RANGES = [{"sequence_length": AxisProfile(min=low, opt=best, max=high)} for low, best, high in ((2, 3, 4), (3, 6, 8))]
LENGTHS = EngineInfo(**vars(INFO) | {"profiles": tuple({**INFO.profiles[0], **lengths} for lengths in RANGES)})


def opened(tmp_path, *, cuda=None, info=INFO, inputs=INPUTS, options=None, trt=None, **behaviour):
    path = tmp_path / "model.engine"
    path.write_bytes(b"engine")
    cuda = cuda or FakeStreams()
    modules = {info.library: trt or fake_trt(cuda, **behaviour), "cuda.bindings.runtime": cuda}

    def importer(name):
        if name not in modules:
            raise ImportError(f"No module named {name!r}")
        return modules[name]

    return TrtSession(path, info, inputs, options=options or TrtOptions(), importer=importer)


def test_runs_batches_of_any_size_and_frees_what_it_took(tmp_path):
    cuda = FakeStreams()
    session = opened(tmp_path, cuda=cuda)
    for rows in (1, 3, 2):
        x = np.arange(2 * rows, dtype=np.int64).reshape(rows, 2)
        np.testing.assert_array_equal(session.run({"x": x})["y"], x.sum(axis=1))
    assert cuda.grown == 2  # both buffers grew once
    session.close()
    assert cuda.held == 0
    session.close()


def test_outputs_belong_to_the_caller(tmp_path):
    session = opened(tmp_path, contexts=1)
    first = session.run({"x": np.full((2, 2), 1, np.int64)})["y"]
    session.run({"x": np.full((2, 2), 9, np.int64)})
    session.close()
    assert first.tolist() == [2, 2]


@pytest.mark.parametrize("info", [INFO, TENSORRT], ids=["own graphs", "captured"])
@pytest.mark.parametrize("cuda_graph", [False, True], ids=["ordinary", "graphs"])
@pytest.mark.parametrize(
    ("limits", "options", "lanes"),
    [
        ({}, {}, CONTEXTS),
        ({}, {"contexts": 1}, 1),
        ({}, {"contexts": 5}, 5),
        ({"cudaStreamCreateWithFlags": 1}, {}, 1),
    ],
    ids=["two", "one", "five", "streams"],
)
def test_any_number_of_threads_share_the_lanes(tmp_path, info, cuda_graph, limits, options, lanes):
    cuda = FakeStreams(**limits)
    session = opened(tmp_path, cuda=cuda, info=info, options=TrtOptions(device=1, cuda_graph=cuda_graph, **options))
    requests = [{"x": np.full((1 + i % 3, 2), i, np.int64)} for i in range(16)]
    assert differing(lambda request: session.run(request)["y"].tolist(), requests) == []
    captured = cuda_graph and info is TENSORRT
    assert 1 <= len(cuda.streams) <= lanes
    assert (len(cuda.host_memory), len(cuda.device_memory)) == (2 * len(cuda.streams), (2 + captured) * len(cuda.streams))
    assert cuda.used == {1}
    assert (cuda.launches > 0) == captured
    session.close()
    gc.collect()
    assert cuda.held == 0
    with pytest.raises(SessionError, match="the session is closed; open the bundle again"):
        session.run(requests[0])


# ---- CUDA graphs


def test_the_second_run_of_a_shape_is_one_launch(tmp_path):
    cuda = FakeStreams()
    session = opened(tmp_path, cuda=cuda, info=TENSORRT, options=TrtOptions(cuda_graph=True))
    launches = []
    for number, rows in enumerate((3, 1, 3, 1, 1, 2, 3)):  # the buffers never grow
        x = np.full((rows, 2), number, np.int64)
        np.testing.assert_array_equal(session.run({"x": x})["y"], x.sum(axis=1))
        launches.append(cuda.launches)
    assert launches == [0, 0, 1, 2, 3, 3, 4]
    assert (cuda.made_graphs, cuda.executed) == (3, 2 * 3)  # once to run and once to capture
    session.close()
    gc.collect()
    assert cuda.held == 0


def test_without_the_option_nothing_is_captured(tmp_path):
    cuda = FakeStreams()
    session = opened(tmp_path, cuda=cuda, info=TENSORRT)
    for _ in range(3):
        session.run({"x": np.ones((1, 2), np.int64)})
    assert (cuda.made_graphs, cuda.launches, cuda.executed, cuda.contexts_made) == (0, 0, 3, 1)


def test_a_buffer_that_grows_takes_its_graphs_along(tmp_path):
    cuda = FakeStreams()
    session = opened(tmp_path, cuda=cuda, info=TENSORRT, options=TrtOptions(cuda_graph=True))
    for rows in (1, 1, 3, 1, 1, 3):
        x = np.full((rows, 2), 10 * rows, np.int64)
        np.testing.assert_array_equal(session.run({"x": x})["y"], x.sum(axis=1))
    assert (cuda.made_graphs, len(cuda.graphs), cuda.launches) == (3, 2, 3)


def test_a_lane_keeps_a_bounded_number_of_graphs(tmp_path):
    cuda = FakeStreams()
    info = EngineInfo(**vars(TENSORRT) | {"profiles": ({"batch_size": AxisProfile(min=1, opt=2, max=64)},)})
    session = opened(tmp_path, cuda=cuda, info=info, options=TrtOptions(cuda_graph=True))
    for rows in range(MAX_GRAPHS + 2, 0, -1):
        session.run({"x": np.ones((rows, 2), np.int64)})
        assert len(cuda.graphs) <= MAX_GRAPHS
    gc.collect()
    assert (cuda.made_graphs, len(cuda.graphs), cuda.contexts_alive) == (MAX_GRAPHS + 2, 2, 2)


def test_a_graph_has_the_profile_of_its_length(tmp_path):
    cuda = FakeStreams()
    info = EngineInfo(**vars(LENGTHS) | {"library": "tensorrt"})
    session = opened(tmp_path, cuda=cuda, info=info, inputs=OPEN, options=TrtOptions(cuda_graph=True))
    for length in (8, 2, 8, 2, 8):
        x = np.full((2, length), length, np.int64)
        np.testing.assert_array_equal(session.run({"x": x})["y"], x.sum(axis=1))
    assert [profile for profile, _ in cuda.chosen] == [1]  # a context of its own for each graph
    assert cuda.launches == 3


@pytest.mark.parametrize("call", ["cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"])
def test_a_run_that_cannot_be_captured(tmp_path, call):
    cuda = FakeStreams(**{call: 0})
    session = opened(tmp_path, cuda=cuda, info=TENSORRT, options=TrtOptions(cuda_graph=True, contexts=1))
    for _ in range(2):
        with pytest.raises(
            SessionError, match=rf"a run cannot become a CUDA graph \(CUDA failed \({call}: \d+\)\); open the bundle without"
        ):
            session.run({"x": np.ones((1, 2), np.int64)})
    assert (cuda.capturing, cuda.graphs, cuda.forgotten_errors, gc.isenabled()) == ({}, {}, 2, True)
    del cuda.fails[call]
    assert session.run({"x": np.ones((1, 2), np.int64)})["y"].tolist() == [2]
    session.close()
    gc.collect()
    assert cuda.held == 0


def test_an_engine_that_fails_in_a_capture(tmp_path):
    cuda = FakeStreams()
    session = opened(tmp_path, cuda=cuda, info=TENSORRT, options=TrtOptions(cuda_graph=True), executes=2)
    with pytest.raises(SessionError, match=r"a run cannot become a CUDA graph \(the engine failed: one; two"):
        session.run({"x": np.ones((1, 2), np.int64)})
    assert (cuda.capturing, cuda.graphs, cuda.forgotten_errors) == ({}, {}, 1)
    session.close()
    gc.collect()
    assert cuda.held == 0


def test_a_launch_that_fails(tmp_path):
    cuda = FakeStreams(cudaGraphLaunch=0)
    session = opened(tmp_path, cuda=cuda, info=TENSORRT, options=TrtOptions(cuda_graph=True))
    session.run({"x": np.ones((1, 2), np.int64)})
    with pytest.raises(SessionError, match="cudaGraphLaunch: 2"):
        session.run({"x": np.ones((1, 2), np.int64)})


def test_tensorrt_rtx_makes_its_graphs_itself(tmp_path):
    cuda = FakeStreams()
    trt = fake_trt(cuda)
    session = opened(tmp_path, cuda=cuda, trt=trt, options=TrtOptions(cuda_graph=True))
    for rows in (1, 2, 1):
        x = np.full((rows, 2), rows, np.int64)
        np.testing.assert_array_equal(session.run({"x": x})["y"], x.sum(axis=1))
    assert (cuda.made_graphs, cuda.executed, cuda.contexts_made, cuda.capturing_contexts) == (0, 3, 1, 1)
    del trt.CudaGraphStrategy
    with pytest.raises(
        SessionError, match=r"tensorrt_rtx 1\.7 makes no CUDA graphs; expected 1\.3 or newer\. Open the bundle without"
    ):
        opened(tmp_path, cuda=cuda, trt=trt, options=TrtOptions(cuda_graph=True))


# ---- what is freed


@pytest.mark.parametrize("info", [INFO, TENSORRT], ids=["own graphs", "captured"])
@pytest.mark.parametrize("cuda_graph", [False, True], ids=["ordinary", "graphs"])
def test_a_session_that_nobody_closed_frees_everything(tmp_path, info, cuda_graph):
    cuda = FakeStreams()
    session = opened(tmp_path, cuda=cuda, info=info, options=TrtOptions(device=1, cuda_graph=cuda_graph))
    for _ in range(2):
        session.run({"x": np.ones((2, 2), np.int64)})
    assert cuda.held > 0
    cuda.cudaSetDevice(0)
    del session
    gc.collect()
    assert (cuda.held, cuda.cudaGetDevice()) == (0, (0, 0))


@pytest.mark.parametrize("cuda_graph", [False, True], ids=["ordinary", "graphs"])
@pytest.mark.parametrize("call", ["cudaStreamCreateWithFlags", "cudaMalloc", "cudaHostAlloc", "cudaMemcpyAsync"])
@pytest.mark.parametrize("after", range(4))
def test_a_failure_half_way_leaks_nothing(tmp_path, cuda_graph, call, after):
    cuda = FakeStreams(**{call: after})
    try:
        session = opened(tmp_path, cuda=cuda, info=TENSORRT, options=TrtOptions(cuda_graph=cuda_graph))
    except SessionError:
        gc.collect()
        assert cuda.held == 0
        return
    for rows in (1, 3, 2):
        with suppress(SessionError):
            x = np.full((rows, 2), rows, np.int64)
            np.testing.assert_array_equal(session.run({"x": x})["y"], x.sum(axis=1))
    cuda.fails.clear()
    assert session.run({"x": np.ones((3, 2), np.int64)})["y"].tolist() == [2, 2, 2]
    session.close()
    gc.collect()
    assert cuda.held == 0


def test_a_context_that_cannot_be_made_leaks_nothing(tmp_path):
    cuda = FakeStreams()
    with pytest.raises(SessionError, match="could not create an execution context"):
        opened(tmp_path, cuda=cuda, contexts=0)
    assert cuda.held == 0


def test_closing_waits_for_a_run(tmp_path):
    cuda = FakeStreams()
    session = opened(tmp_path, cuda=cuda)
    entered, go_on, events = threading.Event(), threading.Event(), []
    wait = cuda.cudaStreamSynchronize

    def slow(stream):
        entered.set()
        go_on.wait(20)
        events.append("run")
        return wait(stream)

    cuda.cudaStreamSynchronize = slow
    answers = []
    runner = threading.Thread(target=lambda: answers.append(session.run({"x": np.ones((1, 2), np.int64)})["y"].tolist()))
    runner.start()
    assert entered.wait(20)
    closer = threading.Thread(target=lambda: (session.close(), events.append("closed")))
    closer.start()
    closer.join(0.1)
    assert closer.is_alive()
    go_on.set()
    runner.join()
    closer.join()
    assert (events, answers, cuda.held) == (["run", "closed"], [[2]], 0)


def test_a_program_may_end_with_an_open_session(tmp_path):
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
import numpy as np
from unit.runtime.test_trt_session import TENSORRT, opened
from fnet_runtime.sessions.trt_session import TrtOptions
session = opened(Path({str(tmp_path)!r}), info=TENSORRT, options=TrtOptions(cuda_graph=True))
for _ in range(2):
    print(session.run({{"x": np.ones((1, 2), np.int64)}})["y"].tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[2.0]\n[2.0]\n", "")


# ---- options, and the signatures of the stand-in


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"contexts": 0}, "contexts: expected 1 to 64, found 0"),
        ({"contexts": 65}, "contexts: expected 1 to 64, found 65"),
        ({"contexts": True}, "contexts: expected 1 to 64, found True"),
        ({"device": -1}, "device: expected the number of a GPU, from 0; found -1"),
        ({"device": "0"}, "device: expected the number of a GPU, from 0; found '0'"),
        ({"cuda_graph": 1}, "cuda_graph: expected true or false, found 1"),
    ],
)
def test_options_that_are_refused(option, message):
    with pytest.raises(OptionError) as refused:
        TrtOptions(**option)
    assert str(refused.value) == message


def test_a_gpu_that_is_not_there(tmp_path):
    cuda = FakeStreams()
    with pytest.raises(OptionError, match="device: expected 0 to 1, found 2"):
        opened(tmp_path, cuda=cuda, options=TrtOptions(device=2))
    assert cuda.held == 0


def test_the_stand_in_has_the_signatures_of_cuda():
    names = [name for name in vars(FakeStreams) if name.startswith("cuda") and inspect.isfunction(getattr(FakeStreams, name))]
    assert len(names) > 15
    for name in names:
        signature = getattr(cuda.bindings.runtime, name).__doc__.split("\n")[0]
        parts = signature.removeprefix(f"{name}(").removesuffix(")").split(",")
        expected = [part.split(":")[0].split()[-1] for part in parts if part.strip()]
        assert list(inspect.signature(getattr(FakeStreams, name)).parameters)[1:] == expected, signature
    for name in ("cudaHostAllocDefault", "cudaStreamNonBlocking"):
        assert getattr(cuda.bindings.runtime, name) == getattr(FakeStreams, name)
    for name in ("cudaMemcpyKind", "cudaStreamCaptureMode", "cudaDeviceAttr"):
        real = getattr(cuda.bindings.runtime, name)
        assert {member.name: int(member) for member in getattr(FakeStreams, name)}.items() <= {
            member.name: int(member) for member in real
        }.items()


def test_tensorrt_rtx_has_what_makes_its_graphs():
    assert hasattr(tensorrt_rtx.CudaGraphStrategy, "WHOLE_GRAPH_CAPTURE")
    assert hasattr(tensorrt_rtx.IRuntimeConfig, "cuda_graph_strategy")
    assert hasattr(tensorrt_rtx.ICudaEngine, "create_runtime_config")
    assert "runtime_config: " in tensorrt_rtx.ICudaEngine.create_execution_context.__doc__


# ---- weights, code, profiles


def test_an_engine_without_weights_takes_those_of_the_graph(tmp_path):
    stripped = EngineInfo(**vars(INFO) | {"build": EngineBuild(weight_stripped=True)})
    cuda = FakeStreams()
    opened(tmp_path, cuda=cuda, info=stripped)
    assert cuda.refitted == [str(tmp_path / "model.onnx")]
    with pytest.raises(SessionError, match=r"model\.engine: the weights of model\.onnx cannot be filled in: one; two"):
        opened(tmp_path, info=stripped, refits=False)
    opened(tmp_path, cuda=cuda)
    assert len(cuda.refitted) == 1


def test_only_an_engine_for_newer_versions_may_run_code(tmp_path):
    cuda = FakeStreams()
    for compatible in (False, True):
        info = EngineInfo(**vars(INFO) | {"build": EngineBuild(version_compatible=compatible)})
        opened(tmp_path, cuda=cuda, info=info)
    assert cuda.host_code == [False, True]


def test_a_run_that_fails_leaves_nothing_behind_for_the_next(tmp_path):
    cuda = FakeStreams()
    session = opened(tmp_path, cuda=cuda, executes=False)
    with pytest.raises(SessionError, match="the engine failed"):
        session.run({"x": np.ones((2, 2), np.int64)})
    assert list(cuda.streams.values()) == [[]]
    session.close()
    assert cuda.held == 0


def test_an_output_of_another_type_is_refused(tmp_path):
    with pytest.raises(SessionError, match=r"model\.engine: expected outputs in float32, found another type of y; export again"):
        opened(tmp_path, output="float16")


def test_batches_outside_the_profile(tmp_path):
    with pytest.raises(InputError, match="expected what the engine was built for: batch_size 1 to 3; found batch_size 4. Open the"):
        opened(tmp_path).run({"x": np.zeros((4, 2), np.int64)})


def test_a_batch_runs_with_the_first_profile_that_holds_it(tmp_path):
    cuda = FakeStreams()
    ranges = [{"batch_size": AxisProfile(min=1, opt=best, max=best)} for best in (1, 32)]
    session = opened(tmp_path, cuda=cuda, info=EngineInfo(**vars(INFO) | {"profiles": tuple(ranges)}), contexts=1)
    assert session.batch == AxisProfile(min=1, opt=32, max=32)
    for rows in (1, 2, 32, 1):
        np.testing.assert_array_equal(session.run({"x": np.ones((rows, 2), np.int64)})["y"], np.full(rows, 2))
    assert [profile for profile, _ in cuda.chosen] == [1, 0]


def test_a_part_of_a_graph_takes_floats(tmp_path):
    inputs = [TensorInfo(name="x", dtype="float32", axes=("batch_size", 2))]
    x = np.float32([[0.5, 0.25], [2, -0.125]])
    np.testing.assert_array_equal(opened(tmp_path, inputs=inputs, dtype=np.float32).run({"x": x})["y"], x.sum(axis=1))
    with pytest.raises(InputError, match="x: expected float32, found int64"):
        opened(tmp_path, inputs=inputs, dtype=np.float32).run({"x": np.ones((1, 2), np.int64)})


def test_a_text_runs_with_the_first_profile_of_its_length(tmp_path):
    cuda = FakeStreams()
    session = opened(tmp_path, cuda=cuda, info=LENGTHS, inputs=OPEN, contexts=1)
    for length in (2, 4, 5, 8, 3, 6):
        x = np.arange(2 * length, dtype=np.int64).reshape(2, length)
        np.testing.assert_array_equal(session.run({"x": x})["y"], x.sum(axis=1))
    (stream,) = cuda.streams
    assert cuda.chosen == [(1, stream), (0, stream), (1, stream)]  # a context starts with the first


@pytest.mark.parametrize("length", [1, 9])
def test_lengths_outside_the_profiles(tmp_path, length):
    message = (
        "expected what the engine was built for: batch_size 1 to 3, sequence_length 2 to 4 or batch_size 1 to 3, sequence_length "
        f"3 to 8; found batch_size 1, sequence_length {length}. Open the bundle with the runtime onnxruntime, or export it with "
        "another --batch-profile or --length-profile"
    )
    with pytest.raises(InputError, match=message):
        opened(tmp_path, info=LENGTHS, inputs=OPEN).run({"x": np.zeros((1, length), np.int64)})


def test_a_profile_that_is_refused_is_chosen_again(tmp_path):
    cuda = FakeStreams()
    session = opened(tmp_path, cuda=cuda, info=LENGTHS, inputs=OPEN, contexts=1, changes=False)
    for _ in range(2):
        with pytest.raises(SessionError, match="the engine refuses its optimisation profile 1: one; two"):
            session.run({"x": np.zeros((1, 8), np.int64)})
    assert [profile for profile, _ in cuda.chosen] == [1, 1]
    assert session.run({"x": np.ones((1, 2), np.int64)})["y"].tolist() == [2]  # the first needs no change


def test_an_engine_of_one_length_never_changes_its_profile(tmp_path):
    cuda = FakeStreams()
    opened(tmp_path, cuda=cuda).run({"x": np.zeros((1, 2), np.int64)})
    assert cuda.chosen == []


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"opens": False}, r"model\.engine: tensorrt_rtx 1\.7 cannot open it \(built with 1\.7\): one; two; a tag does not match"),
        ({"contexts": 0}, r"model\.engine: could not create an execution context; usually the GPU is out of memory: one; two"),
        ({"accepts": False}, r"x: the engine refuses the shape \[1, 2\]"),
        ({"executes": False}, "the engine failed"),
        ({"binds": False}, "x: the engine refuses its buffer: one; two"),
        ({"lengths": (-1,)}, "y: the engine does not know the output's shape; export again"),
        ({"cuda": FakeStreams(cudaMalloc=0)}, r"CUDA failed \(cudaMalloc: 2\)"),
    ],
)
def test_failures_are_told(tmp_path, behaviour, message):
    with pytest.raises(SessionError, match=message):
        opened(tmp_path, **behaviour).run({"x": np.zeros((1, 2), np.int64)})


@pytest.mark.parametrize(("call", "kind"), [("cudaGetDeviceCount", NoDeviceError), ("cudaStreamCreateWithFlags", SessionError)])
def test_only_counting_devices_tells_that_there_is_none(tmp_path, call, kind):
    cuda = FakeStreams()

    def failing(*_):
        raise RuntimeError("libcuda.so.1 cannot be loaded")

    setattr(cuda, call, failing)
    with pytest.raises(SessionError, match=f"{call}: libcuda") as failure:
        opened(tmp_path, cuda=cuda)
    assert type(failure.value) is kind


def test_hosts_without_a_device(tmp_path):
    for devices in ((35, None), (0, 0)):
        with pytest.raises(NoDeviceError, match="no NVIDIA GPU on this host"):
            opened(tmp_path, cuda=FakeStreams(devices=devices))
    other = EngineInfo(**vars(INFO) | {"compute_capabilities": ("12.0",)})
    with pytest.raises(NoDeviceError, match=r"expected a GPU of compute capability 12\.0, found 8\.9"):
        opened(tmp_path, info=other)
    with pytest.raises(LibraryError, match=r"tensorrt cannot be imported.*; pip install 'tensorrt>=10\.12' 'cuda-bindings"):
        TrtSession(tmp_path / "model.engine", TENSORRT, INPUTS, importer=importer_of(cuda_bindings_runtime=FakeStreams()))


def test_the_real_libraries_without_a_gpu(tmp_path):
    (tmp_path / "model.engine").write_bytes(b"engine")
    info = EngineInfo(**vars(INFO) | {"version": tensorrt_rtx.__version__})
    with pytest.raises(SessionError):
        TrtSession(tmp_path / "model.engine", info, INPUTS)
