"""A stand-in for an opened engine of `tensorrt`, and for the memory of its GPU. It reports layers and computes nothing.

Each class has the methods that the project calls, with the parameters of tensorrt-stubs (tests/deep/test_tensorrt_stubs.py).
"""

import enum
from types import SimpleNamespace

from support.fake_cuda import FakeCuda
from support.fake_tensorrt import ILogger, LayerInformationFormat


class TensorIOMode(enum.Enum):
    NONE, INPUT, OUTPUT = range(3)


class IProfiler:
    def __init__(self):
        pass

    def report_layer_time(self, layer_name, ms):
        raise NotImplementedError


class EngineInspector:
    def __init__(self, text):
        self.text = text

    def get_engine_information(self, format):
        assert format is LayerInformationFormat.JSON
        return self.text


class IExecutionContext:
    profiler = None

    def __init__(self, engine):
        self.engine, self.shapes, self.addresses, self.runs, self.profiles = engine, {}, {}, 0, []

    def set_optimization_profile_async(self, profile_index, stream_handle):
        self.profiles.append(profile_index)
        return self.engine.takes_profiles

    def set_input_shape(self, name, shape):
        self.shapes[name] = tuple(shape)
        return self.engine.takes_shapes

    def get_tensor_shape(self, name):
        return (*self.shapes["x"], 3)

    def set_tensor_address(self, name, memory):
        self.addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle):
        for name, ms in self.engine.times(self.runs):
            self.profiler.report_layer_time(name, ms)
        self.runs += 1
        return self.engine.executes


class ICudaEngine:
    num_io_tensors = 2

    def __init__(self, *, text="", times=lambda run: (), contexts=True, executes=True, takes_shapes=True, takes_profiles=True):
        self.text, self.times, self.contexts = text, times, [] if contexts else None
        self.executes, self.takes_shapes, self.takes_profiles = executes, takes_shapes, takes_profiles

    def get_tensor_name(self, index):
        return "xy"[index]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name == "x" else TensorIOMode.OUTPUT

    def create_execution_context(self, runtime_config=None):
        if self.contexts is None:
            return None
        self.contexts.append(IExecutionContext(self))
        return self.contexts[-1]

    def create_engine_inspector(self):
        return EngineInspector(self.text)


class Refitter:
    def __init__(self, engine, logger):
        self.engine, self.graph = engine, None

    def refit_cuda_engine(self):
        self.engine.refitted = self.graph
        return True


class OnnxParserRefitter:
    def __init__(self, refitter, logger):
        self.refitter = refitter

    def refit_from_file(self, model):
        self.refitter.graph = model
        return not model.endswith("missing/model.onnx")


CLASSES = (TensorIOMode, IProfiler, EngineInspector, IExecutionContext, ICudaEngine, Refitter, OnnxParserRefitter)


def fake_runtime(engine, version="10.13.0.35"):
    """Return a module whose runtime opens `engine`, whatever the file holds; None opens nothing."""

    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, logger):
            logger.log(ILogger.ERROR, "what the library logged")

        def deserialize_cuda_engine(self, serialized_engine):
            if engine is not None:
                engine.host_code = self.engine_host_code_allowed
            return engine

    parts = {kind.__name__: kind for kind in (*CLASSES, ILogger, LayerInformationFormat)}
    return SimpleNamespace(__version__=version, Runtime=Runtime, **parts)


class FakeMemory(FakeCuda):
    """A GPU that counts what is allocated and freed."""

    cudaMemcpyKind, cudaStreamNonBlocking = SimpleNamespace(cudaMemcpyHostToDevice=1), 1

    def __init__(self, **gpu):
        super().__init__(**gpu)
        self.blocks, self.streams, self.copied, self.allocated = {}, set(), [], 0

    def cudaStreamCreateWithFlags(self, flags):
        self.streams.add(7)
        return 0, 7

    def cudaStreamSynchronize(self, stream):
        return (0,)

    def cudaStreamDestroy(self, stream):
        self.streams.remove(stream)
        return (0,)

    def cudaMalloc(self, size):
        self.allocated += 1
        self.blocks[self.allocated] = size
        return 0, self.allocated

    def cudaFree(self, address):
        del self.blocks[address]
        return (0,)

    def cudaMemcpyAsync(self, to, source, size, kind, stream):
        self.copied.append((to, size))
        return (0,)
