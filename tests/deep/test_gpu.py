"""Real engines and providers on a real GPU: skipped, with the reason, where there is none."""

import fnet_runtime
import numpy as np
import pytest
from fnet_runtime.errors import LibraryError, NoDeviceError
from fnet_runtime.sessions.providers import CPU, PROVIDERS, check_provider
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
    assert all(check.passed for check in pipe.self_test())
    inputs = {t.name: np.zeros((3, *([2] * (len(t.axes) - 2)), t.axes[-1]), np.int64) for t in pipe.manifest.inputs}
    on_cpu = fnet_runtime.load(exported.folder, runtime="onnxruntime").session.run(inputs)
    for name, output in pipe.session.run(inputs).items():
        np.testing.assert_allclose(output, on_cpu[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != CPU])
@pytest.mark.parametrize(("target", "precision"), [("onnx", "fp32"), ("openvino", "fp16"), ("openvino", "bf16")])
def test_a_provider_takes_every_node_and_agrees(provider, target, precision, tmp_path):
    try:
        check_provider(PROVIDERS[provider])
    except (LibraryError, NoDeviceError) as error:
        pytest.skip(f"not run: {error}")
    checkpoint = save_tiny(tmp_path / "checkpoint", "sequence-classification")
    folder = export(checkpoint, tmp_path / "bundle", target=target, precision=precision).folder
    pipe = fnet_runtime.load(folder, provider=provider)
    assert all(check.passed for check in pipe.self_test())
