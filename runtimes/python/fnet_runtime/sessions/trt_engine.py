"""An engine file that TensorRT or TensorRT-RTX has opened."""

from pathlib import Path
from typing import Any

from fnet_runtime.bundle.manifest import MODEL, EngineInfo
from fnet_runtime.engine.logger import error_logger
from fnet_runtime.engine.products import RTX, has_part
from fnet_runtime.errors import SessionError


class TrtEngine:
    """An opened engine, which makes execution contexts. Any number of threads may ask for them."""

    def __init__(self, file: Path, info: EngineInfo, trt: Any, *, profiler: Any = None) -> None:
        """Open an engine file on the current GPU of the calling thread. Raises SessionError.

        `profiler` is an IProfiler of the library. The contexts of `context` report the time of each layer to it.
        """
        self._file, self._trt, self._profiler = file, trt, profiler
        self._name = f"{info.library} {trt.__version__}"
        self._logger = error_logger(trt)
        self._runtime = trt.Runtime(self._logger)
        if info.build is not None and info.build.version_compatible:
            self._runtime.engine_host_code_allowed = True  # the engine holds code, which the bundle's hash vouches for
        self._engine = self._runtime.deserialize_cuda_engine(file.read_bytes())
        if self._engine is None:
            raise SessionError(f"{file}: {self._name} cannot open it (built with {info.version}): {self.last_errors()}")
        if info.build is not None and info.build.weight_stripped:
            self._fill_in_weights(file.with_name(MODEL))
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self.outputs = tuple(n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.OUTPUT)
        others = [name for name in self.outputs if self._engine.get_tensor_dtype(name) != trt.float32]
        if others:
            raise SessionError(f"{file}: expected outputs in float32, found another type of {', '.join(others)}; export again")
        self.captures_graphs = info.library == RTX
        """Whether the library itself makes CUDA graphs. It knows when its kernels are final, and which shape has which graph."""

    def _fill_in_weights(self, graph: Path) -> None:
        """Give an engine without weights those of the graph that it was built from."""
        refitter = self._trt.Refitter(self._engine, self._logger)
        parser = self._trt.OnnxParserRefitter(refitter, self._logger)
        if not parser.refit_from_file(str(graph)) or not refitter.refit_cuda_engine():
            raise SessionError(f"{self._file}: the weights of {graph.name} cannot be filled in: {self.last_errors()}")

    @property
    def memory_bytes(self) -> int:
        """Return how much memory of the GPU a context of `context_without_memory` needs."""
        return int(self._engine.device_memory_size_v2)

    def context(self) -> Any:
        """Make an execution context."""
        context = self._made(self._engine.create_execution_context())
        if self._profiler is not None:
            context.profiler = self._profiler
        return context

    def context_that_captures(self) -> Any:
        """Make an execution context that makes CUDA graphs itself. Raises SessionError also if the library is too old."""
        if not has_part(self._trt, "CudaGraphStrategy"):
            raise SessionError(f"{self._name} makes no CUDA graphs; expected 1.3 or newer. Open the bundle without cuda_graph")
        config = self._engine.create_runtime_config()
        config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return self._made(self._engine.create_execution_context(config))

    def context_without_memory(self, address: int) -> Any:
        """Make an execution context that works in `memory_bytes` at an address. Contexts that never run at once may share it."""
        context = self._made(self._engine.create_execution_context(self._trt.ExecutionContextAllocationStrategy.USER_MANAGED))
        context.set_device_memory(address, self.memory_bytes)
        return context

    def _made(self, context: Any) -> Any:
        if context is None:
            raise SessionError(
                f"{self._file}: could not create an execution context; usually the GPU is out of memory: {self.last_errors()}"
            )
        context.nvtx_verbosity = self._trt.ProfilingVerbosity.NONE  # an engine built with details would send NVTX a range per layer
        return context

    def inspected(self) -> str:
        """Return what the engine's inspector says of the layers, in JSON."""
        inspector = self._engine.create_engine_inspector()
        return str(inspector.get_engine_information(self._trt.LayerInformationFormat.JSON))

    def last_errors(self) -> str:
        """Return the last errors that the library logged."""
        return str(self._logger.said())

    def close(self) -> None:
        """Free the engine, once its contexts are freed."""
        self._engine = self._runtime = None
