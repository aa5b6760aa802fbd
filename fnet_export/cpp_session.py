"""The C++ runtime on shared inputs: its program fnet-session, where that is installed or built."""

import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

import onnxruntime
from fnet_runtime.errors import SessionError
from fnet_runtime.manifest import TensorInfo
from fnet_runtime.session import ANY_BATCH, Ids, Outputs, checked_inputs
from safetensors import SafetensorError
from safetensors.numpy import load, save

PROGRAM = "fnet-session"
PROGRAM_VARIABLE, LIBRARY_VARIABLE = "FNET_SESSION", "FNET_ONNXRUNTIME"
BUILT = Path(__file__).parents[1] / "runtimes" / "cpp" / "build" / "default" / PROGRAM
"""Where `make cpp` builds it, beside a checkout of this project."""
LENGTH_BYTES = 8
"""Before every file on its standard input and output, little-endian."""


def program_from_host() -> Path | None:
    """Find fnet-session: as FNET_SESSION says (nothing: none), on the PATH, or where `make cpp` builds it."""
    named = os.environ.get(PROGRAM_VARIABLE, shutil.which(PROGRAM))
    return Path(named) if named else BUILT if named is None and BUILT.is_file() else None


class CppSession:
    """A model.onnx opened by the C++ runtime, in a process of its own that ends with this object and answers one caller at a time.

    It opens the ONNX Runtime library of this Python, unless FNET_ONNXRUNTIME names another.
    """

    batch = ANY_BATCH

    def __init__(self, model: Path, inputs: Sequence[TensorInfo], *, program: Path | None = None) -> None:
        """Start `program`, the one of this host unless given.

        Raises SessionError where there is none, or where it cannot open the graph.
        """
        found = program or program_from_host()
        if found is None:
            raise SessionError(f"{PROGRAM} is not built; make cpp builds it, or name its file in {PROGRAM_VARIABLE}")
        libraries = list((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
        ours = {LIBRARY_VARIABLE: str(libraries[0])} if libraries else {}
        expected = json.dumps([dataclasses.asdict(tensor) for tensor in inputs])
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that is full would stop the program
        weakref.finalize(self, self._said.close)
        try:
            self._process = subprocess.Popen(
                [found, model, expected],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=ours | os.environ,
            )
        except OSError as error:
            raise SessionError(f"{found}: cannot be started ({error.strerror})") from error
        self._inputs, self._one_caller = tuple(inputs), Lock()
        weakref.finalize(self, self._process.communicate)
        if self._read_length():
            self._process.kill()
            raise SessionError(f"{found}: is not {PROGRAM}; make cpp builds it, or name its file in {PROGRAM_VARIABLE}")

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
        try:
            self._process.stdin.write(len(question).to_bytes(LENGTH_BYTES, "little") + question)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: the answer is missing, and it says why
        return self._read(self._read_length())

    def _read_length(self) -> int:
        """Read the length of its next file."""
        return int.from_bytes(self._read(LENGTH_BYTES), "little")

    def _read(self, length: int) -> bytes:
        """Read from its standard output. Raises SessionError, with its own words, when it has ended instead."""
        assert self._process.stdout is not None
        data = self._process.stdout.read(length)
        if len(data) == length:
            return data
        self._process.communicate()
        self._said.seek(0)
        reason = self._said.read().decode(errors="replace").strip().removeprefix("error: ")
        raise SessionError(f"{PROGRAM} failed: {reason or f'exit code {self._process.returncode}'}")
