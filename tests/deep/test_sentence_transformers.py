"""A folder that sentence-transformers saved, exported: the vectors of texts are those of its own `encode`."""

import itertools
import json
import subprocess
from pathlib import Path

import fnet_runtime
import numpy as np
import pytest
import torch
import transformers
from support.checkpoints import tiny_config
from support.environments import ROOT, python_of
from support.exports import export
from support.trained_toys import tokenizer_for
from support.transformers_pipelines import texts

SCRIPT = ROOT / "tests" / "golden" / "sentence_transformers_oracle.py"
CUT = 16
WAYS = list(itertools.product(("cls", "mean", "max"), (False, True)))
TEXTS = [*texts(40, longest=40), "  the fox \n", "a\tb  c", ""]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of each way to pool, and the vector of each text."""
    root = tmp_path_factory.mktemp("sentences")
    torch.manual_seed(3)
    config = transformers.FNetConfig.from_dict(tiny_config().to_dict())
    transformers.FNetModel(config).save_pretrained(root / "transformer")
    tokenizer_for(root).save_pretrained(root / "transformer")
    models = [
        {"folder": str(root / f"{pooling}-{normalize}"), "pooling": pooling, "normalize": normalize, "max_seq_length": CUT}
        for pooling, normalize in WAYS
    ]
    job = {
        "path": [str(Path(torch.__file__).parents[1])],
        "transformer": str(root / "transformer"),
        "texts": TEXTS,
        "models": models,
    }
    (root / "job.json").write_text(json.dumps(job))
    command = [python_of("sentence-transformers"), SCRIPT, root / "job.json", root / "answers.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads((root / "answers.json").read_text())
    return {way: (Path(model["folder"]), answer) for way, model, answer in zip(WAYS, models, answers, strict=True)}


@pytest.mark.parametrize("way", WAYS)
def test_vectors_are_those_of_encode(saved, tmp_path, way):
    folder, expected = saved[way]
    export(folder, tmp_path / "bundle", task="auto")
    with fnet_runtime.load(tmp_path / "bundle") as pipeline:
        manifest = pipeline.manifest
        assert (manifest.task, manifest.padding, manifest.sequence_length) == ("feature-extraction", "none", CUT)
        found = pipeline.embed(TEXTS)
    np.testing.assert_allclose(np.stack([answer.pooled for answer in found]), expected, atol=1e-5)
    assert {answer.truncated for answer in found} == {False, True}
