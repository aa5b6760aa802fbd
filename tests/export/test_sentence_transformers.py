"""A folder of sentence-transformers, exported and converted."""

import json

import fnet_runtime
import numpy as np
import pytest
from fnet_runtime.bundle.manifest import CARD
from support.checkpoints import save_sentence_model
from support.exports import export

from fnet_export.bundle.convert import convert
from fnet_export.bundle.description import description_from_bundle

MEAN = {"pooling_mode_mean_tokens": True}
POOLING = "mean: the mean of the vectors of all tokens, divided by its length"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("sentences")
    return save_sentence_model(root / "m", MEAN, normalize=True, settings={"max_seq_length": 16})


def test_an_export_takes_task_length_padding_and_pooling_from_the_folder(folder, tmp_path):
    export(folder, tmp_path / "bundle", task="auto")
    description = description_from_bundle(tmp_path / "bundle")
    manifest = description.manifest
    assert (manifest.task, manifest.padding, manifest.sequence_length) == ("feature-extraction", "none", 16)
    assert (description.pooling, description.values()["pooling"]) == (POOLING, POOLING)
    assert f"| pooling | {POOLING} |" in (tmp_path / "bundle" / CARD).read_text()
    answer = fnet_runtime.load(tmp_path / "bundle").embed("the fox")
    mean = answer.tokens.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(answer.pooled, mean / np.linalg.norm(mean), atol=1e-6)


@pytest.mark.parametrize("to", ["huggingface", "flax"])
def test_a_conversion_means_the_same(folder, tmp_path, to):
    convert(model=folder, to=to, output=tmp_path / "converted")
    config = json.loads((tmp_path / "converted" / "config.json").read_text())
    stated = {key: config.get(key) for key in ("trained_pooling", "trained_normalize", "trained_padding")}
    assert stated == {"trained_pooling": "mean", "trained_normalize": True, "trained_padding": "none"}
    export(tmp_path / "converted", tmp_path / "bundle", task="feature-extraction")
    manifest = fnet_runtime.load(tmp_path / "bundle").manifest
    assert (manifest.padding, manifest.sequence_length) == ("none", 16)
