import pytest
import torch
from conftest import tiny_config

from fnet_core.fnet import FNet
from fnet_core.mixing import MIXINGS
from fnet_core.tasks import TASKS
from fnet_export.lower import lowered_from_model


def wide_model(task, sequence_length, hidden_size, **changes):
    """A model of float64 weights drawn so wide that no order of anything goes unnoticed."""
    config = tiny_config(hidden_size=hidden_size, max_position_embeddings=sequence_length + 2, num_hidden_layers=3, **changes)
    torch.manual_seed(4)
    model = FNet(config, TASKS[task], sequence_length=sequence_length, dtype=torch.float64).eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return model


@pytest.mark.parametrize("mixing", MIXINGS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("sequence_length", "hidden_size"), [(7, 12), (8, 3), (12, 8), (30, 32)])
def test_every_head_computes_what_it_did(task, mixing, sequence_length, hidden_size):
    model = wide_model(task, sequence_length, hidden_size)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    axes = {"batch_size": 2, "num_choices": 3, "sequence_length": sequence_length}
    shape = [axes[str(axis)] for axis in TASKS[task].input_axes]
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randint(model.config.vocab_size, shape, generator=generator), torch.randint(4, shape, generator=generator)
    with torch.no_grad():
        wanted, found = model(*inputs), lowered_from_model(model, mixing)(*inputs)
    assert len(found) == len(TASKS[task].outputs)
    for theirs, ours in zip(wanted, found, strict=True):
        assert ours.shape == theirs.shape
        assert ((ours - theirs).abs().max() / theirs.abs().max()).item() < 1e-10
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_tied_decoder_stays_tied_and_right():
    model = wide_model("masked-lm", 8, 12, tie_word_embeddings=True)
    lowered = lowered_from_model(model, "folded").model
    assert lowered.head.decoder.weight is lowered.encoder.embeddings.word.weight
