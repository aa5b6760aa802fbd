import json

import numpy as np
import pytest
import torch
from support.checkpoints import tiny_config

from fnet_core.config import ATTENTION, LAYOUTS, MIXINGS, FNetConfig, attention_layers
from fnet_core.errors import ConfigError
from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_core.variants import VARIANTS

BATCH, SEQUENCE, HIDDEN, HEADS = 2, 7, 12, 3


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def variant(name):
    torch.manual_seed(1)
    return VARIANTS[name](FNetConfig(hidden_size=HIDDEN, num_attention_heads=HEADS), SEQUENCE).double()


def some_mask():
    mask = torch.ones(BATCH, SEQUENCE, dtype=torch.int64)
    mask[0, 4:], mask[1, 0] = 0, 0
    return mask


@pytest.mark.parametrize("name", ["linear", "random"])
def test_matrices_along_both_axes(name):
    mixing, x = variant(name), drawn(BATCH, SEQUENCE, HIDDEN)
    wanted = np.einsum("st,bth,kh->bsk", mixing.sequence.weight.detach(), x, mixing.hidden.weight.detach())
    assert np.abs(mixing(x).detach().numpy() - wanted).max() < 1e-12


def test_random_matrices_are_not_trained_but_kept():
    torch.manual_seed(0)
    mixing = VARIANTS["random"](FNetConfig(hidden_size=256), 200)
    assert sorted(mixing.state_dict()) == ["hidden.weight", "sequence.weight"]
    assert not any(weight.requires_grad for weight in mixing.parameters())
    assert mixing.hidden.weight.std().item() == pytest.approx(1 / 16, rel=0.02)
    assert mixing.sequence.weight.std().item() == pytest.approx(200**-0.5, rel=0.02)
    assert all(weight.requires_grad for weight in variant("linear").parameters())


@pytest.mark.parametrize("mask", [None, some_mask()])
def test_attention_is_that_of_torch(mask):
    mixing, x = variant(ATTENTION), drawn(BATCH, SEQUENCE, HIDDEN)
    theirs = torch.nn.MultiheadAttention(HIDDEN, HEADS, batch_first=True, dtype=torch.float64).eval()
    layers = mixing.query, mixing.key, mixing.value
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
        theirs.out_proj.load_state_dict(mixing.output.state_dict())
        wanted, _ = theirs(x, x, x, key_padding_mask=None if mask is None else mask == 0)
        found = mixing(x, mask)
    counts = torch.ones(BATCH, SEQUENCE, dtype=torch.bool) if mask is None else mask != 0
    assert (found - wanted)[counts].abs().max() < 1e-12
    if mask is not None:  # a token that does not count attends to all tokens alike
        alike = mixing.output(mixing.value(x).mean(dim=1, keepdim=True)).expand_as(found)
        assert (found - alike)[~counts].abs().max() < 1e-12


@pytest.mark.parametrize("mask", [None, some_mask()])
@pytest.mark.parametrize("name", VARIANTS)
def test_first_and_reordered(name, mask):
    mixing, x = variant(name), drawn(BATCH, SEQUENCE, HIDDEN)
    tokens, hidden = torch.randperm(SEQUENCE), torch.randperm(HIDDEN)
    with torch.no_grad():
        wanted = mixing(x, mask)
        assert (mixing.first(x, mask) - wanted[:, 0]).abs().max() < 1e-12
        mixing.reorder(tokens, hidden)
        found = mixing(x[:, tokens][..., hidden], None if mask is None else mask[:, tokens])
    assert (found - wanted[:, tokens][..., hidden]).abs().max() < 1e-12


@pytest.mark.parametrize("mixing", MIXINGS)
def test_every_mixing_trains(mixing):
    model = FNet(tiny_config(mixing=mixing, attention_layers=(1,), num_attention_heads=4), TASKS["sequence-classification"])
    ids = torch.randint(20, (2, 32))
    (logits,) = model(ids, ids % 2, torch.ones_like(ids))
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_attention_alone_does_not_see_what_is_masked():
    torch.manual_seed(2)
    config = tiny_config(mixing=ATTENTION, num_attention_heads=12)
    model = FNet(config, TASKS["sequence-classification"], dtype=torch.float64).eval()
    ids, mask = torch.randint(20, (1, 32)), torch.ones(1, 32, dtype=torch.int64)
    mask[:, 9:] = 0
    others = torch.where(mask == 0, 3, ids)
    with torch.no_grad():
        (masked,), (unmasked,) = model(ids, ids * 0, mask), model(ids, ids * 0)
        assert (masked - model(others, ids * 0, mask)[0]).abs().max() < 1e-12
    assert (masked - unmasked).abs().max() > 1e-6


@pytest.mark.parametrize(
    ("layout", "count", "layers", "wanted"),
    [
        ("bottom", 2, 12, (0, 1)),
        ("top", 2, 12, (10, 11)),
        ("middle", 2, 12, (5, 6)),
        ("middle", 2, 4, (1, 2)),
        ("middle", 1, 4, (2,)),
        ("mixed", 2, 4, (0, 2)),
        ("mixed", 3, 12, (0, 4, 8)),
        *((layout, 0, 12, ()) for layout in LAYOUTS),
        *((layout, 12, 12, tuple(range(12))) for layout in LAYOUTS),
    ],
)
def test_layouts_of_the_paper(layout, count, layers, wanted):
    assert attention_layers(layout, count, layers) == wanted


@pytest.mark.parametrize("count", range(1, 13))
def test_middle_is_the_formula_of_the_papers_code(count):
    wanted = tuple(i for i in range(12) if 12 - count <= 2 * i < 12 + count)
    assert attention_layers("middle", count, 12) == wanted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("left", 1, 12), "layout: expected one of bottom, middle, mixed, top, found 'left'"),
        (("top", 13, 12), "attention layers: expected 0 to 12, found 13"),
        (("mixed", 5, 12), "mixed attention layers: expected a divisor of the 12 layers, found 5"),
    ],
)
def test_layouts_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        attention_layers(*arguments)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mixing": "butterfly"}, "mixing: expected one of fourier, linear, random, identity, attention, found 'butterfly'"),
        ({"attention_layers": [2, 1]}, r"attention_layers: expected ascending indices of layers, from 0, found \(2, 1\)"),
        ({"attention_layers": [12]}, "attention_layers: expected ascending indices"),
        ({"attention_layers": 2}, "attention_layers: expected a list, found 2"),
        (
            {"mixing": ATTENTION, "num_attention_heads": 5},
            "num_attention_heads: expected a positive integer that divides hidden_size 768",
        ),
        *(
            (
                values,
                'num_attention_heads: is missing, and some layers attend; add "num_attention_heads" with .* hidden_size 768$',
            )
            for values in (
                {"mixing": ATTENTION},
                {"attention_layers": [10, 11]},
                {"mixing": ATTENTION, "num_attention_heads": None},
            )
        ),
        ({"num_attention_heads": 0}, "num_attention_heads: expected a positive integer .* found 0"),
    ],
)
def test_configurations_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        FNetConfig.from_dict(values)


def test_a_plain_config_says_nothing_of_variants_and_others_travel():
    assert not {"mixing", "attention_layers", "num_attention_heads"} & set(FNetConfig().to_dict())
    hybrid = FNetConfig(attention_layers=(10, 11), num_attention_heads=6)
    assert FNetConfig.from_json(hybrid.to_json()) == hybrid
    assert hybrid.mixings[9:] == ("fourier", ATTENTION, ATTENTION)
    assert json.loads(FNetConfig(mixing=ATTENTION, num_attention_heads=12).to_json())["num_attention_heads"] == 12
    assert FNetConfig(attention_layers=(0,), num_attention_heads=1).attends
    assert not FNetConfig(mixing="linear").attends
