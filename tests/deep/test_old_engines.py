"""Graphs in the oldest releases of engines that run them (docs/bundle.md); each is installed in an environment of its own."""

import shutil
import subprocess

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from fnet_runtime.bundle.golden import golden_from_file
from fnet_runtime.bundle.manifest import GOLDEN, INT8, MODEL
from fnet_runtime.sessions.processor import saturates_int8
from support.checkpoints import tiny_config
from support.environments import ROOT, python_of
from support.exports import export

from fnet_core.fnet import FNet
from fnet_core.tasks import BATCH, CHOICES, SEQUENCE, TASKS
from fnet_export.graph.file import lowest_ir_version, write_graph
from fnet_export.graph.lower import lowered_for_target
from fnet_export.graph.optimize import optimized_from_graph
from fnet_export.graph.trace import graph_from_model

SCRIPT = ROOT / "tests" / "golden" / "old_engine.py"
OLDEST = {18: ("onnxruntime-1.16", "onnxruntime-1.17", "openvino-2024.6"), 20: ("onnxruntime-1.17", "openvino-2024.6")}
"""By operator set, the releases that run it."""
SIZES = {BATCH: 2, CHOICES: 3}


@pytest.mark.parametrize(("opset", "version"), [(18, 8), (19, 9), (20, 9), (21, 10), (22, 10), (23, 11), (24, 12), (25, 13)])
def test_the_ir_version_is_the_first_that_has_the_operator_set(opset, version, tmp_path):
    graph = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : {opset}]> g (float[2] x) => (float[2] y) {{ y = Relu(x) }}')
    assert lowest_ir_version(graph) == version
    write_graph(graph, tmp_path / MODEL)
    assert onnx.load(tmp_path / MODEL).ir_version == version


def case(folder, inputs):
    """A folder for the script, of a graph that is there."""
    np.savez(folder / "inputs.npz", **inputs)
    return folder


def ran(environment, folders, tmp_path):
    """The outputs of each folder's graph in an environment, or the engine's words."""
    copies = [shutil.copytree(folder, tmp_path / f"{environment}-{folder.name}") for folder in folders]
    subprocess.run([python_of(environment), SCRIPT, *copies], check=True)
    for copy in copies:
        if (copy / "error.txt").exists():
            yield (copy / "error.txt").read_text()
        else:
            with np.load(copy / "outputs.npz") as arrays:
                yield dict(arrays)


@pytest.fixture(scope="module")
def bundles(whole_bundle, checkpoint, tmp_path_factory):
    """Bundles by operator set and precision, the inputs of their golden.safetensors beside the graph."""
    root = tmp_path_factory.mktemp("bundles")
    made = {(20, "fp32"): shutil.copytree(whole_bundle, root / "20-fp32")}
    for opset, precision in ((18, "fp32"), (18, INT8), (20, INT8)):
        options = {"precision": precision, "opset": opset}
        made[opset, precision] = export(checkpoint, root / f"{opset}-{precision}", **options).folder
    return {key: case(folder, case_of(folder).inputs) for key, folder in made.items()}


def case_of(folder):
    """The one case of a golden.safetensors whose texts are padded to one length."""
    (found,) = golden_from_file(folder / GOLDEN).cases
    return found


@pytest.mark.parametrize("environment", OLDEST[18])
def test_bundles_answer_their_golden_inputs(environment, bundles, tmp_path):
    wrong = {INT8} if environment.startswith("openvino") and saturates_int8() else set()  # fnet_runtime refuses it there
    known = {key: folder for key, folder in bundles.items() if environment in OLDEST[key[0]] and key[1] not in wrong}
    for (key, folder), outputs in zip(known.items(), ran(environment, known.values(), tmp_path), strict=True):
        limits = golden_from_file(folder / GOLDEN).limits
        for name, reference in case_of(folder).references.items():
            assert np.abs(outputs[name] - reference).max() <= limits[name], (environment, key, name)


def test_an_engine_refuses_an_operator_set_that_is_newer(bundles, tmp_path):
    (words,) = ran("onnxruntime-1.16", [bundles[20, "fp32"]], tmp_path)
    assert "Current official support for domain ai.onnx is till opset 19" in words


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """Every task's graph as an export makes it, with inputs and the outputs of the model as it was before."""
    import torch

    made = {}
    for name, task in TASKS.items():
        folder = tmp_path_factory.mktemp(name)
        torch.manual_seed(3)
        model = FNet(tiny_config(), task).eval()
        for value in model.parameters():
            torch.nn.init.normal_(value, std=0.3)
        shapes = {key: [SIZES.get(a, 32 if a == SEQUENCE else a) for a in axes] for key, axes in task.inputs.items()}
        inputs = {key: torch.randint(0, 4, shape) for key, shape in shapes.items()}
        with torch.no_grad():
            found = model(**inputs)
        wanted = dict(zip(task.outputs, (found,) if isinstance(found, torch.Tensor) else found, strict=True))
        lowered = lowered_for_target(model, task, "folded", any_length=False, target="onnx", precision="fp32")
        write_graph(optimized_from_graph(graph_from_model(lowered)), folder / MODEL)
        made[name] = case(folder, {key: value.numpy() for key, value in inputs.items()}), wanted
    return made


@pytest.mark.parametrize("environment", OLDEST[20])
def test_every_task_runs(environment, tasks, tmp_path):
    folders = [folder for folder, _ in tasks.values()]
    for (name, (_, wanted)), outputs in zip(tasks.items(), ran(environment, folders, tmp_path), strict=True):
        for output, value in wanted.items():
            np.testing.assert_allclose(outputs[output], value.numpy(), atol=1e-5, err_msg=f"{environment}: {name}")
