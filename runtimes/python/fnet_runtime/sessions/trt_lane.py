"""A lane runs one caller's batch at a time on a GPU: a stream, execution contexts, and buffers of its own."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fnet_runtime.engine.buffer import Buffer
from fnet_runtime.engine.cuda import Cuda
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.session import Ids, Outputs
from fnet_runtime.sessions.trt_engine import TrtEngine

MAX_GRAPHS = 32
"""The CUDA graphs that a lane keeps. Texts at their own length may have hundreds of shapes, and a graph takes memory of the GPU."""
Shapes = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output in a run of one shape."""

    name: str
    buffer: Buffer
    shape: tuple[int, ...]
    dtype: type[np.generic]

    @property
    def array(self) -> Any:
        """Return the page-locked memory as an array."""
        return self.buffer.array(self.shape, self.dtype)

    @property
    def size_bytes(self) -> int:
        """Return the size of the values."""
        return _size_bytes(self.shape, self.dtype)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Runs of one shape: copy the inputs to the GPU, execute, and copy the outputs back. All addresses are fixed."""

    context: Any
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class Lane:
    """A stream with its contexts and buffers, for one caller at a time, on the GPU that is current at each call.

    With `cuda_graph`, the first run of a shape is an ordinary one. Then its chain is captured as a CUDA graph, which later runs
    launch. TensorRT forbids a change to a context whose run was captured, so each graph has a context of its own. Contexts of a
    lane never run at once, so they share one memory for intermediate values. TensorRT-RTX makes its graphs itself.
    """

    def __init__(self, engine: TrtEngine, cuda: Cuda, *, cuda_graph: bool = False) -> None:
        """Make a stream and a context. Raises SessionError, and then keeps nothing."""
        self._engine, self._cuda = engine, cuda
        self._captures = cuda_graph and not engine.captures_graphs
        self._context: Any = None  # of the last ordinary run
        self._profile = 0  # a new context has the first
        self._buffers: dict[str, Buffer] = {}
        self._graphs: dict[Shapes, tuple[Chain, int]] = {}
        self._memory = self._stream = 0
        try:
            self._stream = cuda.stream()
            if not self._captures:
                self._context = engine.context_that_captures() if cuda_graph else engine.context()
            elif engine.memory_bytes:
                self._memory = cuda.allocate(engine.memory_bytes)
        except BaseException:
            self.close()
            raise

    def run(self, fed: Mapping[str, Ids], profile: int) -> Outputs:
        """Run inputs with an optimisation profile that holds their shapes. Raises SessionError."""
        try:
            chain = self._started(fed, profile)
        except BaseException:
            with suppress(SessionError):  # the first failure is the one to report
                self._cuda.wait(self._stream)  # copies in the queue still use the buffers
            raise
        self._cuda.wait(self._stream)
        return {tensor.name: tensor.array.copy() for tensor in chain.outputs}

    def close(self) -> None:
        """Free everything. A closed lane cannot run."""
        self._forget_graphs()
        self._context = None
        for buffer in self._buffers.values():
            buffer.close()
        self._buffers.clear()
        if self._memory:
            self._cuda.free(self._memory)
        if self._stream:
            self._cuda.destroy(self._stream)
        self._memory = self._stream = 0

    def _started(self, fed: Mapping[str, Ids], profile: int) -> Chain:
        """Put a run into the stream. The chain says where the outputs will be."""
        shapes = tuple((name, array.shape) for name, array in fed.items())
        if shapes in self._graphs:
            chain, graph = self._graphs[shapes]
            _fill(chain, fed)
            self._cuda.launch(graph, self._stream)
            return chain
        if self._captures:
            if len(self._graphs) == MAX_GRAPHS:
                self._forget_graphs()
            self._context, self._profile = self._engine.context_without_memory(self._memory), 0
        self._choose(profile)
        chain = self._chain(fed)
        _fill(chain, fed)
        self._enqueue(chain)  # in an ordinary run TensorRT does what a graph must not hold
        if self._captures:
            self._cuda.wait(self._stream)  # an error of this run is not one of the capture
            self._graphs[shapes] = chain, self._captured(chain)
        return chain

    def _choose(self, profile: int) -> None:
        """Change the optimisation profile, if this is another one than the last run's."""
        if profile != self._profile:
            if not self._context.set_optimization_profile_async(profile, self._stream):
                raise SessionError(f"the engine refuses its optimisation profile {profile}: {self._engine.last_errors()}")
            self._profile = profile

    def _captured(self, chain: Chain) -> int:
        try:
            return self._cuda.captured(partial(self._enqueue, chain), self._stream)
        except SessionError as error:
            raise SessionError(f"a run cannot become a CUDA graph ({error}); open the bundle without cuda_graph") from error

    def _chain(self, fed: Mapping[str, Ids]) -> Chain:
        """Prepare the context for the shapes of the inputs."""
        context = self._context
        for name, array in fed.items():
            if not context.set_input_shape(name, array.shape):
                raise SessionError(f"{name}: the engine refuses the shape {list(array.shape)}: {self._engine.last_errors()}")
        outputs = {name: tuple(context.get_tensor_shape(name)) for name in self._engine.outputs}
        for name, shape in outputs.items():
            if any(length < 0 for length in shape):
                raise SessionError(f"{name}: the engine does not know the output's shape; export again")
        return Chain(
            context=context,
            inputs=tuple(self._tensor(name, array.shape, array.dtype.type) for name, array in fed.items()),
            outputs=tuple(self._tensor(name, shape, np.float32) for name, shape in outputs.items()),
        )

    def _tensor(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Tensor:
        """Bind a tensor to its buffer, which is grown if needed."""
        buffer, size_bytes = self._buffers.get(name), _size_bytes(shape, dtype)
        if buffer is None or buffer.size_bytes < size_bytes:
            if buffer is not None:
                self._forget_graphs()  # they have the old address
                self._buffers.pop(name).close()
            buffer = self._buffers[name] = Buffer(self._cuda, size_bytes)
        if not self._context.set_tensor_address(name, buffer.device):
            raise SessionError(f"{name}: the engine refuses its buffer: {self._engine.last_errors()}")
        return Tensor(name=name, buffer=buffer, shape=shape, dtype=dtype)

    def _enqueue(self, chain: Chain) -> None:
        for tensor in chain.inputs:
            self._cuda.to_device(tensor.buffer.device, tensor.buffer.host, tensor.size_bytes, self._stream)
        if not chain.context.execute_async_v3(self._stream):
            raise SessionError(f"the engine failed: {self._engine.last_errors()}")
        for tensor in chain.outputs:
            self._cuda.to_host(tensor.buffer.host, tensor.buffer.device, tensor.size_bytes, self._stream)

    def _forget_graphs(self) -> None:
        for _, graph in self._graphs.values():
            self._cuda.destroy_graph(graph)
        self._graphs.clear()


def _fill(chain: Chain, fed: Mapping[str, Ids]) -> None:
    for tensor in chain.inputs:
        np.copyto(tensor.array, fed[tensor.name])


def _size_bytes(shape: tuple[int, ...], dtype: type[np.generic]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
