"""Every head against transformers' own class, on weights that it saved."""

import gc

import pytest
import torch
import transformers

from fnet_core.checkpoint.open import checkpoint_from_folder, model_from_checkpoint
from fnet_core.tasks import TASKS

SIZES = {"7x12": (7, 12), "8x3": (8, 3), "12x7": (12, 7)}


def saved_oracle(task, sequence_length, folder, **sizes):
    config = transformers.FNetConfig(max_position_embeddings=sequence_length, num_labels=2, **sizes)
    torch.manual_seed(1)
    oracle = getattr(transformers, task.huggingface_class)(config).eval()
    for parameter in oracle.parameters():
        torch.nn.init.normal_(parameter, std=0.3 if sequence_length < 100 else 0.02)
    oracle.save_pretrained(folder)
    return oracle


def inputs_of(task, sequence_length, vocab_size):
    shape = {"batch_size": 2, "num_choices": 3, "sequence_length": sequence_length}
    axes = [shape[axis] for axis in task.input_axes]
    generator = torch.Generator().manual_seed(2)
    return torch.randint(vocab_size, axes, generator=generator), torch.randint(2, axes, generator=generator)


def worst_relative_error(model, oracle, inputs):
    with torch.no_grad():
        ours = model(*inputs)
        theirs = oracle(input_ids=inputs[0], token_type_ids=inputs[1])
    return max(
        ((o - theirs[name]).abs().max() / theirs[name].abs().max()).item() for o, name in zip(ours, model.task.outputs, strict=True)
    )


@pytest.mark.parametrize("transform", ["fft", "dft"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", TASKS)
def test_agrees_with_transformers(name, size, transform, tmp_path):
    sequence_length, hidden_size = SIZES[size]
    task = TASKS[name]
    oracle = saved_oracle(
        task, sequence_length, tmp_path, vocab_size=50, hidden_size=hidden_size, num_hidden_layers=2, intermediate_size=10
    )
    checkpoint = checkpoint_from_folder(tmp_path, id="oracle")
    inputs = inputs_of(task, sequence_length, 50)
    double = model_from_checkpoint(checkpoint, task, transform=transform, dtype=torch.float64)
    assert worst_relative_error(double, oracle.double(), inputs) < 1e-10
    single = model_from_checkpoint(checkpoint, task, transform=transform)
    assert worst_relative_error(single, oracle, inputs) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_agrees_with_transformers_at_base_size(name, tmp_path):
    task = TASKS[name]
    oracle = saved_oracle(task, 512, tmp_path)
    checkpoint = checkpoint_from_folder(tmp_path, id="oracle")
    inputs = tuple(tensor[:1] for tensor in inputs_of(task, 512, 32000))
    single = worst_relative_error(model_from_checkpoint(checkpoint, task), oracle, inputs)
    gc.collect()
    double = worst_relative_error(model_from_checkpoint(checkpoint, task, dtype=torch.float64), oracle.double(), inputs)
    assert (single < 1e-5, double < 1e-10) == (True, True), (single, double)
