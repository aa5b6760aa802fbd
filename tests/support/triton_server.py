"""A real Triton server. The PyPI package nvidia-pytriton carries one, with its Python backend and without any other backend."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.environments import python_of
from support.paths import GOLDEN, ROOT
from support.tiers import not_run

ENVIRONMENT = "triton-2.51"
CLIENT = GOLDEN / "triton_client.py"
LIBRARY = "libpython3.11.so.1.0"
"""What the Python backend's process is linked with."""
POLLS, PAUSE_S = 1500, 0.2
"""How often the server is looked at while it starts or ends. Looks are counted, because a busy host may stop everything here."""


def packages_of_server():
    """Return the folder of packages of the environment that has the server, or skip the test."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        not_run("Triton", LIBRARY, "scripts/system_packages.sh")
    if sys.version_info[:2] != (3, 11):
        not_run("Triton", "Python 3.11, for which the server's process is built", "the tests with Python 3.11")
    python = python_of(ENVIRONMENT)
    return python.parents[1] / "lib" / "python3.11" / "site-packages"


def program_from_packages(packages, folder):
    """Put the server's files where the server looks for them, and return its program and the folder of its backends."""
    carried = packages / "pytriton" / "tritonserver"
    shutil.copytree(carried / "backends", folder / "backends")
    stub, program = "triton_python_backend_stub", folder / "tritonserver"
    shutil.copy(carried / "python_backend_stubs" / "3.11" / stub, folder / "backends" / "python" / stub)
    shutil.copy(carried / "bin" / "tritonserver", program)
    for path in (program, folder / "backends" / "python" / stub):
        path.chmod(0o755)
    return program, folder / "backends"


def waited(condition):
    """Wait until a condition holds, for a limited number of looks."""
    for _ in range(POLLS):
        if condition():
            return
        time.sleep(PAUSE_S)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass
class TritonServer:
    """A running server: its process, addresses and log."""

    process: subprocess.Popen
    http: str
    grpc: str
    log: Path

    def ready(self):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{self.http}/v2/health/ready", timeout=10) as answer:
            return answer.status == 200
        return False

    def ask(self, *requests, clients=1):
        """Send requests with tritonclient, and return the result of each (tests/golden/triton_client.py)."""
        job = {"http": self.http, "grpc": self.grpc, "clients": clients, "requests": requests}
        done = subprocess.run([python_of(ENVIRONMENT), CLIENT], input=json.dumps(job), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def call(self, name, *arguments):
        """Call a method of the HTTP client."""
        return self.ask({"call": name, "arguments": arguments})[0]

    def answered(self, model):
        """Return how many requests a model has answered."""
        with urllib.request.urlopen(f"http://{self.http}/v2/models/{model}/stats", timeout=10) as answer:
            return int(json.load(answer)["model_stats"][0]["inference_count"])

    def instances(self):
        """Return the processes of the instances of Python models."""
        process = self.process.pid
        return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]

    def shared_memory(self):
        """Return the files through which the server and its instances exchange tensors."""
        words = [word for pid in self.instances() for word in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]
        return [Path("/dev/shm") / word for word in words if word.startswith("triton_python_backend_shm")]

    def stop(self):
        """Ask the server to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        waited(lambda: self.process.poll() is not None)
        return self.process.poll()


@contextlib.contextmanager
def running(repository, folder, *options):
    """Run a server on a repository until the end of the block. Files of the server go to `folder`."""
    packages = packages_of_server()
    folder.mkdir(parents=True, exist_ok=True)
    program, backends = program_from_packages(packages, folder)
    http, grpc = free_port(), free_port()
    command = [program, "--model-repository", repository, "--backend-directory", backends, "--allow-metrics", "false"]
    command += ["--http-address", "127.0.0.1", "--http-port", str(http), "--grpc-address", "127.0.0.1", "--grpc-port", str(grpc)]
    log = folder / "log"
    environment = os.environ | {"LD_LIBRARY_PATH": str(packages.parent / "site-packages" / "nvidia_pytriton.libs")}
    with log.open("wb") as output:
        process = subprocess.Popen([*command, *options], stdout=output, stderr=output, env=environment)
    server = TritonServer(process, f"127.0.0.1:{http}", f"127.0.0.1:{grpc}", log)
    try:
        waited(lambda: server.ready() or process.poll() is not None)
        if not server.ready():
            pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-4000:]}")
        yield server
    finally:
        if process.poll() is None:
            files = server.shared_memory()
            process.kill()
            process.wait()
            for path in files:  # a killed server leaves them
                path.unlink(missing_ok=True)


def own_packages():
    """Return the folders that the models of a repository look in for packages."""
    return packages_of_server(), ROOT / "runtimes" / "python"


STAND_IN = '''"""A stand-in for Triton's ONNX Runtime backend, which the server of the tests does not have."""

import sys

sys.path[:0] = {packages}
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as utilities


class TritonPythonModel:
    def initialize(self, args):
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]
        self.outputs = [tensor.name for tensor in self.session.get_outputs()]

    def execute(self, requests):
        """Run the requests of a batch as one, as the backend does."""
        arrays = [[utilities.get_input_tensor_by_name(r, name).as_numpy() for name in self.inputs] for r in requests]
        ends = np.cumsum([len(each[0]) for each in arrays])[:-1]
        joined = dict(zip(self.inputs, map(np.concatenate, zip(*arrays))))
        parts = [np.split(output, ends) for output in self.session.run(self.outputs, joined)]
        tensors = [[utilities.Tensor(name, part) for name, part in zip(self.outputs, each)] for each in zip(*parts)]
        return [utilities.InferenceResponse(output_tensors=each) for each in tensors]
'''


def stand_in_for_backend(folder):
    """Let the Python backend run the graph of an ensemble, with the configuration that the ONNX Runtime backend would get."""
    config = folder / "config.pbtxt"
    text = config.read_text("utf-8")
    assert 'backend: "onnxruntime"\n' in text
    lines = [line for line in text.splitlines() if not line.startswith("default_model_filename")]
    config.write_text("\n".join(lines).replace('backend: "onnxruntime"', 'backend: "python"') + "\n", "utf-8")
    packages = [str(path) for path in own_packages()]
    (folder / "1" / "model.py").write_text(STAND_IN.format(packages=packages), "utf-8")
