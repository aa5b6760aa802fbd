"""An export that ends in the middle leaves nothing half-written, and no folder that nobody removes."""

import os
import signal
import subprocess
import sys

import pytest

from fnet_export.bundle.folder import bundle_folder

SHORT = ["--task", "sequence-classification", "--target", "onnx"]


def test_a_full_disk_leaves_nothing(checkpoint, tmp_path):
    """A real one: the process may write files of 100 kB at most, which fails inside onnx.save."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000));"
        "from fnet_export.commands.cli import main; main()"
    )
    arguments = [*SHORT, "--model", str(checkpoint), "--output", str(tmp_path / "b")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, "cannot be written (File too large)" in done.stderr) == (1, True), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130), ("SIGKILL", -9)])
def test_killed_in_the_middle(checkpoint, tmp_path, name, code):
    arguments = [*SHORT, "--model", str(checkpoint), "--output", str(tmp_path / "b")]
    child = subprocess.Popen([sys.executable, "-m", "fnet_export", *arguments], stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    while "prove parity" not in child.stderr.readline():
        assert child.poll() is None
    os.kill(child.pid, getattr(signal, name))
    child.stderr.close()
    assert child.wait(60) == code
    assert bool(list(tmp_path.iterdir())) == (name == "SIGKILL")
    if name == "SIGKILL":
        with bundle_folder(tmp_path / "b", force=False):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["b"]
