"""A process that answers in JSON, one line for each that it is sent; what else it prints is passed over."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from fnet_export.base.errors import BenchError

SAID = 300
"""Characters of the last line of standard error that a reason takes."""


class Child:
    """A started process, made by `child_from_arguments`."""

    def __init__(self, process: subprocess.Popen[str], stderr: IO[bytes]) -> None:
        """Take a process with text pipes, and the file that its standard error goes to."""
        self._process, self._stderr = process, stderr

    def ask(self, request: object = None) -> dict[str, Any]:
        """Send a line and wait for the answer. Raises BenchError with the reason when there is none."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer, or the reason why there is none, tells more
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        return self.answer()

    def last_answer(self) -> dict[str, Any]:
        """Send no more, and wait for what it says at its end. Raises BenchError."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Wait for the next answer. Raises BenchError when it is an error, or the process ended without one."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                value: dict[str, Any] = json.loads(line)
                if "error" in value:
                    raise BenchError(value["error"])
                return value
        raise BenchError(self._end())

    def _end(self) -> str:
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        how = f"exit {code}" if code >= 0 else signal.Signals(-code).name
        memory = ", mostly for want of memory" if code == -signal.SIGKILL else ""
        return f"its process ended ({how}{memory})" + (f": {lines[-1][:SAID]}" if lines else "")


@contextlib.contextmanager
def child_from_arguments(
    arguments: Sequence[str],
    *,
    program: str = sys.executable,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Child]:
    """Start a program, this Python unless given, with arguments; when the block ends, so does the process, whatever it does."""
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile() as stderr,  # a pipe would fill up and stop the process
        subprocess.Popen(
            [program, *arguments],
            stdin=pipe,
            stdout=pipe,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            env=environment,
            cwd=folder,
        ) as process,
    ):
        try:
            yield Child(process, stderr)
        finally:
            process.kill()
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
