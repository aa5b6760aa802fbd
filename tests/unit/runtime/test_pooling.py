"""One vector of a text: each pooling against torch, and what a config.json states."""

import json
import shutil

import numpy as np
import pytest
import torch
from fnet_runtime.bundle.config import POOLINGS, config_from_file
from fnet_runtime.errors import BundleError, InputError
from fnet_runtime.pipeline.model import Request
from fnet_runtime.pipeline.open import load
from fnet_runtime.pipeline.options import AnswerOptions
from fnet_runtime.pipeline.pooling import embedding, normalized, pooled_tokens
from support.bundles import replaced
from support.transformers_pipelines import both

TEXTS = ["the quick brown fox", "a", "dog fox " * 30]


def vectors_of_torch(states, pooler, pooling):
    return {"pooler": pooler, "cls": states[0], "mean": states.mean(dim=0), "max": states.max(dim=0).values}[pooling]


@pytest.mark.parametrize("normalize", [None, True, False])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("padding", ["none", "max_length"])
def test_pooling(tmp_path, padding, pooling, normalize):
    ours, model, tokenizer = both("feature-extraction", tmp_path, padding=padding)
    answers = ours.embed(TEXTS, pooling=pooling, normalize=normalize)
    for text, answer in zip(TEXTS, answers, strict=True):
        with torch.no_grad():
            inputs = tokenizer(
                text, return_tensors="pt", truncation=True, padding="max_length" if padding == "max_length" else False
            )
            outputs = model(**inputs)
        states = outputs.last_hidden_state[0, : len(answer.tokens)]
        expected = vectors_of_torch(states, outputs.pooler_output[0], pooling)
        if normalize:
            expected = torch.nn.functional.normalize(expected, dim=-1)
        np.testing.assert_allclose(answer.pooled, expected, atol=1e-5)
        assert (answer.pooled.dtype, np.array_equal(answer.tokens, states)) == (np.float32, True)


def test_without_the_options_a_vector_is_pooled_as_the_checkpoint_states(bundles, tmp_path):
    bundle = shutil.copytree(bundles("feature-extraction"), tmp_path / "bundle")
    plain = load(bundle)
    text = "the fox"
    assert np.array_equal(plain.embed(text).pooled, plain.embed(text, pooling="pooler", normalize=False).pooled)
    config = json.loads((bundle / "config.json").read_text()) | {"trained_pooling": "mean", "trained_normalize": True}
    stated = load(replaced(bundle, "config.json", json.dumps(config).encode()))
    assert np.array_equal(stated.embed(text).pooled, plain.embed(text, pooling="mean", normalize=True).pooled)
    assert np.array_equal(stated.embed(text, normalize=False).pooled, plain.embed(text, pooling="mean").pooled)
    assert np.array_equal(stated.embed(text, pooling="cls").pooled, plain.embed(text, pooling="cls", normalize=True).pooled)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trained_pooling": "sum"}, "trained_pooling is not one of pooler, cls, mean, max"),
        ({"trained_pooling": ["mean"]}, "trained_pooling is not one of"),
        ({"trained_normalize": 1}, "trained_normalize is neither true nor false"),
        ({"type_vocab_size": True}, "type_vocab_size is not an integer of 64 bits"),
    ],
)
def test_a_config_that_is_refused(tmp_path, values, message):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"vocab_size": 9} | values))
    with pytest.raises(BundleError, match=rf"config.json: is not the config.json of an FNet \({message}"):
        config_from_file(path)


def test_sums_are_exact_enough_and_in_order():
    tokens = np.array([[1e8, -0.0], [1.0, 0.0], [-1e8, -0.0]], np.float32)
    assert pooled_tokens(tokens, "mean").tolist() == [np.float32(1 / 3), 0.0]
    assert str(pooled_tokens(np.array([[-0.0]], np.float32), "max")) == "[0.]"
    assert np.isnan(pooled_tokens(np.array([[1.0], [np.nan], [2.0]], np.float32), "max")).all()
    assert normalized(np.zeros(2, np.float32)).tolist() == [0, 0]
    assert normalized(np.array([3e30, 4e30], np.float32)).tolist() == pytest.approx([0.6, 0.8])


def test_no_token_has_no_mean(tmp_path):
    ours, _, _ = both("feature-extraction", tmp_path, padding="max_length")
    (encoding,) = ours._encoded(ours._task, "", None)
    empty = Request("", None, (type(encoding)(**{**vars(encoding), "attention_mask": encoding.attention_mask * 0}),))
    outputs = {"last_hidden_state": np.ones((1, 32, 12), np.float32), "pooler_output": np.ones((1, 12), np.float32)}
    assert embedding(ours, empty, [outputs]).pooled.tolist() == [1] * 12
    empty = Request("", None, empty.encodings, AnswerOptions(pooling="mean"))
    with pytest.raises(InputError, match="^pooling: expected a text of at least one token for cls, mean, max; found none$"):
        embedding(ours, empty, [outputs])
