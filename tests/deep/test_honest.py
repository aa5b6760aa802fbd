"""The tolerance is no alarm: a hundred honest models pass, each with other weights, and some of them in every other precision."""

from functools import partial

import numpy as np
import pytest
import torch
from fnet_runtime.bundle.manifest import CALIBRATED, OPENVINO
from fnet_runtime.sessions.openvino_session import OpenVinoSession, precision_on_cpu
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.sessions.processor import saturates_int8
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from support.checkpoints import LENGTH, VOCABULARY, tiny_config

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.engine.sessions.torch_session import TorchSession
from fnet_export.graph.file import write_graph
from fnet_export.graph.lower import lowered_from_model
from fnet_export.graph.optimize import QUANTISABLE, optimized_from_graph
from fnet_export.graph.tensors import tensors_from_task
from fnet_export.graph.trace import graph_from_model
from fnet_export.parity.check import Candidate, parity_from_candidates
from fnet_export.parity.reference import reference_from_model
from fnet_export.precision.calibrate import bounds_from_graph
from fnet_export.precision.eight_bit import EIGHT_BITS
from fnet_export.precision.emulation import half_model, quantised_model
from fnet_export.precision.half import HALVES, half_from_graph
from fnet_export.precision.quantised import layers_from_model, products_from_graph, quantised_from_graph, steps_from_bounds
from fnet_export.texts.samples import parity_samples
from fnet_export.texts.text_files import texts_from_file

TASK = TASKS["sequence-classification"]
CONFIG = tiny_config(hidden_size=24, intermediate_size=40)
SEEDS, SEEDS_OF_OTHERS = 100, 15


def model_of(seed, dtype=torch.float32):
    torch.manual_seed(seed)
    model = FNet(CONFIG, TASK).eval()
    std = (0.02, 0.1, 0.3)[seed % 3]
    for module in model.modules():
        for name, value in module.named_parameters(recurse=False):
            torch.nn.init.normal_(value, std=std)
            if isinstance(module, torch.nn.LayerNorm) and name == "weight" and seed % 2:
                value.data += 1
    return model.to(dtype)


@pytest.fixture(scope="module")
def traced():
    """One trace for all: its weights are views of the model's, which each seed overwrites."""
    lowered = lowered_from_model(model_of(0), "folded")
    return lowered, graph_from_model(lowered)


@pytest.fixture(scope="module")
def scaled():
    """The same for half precision."""
    lowered = lowered_from_model(model_of(0), "folded", scaled=True)
    return lowered, graph_from_model(lowered)


@pytest.fixture(scope="module")
def samples():
    texts, tokenizer = texts_from_file(None).texts, Tokenizer.from_file(VOCABULARY)
    return parity_samples(TASK, tokenizer, CONFIG, texts, padding=Padding(LENGTH), choices=1)


def fill(lowered, seed):
    with torch.no_grad():
        for mine, other in zip(lowered.parameters(), lowered_from_model(model_of(seed), "folded").parameters(), strict=True):
            mine.copy_(other)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_honest_exports_pass(seed, traced, samples, tmp_path):
    lowered, graph = traced
    fill(lowered, seed)
    write_graph(optimized_from_graph(graph), tmp_path / "model.onnx")
    inputs = tensors_from_task(TASK, CONFIG, Padding(LENGTH))[0]
    candidates = [
        Candidate(name="torch", open=lambda: TorchSession(model_of(seed)), expected=True),
        Candidate(name="lowered", open=lambda: TorchSession(lowered)),
        Candidate(name="ONNX Runtime", open=lambda: OrtSession(tmp_path / "model.onnx", inputs)),
    ]
    reference = reference_from_model(model_of(seed, torch.float64), samples)
    report = parity_from_candidates(reference, candidates, samples)
    found = report.rows[2].outputs["logits"]
    assert report.passed, (report.rows, np.divide(found.difference.max_abs, found.limit.max_abs))


def passing(seed, samples, precision, expected, sessions):
    """Check sessions of a precision beside the model that says what to expect; raise where one does not pass."""
    candidates = [Candidate(name="emulated", open=lambda: TorchSession(expected), expected=True, precision=precision)]
    candidates += [Candidate(name=name, open=lambda it=it: it, precision=precision) for name, it in sessions.items()]
    report = parity_from_candidates(reference_from_model(model_of(seed, torch.float64), samples), candidates, samples)
    assert report.passed, [(row.name, row.outputs["logits"].share_of_limit, row.outputs) for row in report.rows]


@pytest.mark.parametrize("precision", CALIBRATED)
@pytest.mark.parametrize("seed", range(SEEDS_OF_OTHERS))
def test_honest_eight_bits_pass(seed, precision, traced, samples, tmp_path):
    lowered, graph = traced
    fill(lowered, seed)
    float32 = optimized_from_graph(graph, QUANTISABLE)
    layers = layers_from_model(model_of(seed))
    inputs = tensors_from_task(TASK, CONFIG, Padding(LENGTH))[0]
    write_graph(float32, tmp_path / "model.onnx")
    tensors = list(dict.fromkeys(str(product.activation.name) for product in products_from_graph(float32, layers)))
    bounds = bounds_from_graph(tmp_path / "model.onnx", tensors, inputs, samples, "minmax")
    sessions = {}
    opened = {next(iter(EIGHT_BITS[precision].forms)): OrtSession}
    if precision == "int8" and not saturates_int8():
        opened[OPENVINO] = partial(OpenVinoSession, precision="int8")
    for target, session in opened.items():
        path = tmp_path / target / "model.onnx"
        path.parent.mkdir()
        write_graph(quantised_from_graph(float32, precision, bounds, layers, target=target), path)
        sessions[target] = session(path, inputs)
    steps = steps_from_bounds(float32, precision, bounds, layers)
    passing(seed, samples, precision, quantised_model(model_of(seed), precision, steps), sessions)


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("seed", range(SEEDS_OF_OTHERS))
def test_honest_halves_pass(seed, precision, scaled, samples, tmp_path):
    lowered, graph = scaled
    with torch.no_grad():
        own = lowered_from_model(model_of(seed), "folded", scaled=True)
        for mine, other in zip(lowered.parameters(), own.parameters(), strict=True):
            mine.copy_(other)
    write_graph(half_from_graph(optimized_from_graph(graph), precision), tmp_path / "model.onnx")
    inputs = tensors_from_task(TASK, CONFIG, Padding(LENGTH))[0]
    sessions = {"ONNX Runtime": OrtSession(tmp_path / "model.onnx", inputs)} if precision == "fp16" else {}
    if precision_on_cpu(precision) == precision:
        sessions["OpenVINO"] = OpenVinoSession(tmp_path / "model.onnx", inputs, precision=precision)
    if not sessions:
        pytest.skip(f"nothing here runs {precision}")
    passing(seed, samples, precision, half_model(model_of(seed), precision), sessions)
