import numpy as np
import pytest
import torch
from fnet_runtime.bundle.manifest import CALIBRATED, MODEL
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.tokenizer.encoding import PADDINGS, Padding
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
from fnet_export.parity.layers import layers_from_models
from fnet_export.parity.tolerance import UNIT
from fnet_export.precision.emulation import BITS, expected_model, half_model
from fnet_export.precision.quantised import (
    TABLE,
    layers_from_model,
    products_from_graph,
    quantised_from_graph,
    steps_from_bounds,
)
from fnet_export.texts.emails import emails
from fnet_export.texts.samples import parity_samples

TASK = TASKS["sequence-classification"]


def model_of(dtype=torch.float32, **changes):
    torch.manual_seed(0)
    model = FNet(tiny_config(**changes), TASK, dtype=torch.float32).eval()
    return model.to(dtype)


def samples(contract="max_length"):
    texts = emails()[:3]
    padding = Padding(LENGTH, contract)
    return parity_samples(TASK, Tokenizer.from_file(VOCABULARY), tiny_config(), texts, padding=padding, choices=1)


def logits_of(model, given):
    """The logits of every input, those of one length in one batch."""
    batches = given.batches(range(len(given.names)), len(given.names))
    return np.concatenate([TorchSession(model).run(given.batch(batch))["logits"] for batch in batches])


@pytest.mark.parametrize("contract", PADDINGS)
@pytest.mark.parametrize("precision", BITS)
def test_a_half_is_off_by_about_its_unit(precision, contract):
    model, given = model_of(), samples(contract)
    assert (len({array["input_ids"].shape for array in given.inputs}) > 1) == (contract == "none")
    wanted = logits_of(model_of(torch.float64), given)
    found = logits_of(half_model(model, precision), given)
    error = np.abs(found - wanted).max() / np.abs(wanted).max()
    assert UNIT[precision] / 4 < error < 16 * UNIT[precision]
    assert np.abs(logits_of(model, given) - wanted).max() < 1e-6  # the model given is as it was


def test_fp32_is_the_model_itself():
    model = model_of()
    assert expected_model(model, "fp32", {}) is model


def test_int8_steps_are_those_of_the_bounds_and_of_no_graph():
    graph = optimized_from_graph(graph_from_model(lowered_from_model(model_of(), "folded")), QUANTISABLE)
    layers = layers_from_model(model_of())
    bounds = {str(product.activation.name): 12.7 for product in products_from_graph(graph, layers)}
    steps = steps_from_bounds(graph, "int8", bounds, layers, keep=["encoder.blocks.0.output"])
    assert steps.pop(TABLE) == 0.0
    assert {"encoder.blocks.1.intermediate", "encoder.embeddings.projection"} < set(steps)
    assert list(steps.values()) == pytest.approx([0.1] * len(steps))
    assert "encoder.blocks.0.output" not in steps
    assert TABLE not in steps_from_bounds(graph, "int8", bounds, layers, keep=[TABLE])


def test_errors_by_layer():
    exact, half = model_of(torch.float64), half_model(model_of(), "bf16")
    layers = layers_from_models(exact, half, samples())
    assert [layer.name for layer in layers] == ["embeddings", "block 0", "block 1"]
    assert all(0 < layer.mean_rel < layer.max_rel < 0.1 for layer in layers)
    assert all(layer.max_rel == 0 for layer in layers_from_models(exact, exact, samples()))


@pytest.mark.parametrize("precision", CALIBRATED)
def test_eight_bits_in_torch_are_those_of_the_graph(precision, tmp_path):
    """Nearly: float32 may round a number to the other side of a step."""
    model, given = model_of(), samples()
    graph = optimized_from_graph(graph_from_model(lowered_from_model(model_of(), "folded")), QUANTISABLE)
    layers = layers_from_model(model)
    bounds = {str(product.activation.name): 5.0 for product in products_from_graph(graph, layers)}
    emulated = logits_of(expected_model(model, precision, steps_from_bounds(graph, precision, bounds, layers)), given)
    write_graph(quantised_from_graph(graph, precision, bounds, layers, target="tensorrt"), tmp_path / MODEL)
    session = OrtSession(tmp_path / MODEL, tensors_from_task(TASK, tiny_config(), Padding(LENGTH))[0])
    found = np.concatenate([session.run(each)["logits"] for each in given.inputs])
    error = np.abs(emulated - logits_of(model_of(torch.float64), given))
    assert error.max() > 0
    assert np.abs(found - emulated).mean() < 0.1 * error.mean()
