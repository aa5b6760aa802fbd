"""The C++ runtime on shared inputs: its program fnet-session, where that is installed or built."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import onnxruntime
from fnet_runtime.bundle.manifest import TensorInfo
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.session import ANY_BATCH, Ids, Outputs, checked_inputs
from safetensors import SafetensorError
from safetensors.numpy import load, save

PROGRAM = "fnet-session"
PROGRAM_VARIABLE, LIBRARY_VARIABLE = "FNET_SESSION", "FNET_ONNXRUNTIME"
BUILT = Path(__file__).parents[3] / "runtimes" / "cpp" / "build" / "default" / PROGRAM
"""Where `make cpp` builds it in a checkout of this project."""
PATIENCE_S, END_S = 300.0, 10.0
"""Seconds to open a graph or to answer a batch, many times what fnet-large needs, and seconds to end after the request."""
LENGTH_BYTES = 8
"""Before every file on its standard input and output, little-endian."""


def program_from_host() -> Path | None:
    """Find fnet-session: as FNET_SESSION says (nothing: none), on the PATH, or where `make cpp` builds it."""
    named = os.environ.get(PROGRAM_VARIABLE, shutil.which(PROGRAM))
    return Path(named) if named else BUILT if named is None and BUILT.is_file() else None


class CppSession:
    """A model.onnx opened by the C++ runtime, in a process of its own that ends with this object and answers one caller at a time.

    It opens the ONNX Runtime library of this Python, unless FNET_ONNXRUNTIME names another. A program that takes longer than
    `patience_s` to open the graph or to answer is ended, which is a SessionError.
    """

    batch = ANY_BATCH

    def __init__(
        self, model: Path, inputs: Sequence[TensorInfo], *, program: Path | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        """Start `program`, the one of this host unless given.

        Raises SessionError if the program is missing, or cannot open the graph.
        """
        path = program or program_from_host()
        if path is None:
            raise SessionError(f"{PROGRAM} is not built; make cpp builds it, or name its file in {PROGRAM_VARIABLE}")
        libraries = list((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
        ours = {LIBRARY_VARIABLE: str(libraries[0])} if libraries else {}
        expected = json.dumps([dataclasses.asdict(tensor) for tensor in inputs])
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that is full would stop the program
        weakref.finalize(self, self._stderr.close)
        try:
            self._process = subprocess.Popen(
                [path, model, expected],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=ours | os.environ,
                start_new_session=True,  # so that all that it starts can be ended with it
            )
        except OSError as error:
            raise SessionError(f"{path}: cannot be started ({error.strerror})") from error
        self._inputs, self._one_caller = tuple(inputs), threading.Lock()
        self._patience_s, self._late = patience_s, False
        weakref.finalize(self, _end, self._process)
        with self._patience():
            other = self._read_length() != 0
        if other:
            _kill(self._process)
            raise SessionError(f"{path}: is not {PROGRAM}; make cpp builds it, or name its file in {PROGRAM_VARIABLE}")

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run the graph; see `Session.run`."""
        question = save(checked_inputs(inputs, self._inputs))
        with self._one_caller:
            answer = self._answer(question)
        try:
            return load(answer)
        except SafetensorError as error:
            raise SessionError(f"{PROGRAM} failed: its answer is not a safetensors file ({error})") from error

    def _answer(self, question: bytes) -> bytes:
        assert self._process.stdin is not None
        with self._patience():
            with suppress(BrokenPipeError):  # it has ended: the answer is missing, and it says why
                self._process.stdin.write(len(question).to_bytes(LENGTH_BYTES, "little") + question)
                self._process.stdin.flush()
            return self._read(self._read_length())

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """End the program when the block takes too long, so that reading from it fails, and when the block is interrupted."""
        timer = threading.Timer(self._patience_s, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            _kill(self._process)  # it would go on with its answer
            raise
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._late = True
        _kill(self._process)

    def _read_length(self) -> int:
        """Read the length of its next file."""
        return int.from_bytes(self._read(LENGTH_BYTES), "little")

    def _read(self, length: int) -> bytes:
        """Read from its standard output. Raises SessionError, with its own words, when it has ended instead."""
        assert self._process.stdout is not None
        data = self._process.stdout.read(length)
        if len(data) == length:
            return data
        _end(self._process)
        if self._late:
            raise SessionError(f"{PROGRAM} failed: it gave no answer in {self._patience_s:g} s, and was ended")
        self._stderr.seek(0)
        reason = self._stderr.read().decode(errors="replace").strip().removeprefix("error: ")
        raise SessionError(f"{PROGRAM} failed: {reason or f'exit code {self._process.returncode}'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close what a program reads from, wait until it has ended, and end it where it does not."""
    try:
        process.communicate(timeout=END_S)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.communicate()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it has ended already
        os.killpg(process.pid, signal.SIGKILL)
