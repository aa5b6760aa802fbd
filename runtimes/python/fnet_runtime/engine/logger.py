"""What TensorRT says when it fails: its calls return None, False or -1, and only the log has the reason."""

from collections import deque
from threading import Lock
from typing import Any

DRIVER_NOISE = "cudaError 35"
"""The line that TensorRT-RTX logs after every other error on a host without a driver."""
KEPT_ERRORS = 3


def error_logger(trt: Any) -> Any:
    """Make a logger, of the library's own base class, that keeps the last errors: failures have no other text."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: deque[str] = deque(maxlen=KEPT_ERRORS)
            self._lock = Lock()  # the library logs from the running thread and from its own threads

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR) and DRIVER_NOISE not in message:
                with self._lock:
                    self._errors.append(message.strip())

        def said(self) -> str:
            with self._lock:
                return "; ".join(self._errors) or "it gave no reason"

    return Logger()
