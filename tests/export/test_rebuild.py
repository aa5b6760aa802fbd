"""fnet-export rebuild, fnet-run --rebuild and load(..., rebuild=True), with a stand-in for the GPU and the real TensorRT-RTX."""

import json
import pickle
import subprocess
import sys

import pytest
import tensorrt_rtx
from click.testing import CliRunner
from fnet_runtime.command.cli import main as fnet_run
from fnet_runtime.engine.cache import CACHE_VARIABLE
from fnet_runtime.errors import OptionError, SessionError
from fnet_runtime.pipeline.open import load
from fnet_runtime.sessions import runtimes
from fnet_runtime.sessions.trt_session import TrtOptions
from support.exports import stored
from support.fake_cuda import FakeCuda

from fnet_export.commands.cli import main


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", FakeCuda())


@pytest.fixture(scope="module")
def engine_bundle(shared):
    return stored(shared, target="tensorrt-rtx")


@pytest.mark.usefixtures("gpu")
def test_the_command_builds_once(engine_bundle, cache):
    done = CliRunner().invoke(main, ["rebuild", str(engine_bundle)])
    assert done.exit_code == 0, done.output
    (entry,) = (path for path in cache.iterdir() if path.is_dir())
    said = f", by tensorrt_rtx {tensorrt_rtx.__version__} for NVIDIA L4 (compute capability 8.9)"
    assert f"{entry / 'model.engine'}: built in " in done.stdout
    assert said in done.stdout
    again = CliRunner().invoke(main, ["rebuild", str(engine_bundle)])
    assert again.stdout == f"{entry / 'model.engine'}: was in the cache{said}\n"
    values = json.loads(CliRunner().invoke(main, ["rebuild", str(engine_bundle), "--json"]).stdout)
    assert (values["built"], values["gpu"], values["compute_capability"]) == (False, "NVIDIA L4", "8.9")
    quiet = CliRunner().invoke(main, ["rebuild", str(engine_bundle), "--quiet"])
    assert (quiet.exit_code, quiet.output) == (0, "")
    failed = CliRunner().invoke(main, ["rebuild", str(cache / "nowhere"), "--quiet", "--json"])
    assert (failed.exit_code, json.loads(failed.stdout)["exit_code"]) == (1, 1)
    assert failed.stderr == f"error: {json.loads(failed.stdout)['error']}\n"


@pytest.mark.usefixtures("gpu")
def test_a_pipeline_opens_the_engine_of_the_cache(engine_bundle, cache, monkeypatch):
    opened = []

    class Session:
        batch = None

        def __init__(self, file, info, inputs, *, options):
            opened.append((file, info.compute_capabilities, options))

    monkeypatch.setattr(runtimes, "TrtSession", Session)
    pipeline = load(engine_bundle, rebuild=True, contexts=3, cuda_graph=True)
    (entry,) = (path for path in cache.iterdir() if path.is_dir())
    pickle.loads(pickle.dumps(pipeline))
    assert opened == [(entry / "model.engine", ("8.9",), TrtOptions(contexts=3, cuda_graph=True))] * 2


@pytest.mark.usefixtures("gpu")
def test_what_the_library_says_of_the_rebuilt_engine_reaches_the_caller(engine_bundle, cache):
    with pytest.raises(SessionError, match=rf"{cache}.*/model\.engine: tensorrt_rtx .* cannot open it"):
        load(engine_bundle, rebuild=True)  # there is no real GPU


def test_without_a_gpu_nothing_is_built(engine_bundle, cache):
    for program, words in ((main, ["rebuild", str(engine_bundle)]), (fnet_run, [str(engine_bundle), "--rebuild", "--text", "a"])):
        done = CliRunner().invoke(program, words)
        assert done.exit_code == 4
        assert "no NVIDIA GPU on this host" in done.stderr
    assert not cache.exists()


def test_the_command_needs_no_torch():
    code = "import sys, fnet_export.commands.rebuild; sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_bundle_without_an_engine_of_tensorrt(whole_bundle):
    done = CliRunner().invoke(main, ["rebuild", str(whole_bundle)])
    assert done.exit_code == 1
    assert "the target onnx has no engine of TensorRT, so there is nothing to rebuild" in done.stderr
    done = CliRunner().invoke(fnet_run, [str(whole_bundle), "--rebuild", "--text", "a"])
    assert done.exit_code == 1
    with pytest.raises(OptionError, match="rebuild: is for engines of TensorRT; .* opens with onnxruntime, which builds none"):
        load(whole_bundle, rebuild=True)
