"""The tolerance is sharp: a damaged graph fails, in float32 and in eight bits, and the same graph whole passes."""

import pytest
import torch
from fnet_runtime.sessions.ort_session import OrtSession
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from safetensors.torch import load_file, save_file
from support.checkpoints import save_tiny
from support.mutations import FP8_MUTATIONS, INT8_MUTATIONS, MUTATIONS, save_overflowing

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import checkpoint_from_name
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
from fnet_export.precision.quantised import layers_from_model, products_from_graph, quantised_from_graph, steps_from_bounds
from fnet_export.texts.samples import parity_samples
from fnet_export.texts.text_files import texts_from_file

TASK = TASKS["sequence-classification"]


class Honest:
    """A checkpoint: its reference, what to expect, its graph and its inputs."""

    def __init__(self, name, transform, texts=None):
        checkpoint = checkpoint_from_name(name)
        self.model = model_from_checkpoint(checkpoint, TASK)
        self.graph = optimized_from_graph(graph_from_model(lowered_from_model(self.model, transform)))
        self.scaled = optimized_from_graph(graph_from_model(lowered_from_model(self.model, transform, scaled=True)))
        tokenizer = Tokenizer.from_file(checkpoint.folder / "spiece.model")
        length = self.model.sequence_length
        texts = texts_from_file(None).texts[:texts]
        self.samples = parity_samples(TASK, tokenizer, checkpoint.config, texts, padding=Padding(length), choices=1)
        self.reference = reference_from_model(model_from_checkpoint(checkpoint, TASK, dtype=torch.float64), self.samples)
        self.inputs = tensors_from_task(TASK, checkpoint.config, Padding(length))[0]

    def status(self, graph, folder, precision="fp32"):
        write_graph(graph, folder / "model.onnx")
        model = self.model if precision == "fp32" else half_model(self.model, precision)
        candidates = [
            Candidate(name="torch", open=lambda: TorchSession(model), expected=True, precision=precision),
            Candidate(name="graph", open=lambda: OrtSession(folder / "model.onnx", self.inputs), precision=precision),
        ]
        return parity_from_candidates(self.reference, candidates, self.samples).rows[1].status


def save_small_embeddings(folder):
    """A tiny checkpoint whose embeddings have a std of 0.02, as trained ones do: there LayerNorm's eps counts."""
    save_tiny(folder)
    tensors = load_file(folder / "model.safetensors")
    for name, value in tensors.items():
        if name.endswith("_embeddings.weight"):
            value *= 0.02 / 0.3
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module", params=["tiny, folded", "tiny, dft", "built-in, folded"])
def honest(request, tmp_path_factory):
    name, transform = request.param.split(", ")
    if name == "tiny":
        return Honest(str(save_small_embeddings(tmp_path_factory.mktemp("c"))), transform)
    return Honest(None, transform, texts=8)


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory):
    return Honest(str(save_overflowing(tmp_path_factory.mktemp("c"))), "folded")


IN_FP32 = {name: mutation for name, mutation in MUTATIONS.items() if not mutation.overflows}


def test_there_are_ten():
    assert (len(MUTATIONS), len(IN_FP32)) == (10, 9)


@pytest.mark.parametrize("name", IN_FP32)
def test_a_damaged_graph_fails(honest, name, tmp_path):
    assert honest.status(IN_FP32[name].mutate(honest.graph), tmp_path) == "failed"


def test_the_whole_graph_passes(honest, overflowing, tmp_path):
    assert honest.status(honest.graph, tmp_path) == "passed"
    assert overflowing.status(overflowing.graph, tmp_path) == "passed"


def test_fp16_that_overflows_fails_and_scaled_passes(overflowing, tmp_path):
    mutation = MUTATIONS["fp16 DC overflow"]
    assert overflowing.status(mutation.mutate(overflowing.graph), tmp_path, "fp16") == "failed"
    assert overflowing.status(mutation.mutate(overflowing.scaled), tmp_path, "fp16") == "passed"


class HonestQuantised(Honest):
    """A checkpoint in eight bits: its calibrated bounds, the steps that are expected of it, and its graph."""

    def __init__(self, name, folder, precision, texts=None):
        super().__init__(name, "folded", texts)
        float32 = optimized_from_graph(graph_from_model(lowered_from_model(self.model, "folded")), QUANTISABLE)
        layers = layers_from_model(self.model)
        write_graph(float32, folder / "model.onnx")
        tensors = list(dict.fromkeys(str(product.activation.name) for product in products_from_graph(float32, layers)))
        bounds = bounds_from_graph(folder / "model.onnx", tensors, self.inputs, self.samples, "minmax")
        self.precision, self.steps = precision, steps_from_bounds(float32, precision, bounds, layers)
        target = next(iter(EIGHT_BITS[precision].forms))
        self.quantised = quantised_from_graph(float32, precision, bounds, layers, target=target)
        self.layers = len(products_from_graph(float32, layers))

    def rows(self, graph, folder):
        write_graph(graph, folder / "model.onnx")
        emulated = quantised_model(self.model, self.precision, self.steps)
        candidates = [
            Candidate(name="torch", open=lambda: TorchSession(emulated), expected=True, precision=self.precision),
            Candidate(name="graph", open=lambda: OrtSession(folder / "model.onnx", self.inputs), precision=self.precision),
        ]
        return parity_from_candidates(self.reference, candidates, self.samples).rows


def honest_quantised(name, folder, precision):
    return HonestQuantised(str(save_tiny(folder / "c")) if name == "tiny" else None, folder, precision, texts=8)


@pytest.fixture(scope="module", params=["tiny", "built-in"])
def honest_int8(request, tmp_path_factory):
    return honest_quantised(request.param, tmp_path_factory.mktemp("int8"), "int8")


@pytest.fixture(scope="module", params=["tiny", "built-in"])
def honest_fp8(request, tmp_path_factory):
    return honest_quantised(request.param, tmp_path_factory.mktemp("fp8"), "fp8")


def assert_fails_in_any_layer(honest, damage, folder):
    passed = []
    for layer in range(honest.layers):
        _, row = honest.rows(damage(honest.quantised, layer), folder)
        if row.status != "failed":
            passed.append((layer, row.outputs))
    assert passed == []


def test_a_whole_int8_graph_passes(honest_int8, tmp_path):
    assert [row.status for row in honest_int8.rows(honest_int8.quantised, tmp_path)] == ["passed", "passed"]


def test_a_whole_fp8_graph_passes(honest_fp8, tmp_path):
    assert [row.status for row in honest_fp8.rows(honest_fp8.quantised, tmp_path)] == ["passed", "passed"]


@pytest.mark.parametrize("name", INT8_MUTATIONS)
def test_an_int8_graph_damaged_in_any_layer_fails(honest_int8, name, tmp_path):
    assert_fails_in_any_layer(honest_int8, INT8_MUTATIONS[name], tmp_path)


@pytest.mark.parametrize("name", FP8_MUTATIONS)
def test_an_fp8_graph_damaged_in_any_layer_fails(honest_fp8, name, tmp_path):
    assert_fails_in_any_layer(honest_fp8, FP8_MUTATIONS[name], tmp_path)
