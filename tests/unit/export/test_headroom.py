import io
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from rich.console import Console
from support.checkpoints import tiny_config

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.graph.lower import lowered_from_model
from fnet_export.parity.report.terminal import table_from_headroom
from fnet_export.precision.headroom import TENSORS, headroom_from_model
from fnet_export.texts.samples import Samples

LENGTH = 8


def model_of(task, **changes):
    torch.manual_seed(6)
    model = FNet(tiny_config(**changes), TASKS[task], sequence_length=LENGTH, dtype=torch.float64).eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return model


def samples_of(model, rows=6):
    axes = {"batch_size": rows, "num_choices": 3, "sequence_length": LENGTH}
    draw = np.random.default_rng(7)
    inputs = {name: draw.integers(0, 2, [axes[str(axis)] for axis in shape]) for name, shape in model.task.inputs.items()}
    inputs["input_ids"] = draw.integers(0, model.config.vocab_size, inputs["input_ids"].shape)
    return Samples.from_batch([f"row {i}" for i in range(rows)], inputs)


@pytest.mark.parametrize("transform", ["dft", "folded", "factored"])
@pytest.mark.parametrize("task", TASKS)
def test_every_layer_has_every_class(task, transform):
    model = model_of(task)
    headroom = headroom_from_model(lowered_from_model(model, transform, scaled=True), samples_of(model))
    assert headroom.limit == 65504
    assert list(headroom.layers)[:3] == ["embeddings", "0", "1"]
    assert set(headroom.layers["embeddings"]) == {"sum", "norm", "projection"}
    for layer in ("0", "1"):
        assert set(headroom.layers[layer]) == set(TENSORS)
    head = headroom.layers["head"]
    assert ("pooler" in head) == model.task.pooled
    assert task == "feature-extraction" or len(head) > model.task.pooled
    assert headroom.largest == max(value for tensors in headroom.layers.values() for value in tensors.values()) > 0


@pytest.mark.parametrize("transform", ["dft", "folded", "factored"])
@pytest.mark.parametrize("scaled", [True, False])
def test_figures_are_those_of_the_definition(transform, scaled):
    model = model_of("token-classification")
    samples = samples_of(model)
    layers = headroom_from_model(lowered_from_model(model, transform, scaled=scaled), samples).layers
    scale = (LENGTH * model.config.hidden_size) ** -0.5 if scaled else 1.0
    batch = samples.batch(range(len(samples.names)))
    with torch.no_grad():
        x = model.encoder.embeddings(*(torch.from_numpy(batch[name]) for name in ("input_ids", "token_type_ids")))
        block = model.encoder.blocks[0]
        mixed = x + torch.fft.fft2(x).real
        normed = block.mixing_norm(mixed)
        inner = block.intermediate(normed)
        fed = block.output(block.activation(inner))
        logits = model.head.classifier(model.encoder.blocks[1](block(x)))
    tensors = (x * scale, mixed * scale, normed, inner, block.activation(inner), fed, normed + fed, block(x))
    for name, tensor in zip(TENSORS, tensors, strict=True):
        assert layers["0"][name] == pytest.approx(tensor.abs().max().item(), rel=1e-10)
    assert layers["embeddings"]["projection"] == pytest.approx(x.abs().max().item(), rel=1e-10)
    assert layers["head"] == {"classifier": pytest.approx(logits.abs().max().item(), rel=1e-10)}


def test_a_watched_model_is_left_as_it_was():
    model = model_of("sequence-classification", attention_layers=(0,), num_attention_heads=3)
    lowered, samples = lowered_from_model(model, "folded", scaled=True), samples_of(model)
    first = headroom_from_model(lowered, samples)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in lowered.modules())
    assert headroom_from_model(lowered, samples) == first
    assert headroom_from_model(lowered, samples_of(model, rows=1)).largest <= first.largest


def test_scaling_is_what_gives_headroom():
    model = model_of("question-answering")
    torch.nn.init.constant_(model.encoder.embeddings.projection.bias, 1000.0)
    plain, scaled = (headroom_from_model(lowered_from_model(model, "folded", scaled=s), samples_of(model)) for s in (False, True))
    assert plain.layers["0"]["mixing sum"] > 65504
    assert scaled.largest < 65504


def test_headroom_is_shown_and_written():
    model = model_of("sequence-classification")
    headroom = headroom_from_model(lowered_from_model(model, "folded", scaled=True), samples_of(model))
    assert json.loads(json.dumps(asdict(headroom))) == asdict(headroom)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table_from_headroom(headroom))
    text = console.export_text()
    assert "fp16 ends at 65504; the largest here" in text
    assert all(name in text for name in ("residual", "embeddings: sum", "head: pooler"))
    above, below = (line.split() for line in text.splitlines() if line.split()[:1] in (["mixing"], ["layer"]))
    assert above == ["mixing", "mixing", "inter-", "feed-", "output", "output"]
    assert below == ["layer", "residual", "sum", "norm", "mediate", "activation", "forward", "sum", "norm"]
    assert f"{headroom.layers['1']['intermediate']:.3g}" in text
