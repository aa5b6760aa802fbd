"""Real engines and providers on a real GPU: skipped, with the reason, where there is none."""

import json
import subprocess
import sys

import fnet_runtime
import numpy as np
import pytest
from fnet_runtime.errors import NoDeviceError
from fnet_runtime.sessions.providers import CPU, PROVIDERS
from support.checkpoints import save_tiny
from support.exports import export

from fnet_core.tasks import TASKS

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("task", TASKS)
def test_the_engine_agrees_with_the_reference(task, tmp_path):
    exported = export(save_tiny(tmp_path / "checkpoint", task), tmp_path / "bundle", task=task, target="tensorrt")
    engine = exported.evidence.parity.rows[-1]
    try:
        pipe = fnet_runtime.load(exported.folder)
    except NoDeviceError as error:
        pytest.skip(f"{engine.status}: {error}")
    assert engine.status == "passed"
    profile = exported.evidence.profile
    assert profile.reason is None
    assert any(layer.median_ms for layer in profile.layers)
    assert all(check.passed for check in pipe.self_test())
    inputs = {t.name: np.zeros((3, *([2] * (len(t.axes) - 2)), t.axes[-1]), np.int64) for t in pipe.manifest.inputs}
    on_cpu = fnet_runtime.load(exported.folder, runtime="onnxruntime").session.run(inputs)
    for name, output in pipe.session.run(inputs).items():
        np.testing.assert_allclose(output, on_cpu[name], rtol=1e-3, atol=1e-4)


def fnet_run(*words):
    """Run the command in a process of its own. A provider with a TensorRT-RTX of its own needs one without the package."""
    return subprocess.run([sys.executable, "-m", "fnet_runtime", *map(str, words)], capture_output=True, text=True)


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != CPU])
@pytest.mark.parametrize(("target", "precision"), [("onnx", "fp32"), ("openvino", "fp16"), ("openvino", "bf16")])
def test_a_provider_takes_every_node_and_agrees(provider, target, precision, tmp_path):
    devices = [json.loads(line) for line in fnet_run("--devices", "--json").stdout.splitlines()]
    (device,) = (device for device in devices if (device["kind"], device["name"]) == ("provider", provider))
    if not device["usable"]:
        pytest.skip(f"not run: {device['detail']}")
    checkpoint = save_tiny(tmp_path / "checkpoint", "sequence-classification")
    folder = export(checkpoint, tmp_path / "bundle", target=target, precision=precision).folder
    done = fnet_run(folder, "--self-test", "--provider", provider)
    assert done.returncode == 0, done.stderr
