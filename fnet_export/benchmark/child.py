"""Talk to a process that answers each line with a line of JSON. Its other output is ignored."""

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
    """Talk to a started process, made by `child_from_arguments`."""

    def __init__(self, process: subprocess.Popen[str], stderr: IO[bytes]) -> None:
        """Accept a process with text pipes, and the file of its standard error."""
        self._process, self._stderr = process, stderr

    def ask(self, request: object = None) -> dict[str, Any]:
        """Send a line and wait for the answer. Raises BenchError, with the reason, if no answer comes."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer, or the reason why it is missing, says more
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        return self.answer()

    def last_answer(self) -> dict[str, Any]:
        """Close the input, and wait for the last answer. Raises BenchError."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Wait for the next answer. Raises BenchError if the answer is an error, or if the process ends first."""
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
        memory = "; usually the host is out of memory" if code == -signal.SIGKILL else ""
        return f"its process ended ({how}{memory})" + (f": {lines[-1][:SAID]}" if lines else "")


@contextlib.contextmanager
def child_from_arguments(
    arguments: Sequence[str],
    *,
    program: str = sys.executable,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Child]:
    """Start a program with arguments, by default this Python. The process is killed when the block ends."""
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
