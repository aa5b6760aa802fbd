"""The tolerance is no alarm: a hundred honest models pass, each with other weights."""

import numpy as np
import pytest
import torch
from conftest import LENGTH, VOCABULARY, tiny_config
from fnet_runtime.ort_session import OrtSession
from fnet_runtime.tokenizer import Tokenizer

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.bundle import tensors_from_task, write_graph
from fnet_export.inputs import parity_samples
from fnet_export.lower import lowered_from_model
from fnet_export.optimize import optimized_from_graph
from fnet_export.parity import Candidate, parity_from_candidates
from fnet_export.reference import reference_from_model
from fnet_export.texts import texts_from_file
from fnet_export.torch_session import TorchSession
from fnet_export.trace import graph_from_model

TASK = TASKS["sequence-classification"]
CONFIG = tiny_config(hidden_size=24, intermediate_size=40)
SEEDS = 100


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
def samples():
    texts, tokenizer = texts_from_file(None).texts, Tokenizer.from_file(VOCABULARY)
    return parity_samples(TASK, tokenizer, CONFIG, texts, sequence_length=LENGTH, choices=1)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_honest_exports_pass(seed, traced, samples, tmp_path):
    lowered, graph = traced
    with torch.no_grad():
        for mine, other in zip(lowered.parameters(), lowered_from_model(model_of(seed), "folded").parameters(), strict=True):
            mine.copy_(other)
    write_graph(optimized_from_graph(graph), tmp_path / "model.onnx")
    inputs = tensors_from_task(TASK, CONFIG, LENGTH)[0]
    candidates = [
        Candidate(name="torch", open=lambda: TorchSession(model_of(seed)), expected=True),
        Candidate(name="lowered", open=lambda: TorchSession(lowered)),
        Candidate(name="ONNX Runtime", open=lambda: OrtSession(tmp_path / "model.onnx", inputs)),
    ]
    reference = reference_from_model(model_of(seed, torch.float64), samples)
    report = parity_from_candidates(reference, candidates, samples)
    found = report.rows[2].outputs["logits"]
    assert report.passed, (report.rows, np.divide(found.difference.max_abs, found.limit.max_abs))
