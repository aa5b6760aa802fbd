"""Every head against transformers at the size of fnet-base."""

import gc

import pytest
import torch
from support.oracle import inputs_of, saved_oracle, worst_relative_error

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import checkpoint_from_folder
from fnet_core.tasks import TASKS


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
