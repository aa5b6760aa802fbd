"""Stand-ins for CUDA and TensorRT that really run: device memory is host memory, and an engine adds up the rows of x.

A stream runs its work when somebody waits for it, never before. New memory is full of garbage. So a session that reads an output
too early, or writes an input too early, gives wrong answers. Tests compare the signatures with the real libraries.
"""

import ctypes
import enum
import itertools
import math
import threading
import time
from functools import partial
from types import SimpleNamespace

import numpy as np

GARBAGE = 0xAB
MEMORY_BYTES = 64
"""What a context needs for intermediate values. The stand-in writes there, so contexts that run at once must not share it."""


class Memcpy(enum.IntEnum):
    cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost = 1, 2


class Attribute(enum.IntEnum):
    cudaDevAttrComputeCapabilityMajor, cudaDevAttrComputeCapabilityMinor = 75, 76


class CaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


class FakeStreams:
    """The CUDA runtime's Python bindings. `fails` has the calls that return an error, and how many succeed before that."""

    cudaMemcpyKind, cudaDeviceAttr, cudaStreamCaptureMode = Memcpy, Attribute, CaptureMode
    cudaHostAllocDefault, cudaStreamNonBlocking = 0, 1

    def __init__(self, devices=(0, 2), **fails):
        self.devices, self.fails = devices, fails
        self.device_memory, self.host_memory, self.streams, self.graphs = {}, {}, {}, {}
        self.capturing, self.forgotten_errors = {}, 0
        self.grown, self.launches, self.made_graphs, self.used = 0, 0, 0, set()
        self.chosen, self.host_code, self.refitted = [], [], []
        self.contexts_made = self.contexts_alive = self.capturing_contexts = self.executed = 0
        self.current, self.numbers, self.lock = threading.local(), itertools.count(7), threading.Lock()

    @property
    def held(self):
        """What was taken and not given back."""
        return len(self.device_memory) + len(self.host_memory) + len(self.streams) + len(self.graphs) + self.contexts_alive

    def _failed(self, name):
        with self.lock:
            if name in self.fails:
                self.fails[name] -= 1
            return self.fails.get(name, 0) < 0

    def cudaGetDeviceCount(self):
        return self.devices

    def cudaGetDevice(self):
        return 0, getattr(self.current, "device", 0)

    def cudaSetDevice(self, device):
        self.current.device = device
        return (0,)

    def cudaDeviceGetAttribute(self, attr, device):
        return 0, {75: 8, 76: 9}[attr]

    def cudaGetDeviceProperties(self, device):
        return 0, SimpleNamespace(name=b"NVIDIA L4")

    def cudaDriverGetVersion(self):
        return 0, 13010

    def cudaStreamCreateWithFlags(self, flags):
        assert flags == self.cudaStreamNonBlocking
        if self._failed("cudaStreamCreateWithFlags"):
            return 2, None
        stream = next(self.numbers)
        self.streams[stream] = []
        return 0, stream

    def cudaStreamSynchronize(self, stream):
        assert stream not in self.capturing
        time.sleep(0)  # lets another thread run
        while self.streams[stream]:
            self.streams[stream].pop(0)()
        return (2,) if self._failed("cudaStreamSynchronize") else (0,)

    def cudaStreamDestroy(self, stream):
        assert not self.streams.pop(stream)
        return (0,)

    def cudaMalloc(self, size):
        return self._allocated("cudaMalloc", size, self.device_memory)

    def cudaFree(self, devPtr):
        self.grown += 1
        del self.device_memory[devPtr]
        return (0,)

    def cudaHostAlloc(self, size, flags):
        assert flags == self.cudaHostAllocDefault
        return self._allocated("cudaHostAlloc", size, self.host_memory)

    def cudaFreeHost(self, ptr):
        del self.host_memory[ptr]
        return (0,)

    def _allocated(self, name, size, kept):
        assert size > 0
        assert threading.get_ident() not in self.capturing.values()  # CUDA forbids it
        if self._failed(name):
            return 2, None
        block = ctypes.create_string_buffer(bytes([GARBAGE]) * size, size)
        kept[ctypes.addressof(block)] = block
        return 0, ctypes.addressof(block)

    def cudaMemcpyAsync(self, dst, src, count, kind, stream):
        if self._failed("cudaMemcpyAsync"):
            return (2,)
        host, device = (src, dst) if kind == Memcpy.cudaMemcpyHostToDevice else (dst, src)
        assert count <= ctypes.sizeof(self.host_memory[host])  # page-locked
        assert count <= ctypes.sizeof(self.device_memory[device])
        self.used.add(self.cudaGetDevice()[1])
        self.streams[stream].append(partial(ctypes.memmove, dst, src, count))
        return (0,)

    def cudaStreamBeginCapture(self, stream, mode):
        assert mode == CaptureMode.cudaStreamCaptureModeThreadLocal
        if self._failed("cudaStreamBeginCapture"):
            return (2,)
        self.capturing[stream] = threading.get_ident()
        self.streams[stream], waiting = [], self.streams[stream]
        self.streams[stream, "waiting"] = waiting
        return (0,)

    def cudaStreamEndCapture(self, stream):
        assert self.capturing.pop(stream) == threading.get_ident()
        work, self.streams[stream] = self.streams[stream], self.streams.pop((stream, "waiting"))
        if self._failed("cudaStreamEndCapture"):
            return 900, None
        graph = next(self.numbers)
        self.graphs[graph] = work
        return 0, graph

    def cudaGetLastError(self):
        self.forgotten_errors += 1
        return (0,)

    def cudaGraphInstantiate(self, graph, flags):
        assert flags == 0
        if self._failed("cudaGraphInstantiate"):
            return 2, None
        made = next(self.numbers)
        self.graphs[made] = self.graphs[graph]
        self.made_graphs += 1
        return 0, made

    def cudaGraphDestroy(self, graph):
        del self.graphs[graph]
        return (0,)

    def cudaGraphLaunch(self, graphExec, stream):
        if self._failed("cudaGraphLaunch"):
            return (2,)
        self.launches += 1
        self.streams[stream].extend(self.graphs[graphExec])
        return (0,)

    def cudaGraphExecDestroy(self, graphExec):
        del self.graphs[graphExec]
        return (0,)


def fake_trt(
    cuda,
    *,
    opens=True,
    contexts=99,
    accepts=True,
    binds=True,
    executes=True,
    changes=True,
    refits=True,
    lengths=None,
    dtype=np.int64,
    output="float32",
    inspected="",
    times=lambda run: (),
):
    """Return a library. Each word says what the library does, and `lengths` is the shape of y where it is not the number of rows.

    `executes` is False, or the number of runs after which the engine fails. `dtype` is the type of x, and `output` that of y.
    `inspected` is what the inspector says, and `times` what the profiler reports of each run.
    """

    class ILogger:
        ERROR, INTERNAL_ERROR, INFO = "E", "I", "N"

        def __init__(self):
            pass

    class IRuntimeConfig:
        cuda_graph_strategy = "none"

    class IProfiler:
        def __init__(self):
            pass

        def report_layer_time(self, layer_name, ms):
            raise NotImplementedError

    class EngineInspector:
        def get_engine_information(self, format):
            assert format == "json"
            return inspected

    class IExecutionContext:
        profiler = nvtx_verbosity = None

        def __init__(self, memory):
            self.address, self.shape, self.memory, self.captured = {}, None, memory, False

        def _change(self):
            """A context must stay as it is once its run was captured."""
            assert not self.captured

        def set_optimization_profile_async(self, profile_index, stream_handle):
            self._change()
            cuda.chosen.append((profile_index, stream_handle))
            return changes

        def set_input_shape(self, name, shape):
            self._change()
            self.shape = shape
            return accepts

        def get_tensor_shape(self, name):
            return lengths or (self.shape[0],)

        def set_tensor_address(self, name, memory):
            self._change()
            self.address[name] = memory
            return binds

        def set_device_memory(self, memory, size):
            assert (size, self.memory) == (MEMORY_BYTES, None)
            self.memory = memory

        def execute_async_v3(self, stream_handle):
            assert (self.memory is not None, self.nvtx_verbosity) == (True, "no ranges")
            cuda.executed += 1
            self.captured = stream_handle in cuda.capturing
            for name, ms in times(cuda.executed - 1) if self.profiler is not None else ():
                self.profiler.report_layer_time(name, ms)
            work = partial(_summed, cuda, self.memory, **self.address, shape=self.shape, dtype=dtype)
            cuda.streams[stream_handle].append(work)
            return executes is True or cuda.executed < executes

        def __del__(self):
            cuda.contexts_alive -= 1

    class ICudaEngine:
        num_io_tensors, device_memory_size_v2 = 2, MEMORY_BYTES

        def get_tensor_name(self, index):
            return "xy"[index]

        def get_tensor_mode(self, name):
            return "in" if name == "x" else "out"

        def get_tensor_dtype(self, name):
            return "int64" if name == "x" else output

        def create_engine_inspector(self):
            return EngineInspector()

        def create_runtime_config(self):
            return IRuntimeConfig()

        def create_execution_context(self, strategy="static"):
            if cuda.contexts_made == contexts:
                return None
            cuda.contexts_made += 1
            cuda.contexts_alive += 1
            cuda.capturing_contexts += getattr(strategy, "cuda_graph_strategy", None) == "whole"
            return IExecutionContext(None if strategy == "user" else 0)

    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, logger):
            logger.log(ILogger.INFO, "talk")
            for text in ("too old to be told", "one", "two", "a tag does not match"):
                logger.log(ILogger.ERROR, text)

        def deserialize_cuda_engine(self, serialized_engine):
            cuda.host_code.append(self.engine_host_code_allowed)
            return ICudaEngine() if opens and serialized_engine == b"engine" else None

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
        IRuntimeConfig=IRuntimeConfig,
        IProfiler=IProfiler,
        EngineInspector=EngineInspector,
        IExecutionContext=IExecutionContext,
        ICudaEngine=ICudaEngine,
        Runtime=Runtime,
        Refitter=Refitter,
        OnnxParserRefitter=OnnxParserRefitter,
        TensorIOMode=SimpleNamespace(OUTPUT="out"),
        ProfilingVerbosity=SimpleNamespace(NONE="no ranges"),
        float32="float32",
        LayerInformationFormat=SimpleNamespace(JSON="json"),
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user"),
        CudaGraphStrategy=SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole"),
        __version__="1.7",
    )


def _summed(cuda, memory, x, y, shape, dtype):
    assert {x, y} <= cuda.device_memory.keys()
    assert memory in {0, *cuda.device_memory}
    rows = np.frombuffer((ctypes.c_byte * (math.prod(shape) * np.dtype(dtype).itemsize)).from_address(x), dtype).reshape(shape)
    np.ctypeslib.as_array((ctypes.c_float * shape[0]).from_address(y))[:] = rows.sum(axis=1)
