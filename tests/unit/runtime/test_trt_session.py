"""The TensorRT session against stand-ins for the library and for CUDA, whose device memory is host memory."""

import ctypes
import enum
import math
import threading
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import tensorrt_rtx
from fnet_runtime.bundle.manifest import AxisProfile, EngineBuild, EngineInfo, TensorInfo
from fnet_runtime.errors import InputError, LibraryError, NoDeviceError, SessionError
from fnet_runtime.sessions.trt_session import CONTEXTS, TrtSession
from support.threads import differing

INPUTS = [TensorInfo(name="x", dtype="int64", axes=("batch_size", 2))]
INFO = EngineInfo(
    file="model.engine",
    library="tensorrt_rtx",
    version="1.7",
    compute_capabilities=("8.9",),
    batch_profile={"batch_size": AxisProfile(min=1, opt=2, max=3)},
    length_profiles=(),
)
OPEN = [TensorInfo(name="x", dtype="int64", axes=("batch_size", "sequence_length"))]
LENGTHS = EngineInfo(
    **vars(INFO) | {"length_profiles": (AxisProfile(min=2, opt=3, max=4), AxisProfile(min=3, opt=6, max=8))},
)


class Memcpy(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class Attribute(enum.IntEnum):
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


class Cuda:
    """The CUDA runtime's Python bindings over host memory: a stream's work is done when somebody waits for the stream."""

    cudaMemcpyKind, cudaDeviceAttr = Memcpy, Attribute

    def __init__(self, devices=(0, 2), malloc=0, streams=99):
        self.devices, self.malloc, self.streams_to_give = devices, malloc, streams
        self.blocks, self.freed, self.streams, self.used = {}, [], {}, set()
        self.chosen, self.host_code, self.refitted = [], [], []
        self.current = threading.local()

    def cudaGetDeviceCount(self):
        return self.devices

    def cudaGetDevice(self):
        return 0, getattr(self.current, "device", 0)

    def cudaSetDevice(self, device):
        self.current.device = device
        return (0,)

    def cudaDeviceGetAttribute(self, attribute, device):
        return 0, {75: 8, 76: 9}[attribute]

    def cudaGetDeviceProperties(self, device):
        return 0, SimpleNamespace(name=b"NVIDIA L4")

    def cudaDriverGetVersion(self):
        return 0, 13010

    def cudaStreamCreate(self):
        if len(self.streams) == self.streams_to_give:
            return 2, None
        self.streams[7 + len(self.streams)] = []
        return 0, 6 + len(self.streams)

    def cudaStreamSynchronize(self, stream):
        time.sleep(0)  # lets another thread run
        while self.streams[stream]:
            self.streams[stream].pop(0)()
        return (0,)

    def cudaStreamDestroy(self, stream):
        self.streams[stream] = None
        return (0,)

    def cudaMalloc(self, size):
        block = ctypes.create_string_buffer(size)
        self.blocks[ctypes.addressof(block)] = block
        return self.malloc, ctypes.addressof(block)

    def cudaFree(self, address):
        self.freed.append(address)
        del self.blocks[address]
        return (0,)

    def cudaMemcpyAsync(self, to, source, size, kind, stream):
        self.used.add(self.cudaGetDevice()[1])
        self.streams[stream].append(partial(ctypes.memmove, to, source, size))
        return (0,)


def fake_trt(cuda, *, opens=True, contexts=99, accepts=True, executes=True, changes=True, refits=True):
    """A library whose engine adds up the rows of x, and tells the number of each profile that it changes to."""

    class ILogger:
        ERROR, INTERNAL_ERROR, INFO = "E", "I", "N"

    class Context:
        def __init__(self):
            self.address, self.shape = {}, None

        def set_optimization_profile_async(self, profile, stream):
            cuda.chosen.append((profile, stream))
            return changes

        def set_input_shape(self, name, shape):
            self.shape = shape
            return accepts

        def get_tensor_shape(self, name):
            return (self.shape[0],)

        def set_tensor_address(self, name, address):
            self.address[name] = address

        def execute_async_v3(self, stream):
            cuda.streams[stream].append(partial(summed, **self.address, shape=self.shape))
            return executes

    class Engine:
        num_io_tensors = 2

        def __init__(self):
            self.contexts = []

        def get_tensor_name(self, index):
            return "xy"[index]

        def get_tensor_mode(self, name):
            return "in" if name == "x" else "out"

        def create_execution_context(self):
            if len(self.contexts) == contexts:
                return None
            self.contexts.append(Context())
            return self.contexts[-1]

    class Runtime:
        def __init__(self, logger):
            logger.log(ILogger.INFO, "talk")
            for text in ("too old to be told", "one", "two", "a tag does not match"):
                logger.log(ILogger.ERROR, text)

        engine_host_code_allowed = False

        def deserialize_cuda_engine(self, data):
            cuda.host_code.append(self.engine_host_code_allowed)
            return Engine() if opens and data == b"engine" else None

    class Refitter:
        def __init__(self, engine, logger):
            self.graph = None

        def refit_cuda_engine(self):
            cuda.refitted.append(self.graph)
            return refits

    class OnnxParserRefitter:
        def __init__(self, refitter, logger):
            self.refitter = refitter

        def refit_from_file(self, model):
            self.refitter.graph = model
            return True

    return SimpleNamespace(
        ILogger=ILogger,
        Runtime=Runtime,
        Refitter=Refitter,
        OnnxParserRefitter=OnnxParserRefitter,
        TensorIOMode=SimpleNamespace(OUTPUT="out"),
        __version__="1.7",
    )


def summed(x, y, shape):
    rows = np.ctypeslib.as_array((ctypes.c_int64 * math.prod(shape)).from_address(x)).reshape(shape)
    np.ctypeslib.as_array((ctypes.c_float * shape[0]).from_address(y))[:] = rows.sum(axis=1)


def opened(tmp_path, *, cuda=None, info=INFO, inputs=INPUTS, **behaviour):
    path = tmp_path / "model.engine"
    path.write_bytes(b"engine")
    cuda = cuda or Cuda()
    modules = {"tensorrt_rtx": fake_trt(cuda, **behaviour), "cuda.bindings.runtime": cuda}

    def importer(name):
        if name not in modules:
            raise ImportError(f"No module named {name!r}")
        return modules[name]

    return TrtSession(path, info, inputs, importer=importer)


def test_runs_batches_of_any_size_and_frees_what_it_took(tmp_path):
    cuda = Cuda()
    session = opened(tmp_path, cuda=cuda)
    for rows in (1, 3, 2):
        x = np.arange(2 * rows, dtype=np.int64).reshape(rows, 2)
        np.testing.assert_array_equal(session.run({"x": x})["y"], x.sum(axis=1))
    assert len(cuda.freed) == 2  # both buffers grew once
    session.close()
    assert cuda.blocks == {}


@pytest.mark.parametrize(
    ("limits", "lanes"),
    [({}, CONTEXTS), ({"contexts": 1}, 1), ({"cuda": Cuda(streams=1)}, 1)],
    ids=["enough", "contexts", "streams"],
)
def test_any_number_of_threads_share_the_contexts(tmp_path, limits, lanes):
    cuda = limits.setdefault("cuda", Cuda())
    cuda.cudaSetDevice(1)
    session = opened(tmp_path, **limits)
    requests = [{"x": np.full((1 + i % 3, 2), i, np.int64)} for i in range(16)]
    assert differing(lambda request: session.run(request)["y"].tolist(), requests) == []
    assert (len(cuda.streams), len(cuda.blocks), cuda.used) == (lanes, 2 * lanes, {1})
    session.close()
    assert (cuda.blocks, set(cuda.streams.values())) == ({}, {None})
    with pytest.raises(SessionError, match="the session is closed; open the bundle again"):
        session.run(requests[0])


def test_an_engine_without_weights_takes_those_of_the_graph(tmp_path):
    stripped = EngineInfo(**vars(INFO) | {"build": EngineBuild(weight_stripped=True)})
    cuda = Cuda()
    opened(tmp_path, cuda=cuda, info=stripped)
    assert cuda.refitted == [str(tmp_path / "model.onnx")]
    with pytest.raises(SessionError, match=r"model\.engine: the weights of model\.onnx cannot be filled in: one; two"):
        opened(tmp_path, info=stripped, refits=False)
    opened(tmp_path, cuda=cuda)
    assert len(cuda.refitted) == 1


def test_only_an_engine_for_newer_versions_may_run_code(tmp_path):
    cuda = Cuda()
    for compatible in (False, True):
        info = EngineInfo(**vars(INFO) | {"build": EngineBuild(version_compatible=compatible)})
        opened(tmp_path, cuda=cuda, info=info)
    assert cuda.host_code == [False, True]


def test_a_run_that_fails_leaves_nothing_behind_for_the_next(tmp_path):
    cuda = Cuda()
    session = opened(tmp_path, cuda=cuda, executes=False)
    with pytest.raises(SessionError, match="the engine failed"):
        session.run({"x": np.ones((2, 2), np.int64)})
    assert list(cuda.streams.values()) == [[]]


def test_batches_outside_the_profile(tmp_path):
    with pytest.raises(InputError, match="x: expected a batch_size of 1 to 3, found 4"):
        opened(tmp_path).run({"x": np.zeros((4, 2), np.int64)})


def test_a_text_runs_with_the_first_profile_of_its_length(tmp_path):
    cuda = Cuda()
    session = opened(tmp_path, cuda=cuda, info=LENGTHS, inputs=OPEN, contexts=1)
    for length in (2, 4, 5, 8, 3, 6):
        x = np.arange(2 * length, dtype=np.int64).reshape(2, length)
        np.testing.assert_array_equal(session.run({"x": x})["y"], x.sum(axis=1))
    (stream,) = cuda.streams
    assert cuda.chosen == [(1, stream), (0, stream), (1, stream)]  # a context starts with the first


@pytest.mark.parametrize("length", [1, 9])
def test_lengths_outside_the_profiles(tmp_path, length):
    with pytest.raises(
        InputError,
        match=f"expected a text of 2 to 4, 3 to 8 tokens, which the engine was built for; found {length}. Open the bundle with the "
        "runtime onnxruntime, or export it with another --length-profile",
    ):
        opened(tmp_path, info=LENGTHS, inputs=OPEN).run({"x": np.zeros((1, length), np.int64)})


def test_a_profile_that_is_refused_is_chosen_again(tmp_path):
    cuda = Cuda()
    session = opened(tmp_path, cuda=cuda, info=LENGTHS, inputs=OPEN, contexts=1, changes=False)
    for _ in range(2):
        with pytest.raises(SessionError, match="the engine refuses its optimisation profile 1: one; two"):
            session.run({"x": np.zeros((1, 8), np.int64)})
    assert [profile for profile, _ in cuda.chosen] == [1, 1]
    assert session.run({"x": np.ones((1, 2), np.int64)})["y"].tolist() == [2]  # the first needs no change


def test_an_engine_of_one_length_never_changes_its_profile(tmp_path):
    cuda = Cuda()
    opened(tmp_path, cuda=cuda).run({"x": np.zeros((1, 2), np.int64)})
    assert cuda.chosen == []


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"opens": False}, r"model\.engine: tensorrt_rtx 1\.7 cannot open it \(built with 1\.7\): one; two; a tag does not match"),
        ({"contexts": 0}, r"model\.engine: could not create an execution context; usually the GPU is out of memory: one; two"),
        ({"accepts": False}, r"x: the engine refuses the shape \[1, 2\]"),
        ({"executes": False}, "the engine failed"),
        ({"cuda": Cuda(malloc=2)}, r"CUDA failed \(cudaMalloc: 2\)"),
    ],
)
def test_failures_are_told(tmp_path, behaviour, message):
    with pytest.raises(SessionError, match=message):
        opened(tmp_path, **behaviour).run({"x": np.zeros((1, 2), np.int64)})


@pytest.mark.parametrize(("call", "kind"), [("cudaGetDeviceCount", NoDeviceError), ("cudaStreamCreate", SessionError)])
def test_only_counting_devices_tells_that_there_is_none(tmp_path, call, kind):
    cuda = Cuda()

    def failing():
        raise RuntimeError("libcuda.so.1 cannot be loaded")

    setattr(cuda, call, failing)
    with pytest.raises(SessionError, match=f"{call}: libcuda") as failure:
        opened(tmp_path, cuda=cuda)
    assert type(failure.value) is kind


def test_hosts_without_a_device(tmp_path):
    for devices in ((35, None), (0, 0)):
        with pytest.raises(NoDeviceError, match="no NVIDIA GPU on this host"):
            opened(tmp_path, cuda=Cuda(devices=devices))
    other = EngineInfo(**vars(INFO) | {"compute_capabilities": ("12.0",)})
    with pytest.raises(NoDeviceError, match=r"expected a GPU of compute capability 12\.0, found 8\.9"):
        opened(tmp_path, info=other)
    with pytest.raises(LibraryError, match=r"tensorrt cannot be imported.*; pip install 'tensorrt>=10\.12' 'cuda-bindings"):
        opened(tmp_path, info=EngineInfo(**vars(INFO) | {"library": "tensorrt"}))


def test_the_real_libraries_without_a_gpu(tmp_path):
    (tmp_path / "model.engine").write_bytes(b"engine")
    info = EngineInfo(**vars(INFO) | {"version": tensorrt_rtx.__version__})
    with pytest.raises(SessionError):
        TrtSession(tmp_path / "model.engine", info, INPUTS)
