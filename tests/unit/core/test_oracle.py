"""Every head against transformers' own class, on weights that it saved."""

import pytest
import torch
from support.oracle import inputs_of, saved_oracle, worst_relative_error

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import checkpoint_from_folder
from fnet_core.tasks import TASKS

SIZES = {"7x12": (7, 12), "8x3": (8, 3), "12x7": (12, 7)}


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
