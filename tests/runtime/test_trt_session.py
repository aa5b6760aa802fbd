"""The TensorRT session against stand-ins for the library and for CUDA, whose device memory is host memory."""

import ctypes
import enum
from types import SimpleNamespace

import numpy as np
import pytest
import tensorrt_rtx
from fnet_runtime.errors import InputError, NoDeviceError, SessionError
from fnet_runtime.manifest import AxisProfile, EngineInfo, TensorInfo
from fnet_runtime.trt_session import TrtSession

INPUTS = [TensorInfo(name="x", dtype="int64", axes=("batch_size", 2))]
INFO = EngineInfo(
    file="model.engine",
    library="tensorrt_rtx",
    version="1.7",
    compute_capabilities=("8.9",),
    batch_profile={"batch_size": AxisProfile(min=1, opt=2, max=3)},
)


class Memcpy(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class Attribute(enum.IntEnum):
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


class Cuda:
    """The CUDA runtime's Python bindings over host memory."""

    cudaMemcpyKind, cudaDeviceAttr = Memcpy, Attribute

    def __init__(self, devices=(0, 1), malloc=0):
        self.devices, self.malloc, self.blocks, self.freed = devices, malloc, {}, []

    def cudaGetDeviceCount(self):
        return self.devices

    def cudaGetDevice(self):
        return 0, 0

    def cudaDeviceGetAttribute(self, attribute, device):
        return 0, {75: 8, 76: 9}[attribute]

    def cudaStreamCreate(self):
        return 0, 7

    def cudaStreamSynchronize(self, stream):
        return (0,)

    cudaStreamDestroy = cudaStreamSynchronize

    def cudaMalloc(self, size):
        block = ctypes.create_string_buffer(size)
        self.blocks[ctypes.addressof(block)] = block
        return self.malloc, ctypes.addressof(block)

    def cudaFree(self, address):
        self.freed.append(address)
        del self.blocks[address]
        return (0,)

    def cudaMemcpyAsync(self, to, source, size, kind, stream):
        ctypes.memmove(to, source, size)
        return (0,)


def fake_trt(*, opens=True, context=True, accepts=True, executes=True):
    """A library whose engine adds up the rows of x."""

    class ILogger:
        ERROR, INTERNAL_ERROR, INFO = "E", "I", "N"

    class Context:
        def __init__(self):
            self.address, self.shape = {}, None

        def set_input_shape(self, name, shape):
            self.shape = shape
            return accepts

        def get_tensor_shape(self, name):
            return (self.shape[0],)

        def set_tensor_address(self, name, address):
            self.address[name] = address

        def execute_async_v3(self, stream):
            count = self.shape[0] * self.shape[1]
            x = np.ctypeslib.as_array((ctypes.c_int64 * count).from_address(self.address["x"])).reshape(self.shape)
            y = np.ctypeslib.as_array((ctypes.c_float * self.shape[0]).from_address(self.address["y"]))
            y[:] = x.sum(axis=1)
            return executes

    class Engine:
        num_io_tensors = 2

        def get_tensor_name(self, index):
            return "xy"[index]

        def get_tensor_mode(self, name):
            return "in" if name == "x" else "out"

        def create_execution_context(self):
            return Context() if context else None

    class Runtime:
        def __init__(self, logger):
            logger.log(ILogger.INFO, "talk")
            logger.log(ILogger.ERROR, "a tag does not match")

        def deserialize_cuda_engine(self, data):
            return Engine() if opens and data == b"engine" else None

    return SimpleNamespace(ILogger=ILogger, Runtime=Runtime, TensorIOMode=SimpleNamespace(OUTPUT="out"), __version__="1.7")


def opened(tmp_path, *, cuda=None, info=INFO, **behaviour):
    path = tmp_path / "model.engine"
    path.write_bytes(b"engine")
    modules = {"tensorrt_rtx": fake_trt(**behaviour), "cuda.bindings.runtime": cuda or Cuda()}

    def importer(name):
        if name not in modules:
            raise ImportError(f"No module named {name!r}")
        return modules[name]

    return TrtSession(path, info, INPUTS, importer=importer)


def test_runs_batches_of_any_size_and_frees_what_it_took(tmp_path):
    cuda = Cuda()
    session = opened(tmp_path, cuda=cuda)
    for rows in (1, 3, 2):
        x = np.arange(2 * rows, dtype=np.int64).reshape(rows, 2)
        np.testing.assert_array_equal(session.run({"x": x})["y"], x.sum(axis=1))
    assert len(cuda.freed) == 2  # both buffers grew once
    session.close()
    assert cuda.blocks == {}


def test_batches_outside_the_profile(tmp_path):
    with pytest.raises(InputError, match="x: batch_size is 4; the engine takes 1 to 3"):
        opened(tmp_path).run({"x": np.zeros((4, 2), np.int64)})


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"opens": False}, r"model\.engine: tensorrt_rtx 1\.7 cannot open it \(built with 1\.7\): a tag does not match"),
        ({"context": False}, "no execution context"),
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
    with pytest.raises(NoDeviceError, match=r"built for compute capabilities 12\.0; this GPU has 8\.9"):
        opened(tmp_path, info=other)
    with pytest.raises(SessionError, match=r"tensorrt cannot be imported.*; pip install 'tensorrt>=10\.12' 'cuda-bindings"):
        opened(tmp_path, info=EngineInfo(**vars(INFO) | {"library": "tensorrt"}))


def test_the_real_libraries_without_a_gpu(tmp_path):
    (tmp_path / "model.engine").write_bytes(b"engine")
    info = EngineInfo(**vars(INFO) | {"version": tensorrt_rtx.__version__})
    with pytest.raises(SessionError):
        TrtSession(tmp_path / "model.engine", info, INPUTS)
