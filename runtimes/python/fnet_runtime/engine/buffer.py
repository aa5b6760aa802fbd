"""The memory of one tensor of an engine: page-locked on the host, and as much on the GPU."""

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.engine.cuda import Cuda


class Buffer:
    """Memory on both sides. A copy between the two does not hold up the host, because the host's side is page-locked."""

    def __init__(self, cuda: Cuda, size_bytes: int) -> None:
        """Allocate both sides. Raises SessionError, and then keeps neither."""
        self.size_bytes, self._cuda = size_bytes, cuda
        self.host = cuda.allocate_host(size_bytes)
        try:
            self.device = cuda.allocate(size_bytes)
        except BaseException:
            cuda.free_host(self.host)
            raise

    def array(self, shape: tuple[int, ...], dtype: type[np.generic]) -> npt.NDArray[Any]:
        """Return the beginning of the host's side as an array. It is a view, for as long as the buffer is not freed."""
        return np.ndarray(shape, dtype, memoryview((ctypes.c_byte * self.size_bytes).from_address(self.host)))

    def close(self) -> None:
        """Free both sides."""
        self._cuda.free_host(self.host)
        self._cuda.free(self.device)
