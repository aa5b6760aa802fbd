"""What libraries would do unasked: send usage data, leave it in the user's home, and print when they cannot."""

from pathlib import Path

import pytest
from support.network import Network

ANSWER = "import fnet_runtime, sys; fnet_runtime.load(sys.argv[1], runtime=sys.argv[2])('a')"
MAIN = "from fnet_export.commands.cli import main; main()"
IMPORTS = (
    "import fnet_runtime, openvino",
    "import fnet_export, openvino",
    "import fnet_export.engine.openvino as o; o.openvino_library()",
    "import fnet_export.engine.sessions.cpp_session",
    "import fnet_core.checkpoint.hub; from huggingface_hub import constants; assert constants.HF_HUB_DISABLE_TELEMETRY",
)
OF_MATPLOTLIB = {".cache", ".config"}
UNWRITABLE = ("/dev/null/home", "/proc")
"""Homes that root cannot write to either: one that is not a folder, and one that is."""


@pytest.fixture
def network(tmp_path):
    return Network(tmp_path)


@pytest.fixture
def home(request, tmp_path):
    """A fresh one, or the one that a test names."""
    named = getattr(request, "param", None)
    folder = Path(named) if named else tmp_path / "home"
    if not named:
        folder.mkdir()
    return folder


def test_what_is_asked_of_the_network_is_seen(network, home):
    code = """
import socket
for ask in (lambda: socket.create_connection(("usage.invalid", 80)), lambda: socket.gethostbyname("usage.invalid"),
            lambda: socket.socket().connect(("192.0.2.1", 80)),
            lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("192.0.2.1", 53))):
    try:
        ask()
    except OSError:
        pass
"""
    network.python(code, home=home)
    assert network.asked == ["getaddrinfo usage.invalid", "getaddrinfo usage.invalid", "connect ", "sendto "]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_runtime_sends_nothing(network, home, openvino_bundle, runtime):
    network.python(ANSWER, openvino_bundle, runtime, home=home)
    assert (network.asked, list(home.iterdir())) == ([], [])


@pytest.mark.parametrize("code", IMPORTS)
def test_a_library_sends_nothing_once_a_package_of_ours_is_imported(network, home, code):
    network.python(code, home=home)
    assert (network.asked, list(home.iterdir())) == ([], [])


def test_whoever_imports_openvino_telemetry_first_keeps_it(network, home):
    network.python("import openvino_telemetry as t, sys, fnet_runtime; assert sys.modules[t.__name__] is t", home=home)


@pytest.mark.parametrize("home", UNWRITABLE, indirect=True)
def test_charts_and_engines_print_nothing_where_the_home_cannot_be_written(network, home, openvino_bundle, tmp_path):
    done = network.python(MAIN, "bench", openvino_bundle, "--rounds", "2", "--chart", tmp_path / "chart.svg", home=home)
    assert [line for line in done.stderr.splitlines() if line != "batch 1, all cores"] == []
    assert (tmp_path / "chart.svg").exists()


@pytest.mark.parametrize("home", [None, UNWRITABLE[0]], indirect=True, ids=["fresh", "unwritable"])
def test_a_quiet_export_sends_and_prints_nothing(network, home, checkpoint, tmp_path):
    words = ["--task", "sequence-classification", "--model", checkpoint, "--target", "onnx", "--output", tmp_path / "bundle"]
    done = network.python(MAIN, *words, "--quiet", home=home)
    assert (network.asked, done.stdout, done.stderr) == ([], "", "")
    assert not home.exists() or {path.name for path in home.iterdir()} <= OF_MATPLOTLIB
