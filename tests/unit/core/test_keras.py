"""Presets of keras-hub, against files that it wrote and what it computed (tests/golden/keras_preset.py)."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from support.paths import GOLDEN

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import checkpoint_from_folder
from fnet_core.errors import CheckpointError, ConfigError
from fnet_core.tasks import TASKS

GOLDEN = GOLDEN / "keras"
OUTPUTS = np.load(GOLDEN / "outputs.npz")


def opened(folder):
    return checkpoint_from_folder(folder, id="x")


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(GOLDEN / "classifier", tmp_path / "preset"))


def changed(path, **changes):
    values = json.loads(path.read_text())
    values["config"] |= changes
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("name", "task", "outputs"),
    [
        ("classifier", "feature-extraction", ("last_hidden_state", "pooler_output")),
        ("classifier", "sequence-classification", ("classifier.logits",)),
        ("masked_lm", "masked-lm", ("masked_lm.logits",)),
    ],
)
def test_agrees_with_keras_hub(name, task, outputs):
    """Relative to the largest value; keras-hub computed in float32. Another GELU or epsilon in the masked-lm head gives 5e-5."""
    model = model_from_checkpoint(opened(GOLDEN / name), TASKS[task], dtype=torch.float64)
    with torch.no_grad():
        found = model(torch.from_numpy(OUTPUTS["input_ids"]), torch.from_numpy(OUTPUTS["token_type_ids"]))
    for output, value in zip(outputs, found, strict=True):
        wanted = torch.from_numpy(OUTPUTS[output])
        assert ((value - wanted).abs().max() / wanted.abs().max()).item() < 2e-6, output


def test_sizes_heads_and_labels(folder):
    checkpoint = opened(folder)
    config = checkpoint.config
    assert (config.vocab_size, config.hidden_size, config.intermediate_size) == (120, 12, 20)
    assert (config.max_position_embeddings, config.type_vocab_size, config.num_hidden_layers) == (8, 3, 2)
    assert config.labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3", "LABEL_4")
    assert checkpoint.tasks == ("feature-extraction", "sequence-classification")
    assert checkpoint.vocabulary == folder / "assets" / "tokenizer" / "vocabulary.spm"
    assert set(checkpoint.source.sha256) == {"model.weights.h5", "task.weights.h5"}
    assert opened(GOLDEN / "masked_lm").tasks == ("feature-extraction", "masked-lm")


def test_a_head_that_computes_otherwise_than_the_blocks_says_so():
    config = opened(GOLDEN / "masked_lm").config
    assert (config.hidden_act, config.masked_lm_act) == ("gelu_new", "gelu")
    assert (config.layer_norm_eps, config.masked_lm_norm_eps) == (1e-12, 1e-5)
    assert type(config).from_json(config.to_json()) == config
    assert "masked_lm_act" not in opened(GOLDEN / "classifier").config.to_dict()


def test_bfloat16():
    word = opened(GOLDEN / "bfloat16").tensor("embeddings.word_embeddings.weight")
    assert word.dtype == torch.bfloat16
    assert torch.equal(word.float(), torch.from_numpy(OUTPUTS["bfloat16.word"]))


def test_the_first_tensor_missing_left_over_or_misshapen_is_named(folder):
    def replaced(name, shape):
        def change(file):
            if name in file:
                del file[name]
            file[name] = np.ones(shape, np.float32)

        return change

    def without(name):
        return lambda file: file.__delitem__(name)

    model, task = "model.weights.h5", "task.weights.h5"
    block = "layers/f_net_encoder_1/_intermediate_dense/vars"
    cases = [
        (model, without(f"{block}/1"), rf"model.weights.h5: tensor {block}/1 is missing; config.json implies it"),
        (model, replaced("layers/add/vars/0", 3), "tensor layers/add/vars/0 is left over: an FNet with 2 layers"),
        (model, replaced(f"{block}/0", (20, 12)), rf"tensor {block}/0 has shape \[20, 12\], but config.json implies \[12, 20\]"),
        (task, without("layers/dense/vars/1"), "task.weights.h5: tensor layers/dense/vars/1 is missing"),
        (
            task,
            replaced("layers/dense/vars/0", (12, 4)),
            r"tensor layers/dense/vars/0 has shape \[12, 4\], but task\.json says num_classes 5; they are of different models",
        ),
        (task, replaced("layers/dense/vars/1", (4,)), r"vars/1 has shape \[4\], but task\.json says num_classes 5"),
        (task, replaced("layers/dense/vars/0", (9, 5)), r"vars/0 has shape \[9, 5\], but config\.json implies \[12, 5\]"),
        (task, replaced("layers/dense_1/vars/0", 3), "tensor layers/dense_1/vars/0 is left over"),
    ]
    for name, change, message in cases:
        original = (folder / name).read_bytes()
        with h5py.File(folder / name, "r+") as file:
            change(file)
        with pytest.raises(CheckpointError, match=message):
            opened(folder)
        (folder / name).write_bytes(original)


@pytest.mark.parametrize("kept", [0, 7, 600, -100])
def test_truncated_and_damaged_files(folder, kept):
    path = folder / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"model.weights.h5: truncated or damaged"):
        opened(folder)


def test_missing_files(folder):
    (folder / "task.weights.h5").unlink()
    with pytest.raises(CheckpointError, match="task.weights.h5: is missing; expected a keras-hub preset's weights"):
        opened(folder)
    (folder / "task.json").unlink()
    assert opened(folder).tasks == ("feature-extraction",)


def test_data_in_another_file(folder):
    path, key = folder / "model.weights.h5", "layers/dense_1/vars/1"
    with h5py.File(path, "r+") as file:
        del file[key]
        (folder / "other.bin").write_bytes(bytes(48))
        file.create_dataset(key, (12,), np.float32, external=[("other.bin", 0, 48)])
    with pytest.raises(CheckpointError, match=f"tensor {key} is stored in another file"):
        opened(folder).tensor("pooler.dense.bias")
    with h5py.File(path, "r+") as file:
        del file[key]
        file[key] = h5py.ExternalLink("other.h5", "/bias")
    with pytest.raises(CheckpointError, match=f"tensor {key} is missing"):
        opened(folder)


def test_a_file_gone_after_it_was_opened(folder):
    checkpoint = opened(folder)
    (folder / "model.weights.h5").unlink()
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        checkpoint.tensor("pooler.dense.bias")


def test_bad_configurations(folder):
    originals = {name: (folder / name).read_text() for name in ("config.json", "task.json")}
    cases = [
        ("config.json", {"hidden_dim": 0}, ConfigError, "config.json: hidden_dim: expected a positive integer"),
        ("config.json", {"num_layers": "x"}, ConfigError, "config.json: num_layers: expected a positive integer"),
        ("config.json", {"vocabulary_size": 2}, ConfigError, "pad_token_id: expected an id below vocabulary_size 2, found 3"),
        ("config.json", {"num_layers": 10**9}, CheckpointError, "config.json: num_layers 1000000000: the weights hold 25 tensors"),
        (
            "config.json",
            {"hidden_dim": 10**9},
            CheckpointError,
            "config.json: hidden_dim 1000000000: the weights hold no axis above",
        ),
        ("task.json", {"activation": "softmax"}, CheckpointError, "activation: expected linear, found 'softmax'"),
        (
            "task.json",
            {"num_classes": 0},
            ConfigError,
            "task.json: num_classes: expected a positive integer, at most 1000000, found 0",
        ),
        ("task.json", {"num_classes": True}, ConfigError, "task.json: num_classes: expected a positive integer, .* found True"),
        ("task.json", {"num_classes": 10**9}, ConfigError, "num_classes: expected a positive integer, .* found 1000000000"),
        ("task.json", {"backbone": None}, CheckpointError, "task.json: backbone: expected the class FNetBackbone .* found None"),
        (
            "config.json",
            {"max_sequence_length": 7},
            CheckpointError,
            r"task\.json: its backbone has max_sequence_length 8, but .*config\.json says 7; they are of different models",
        ),
    ]
    for name, change, error, message in cases:
        changed(folder / name, **change)
        with pytest.raises(error, match=message):
            opened(folder)
        (folder / name).write_text(originals[name])
    text = originals["config.json"].replace('"num_segments"', '"segments"')
    for name, written, message in [
        ("config.json", text, "num_segments is missing; expected the configuration of a FNetBackbone"),
        (
            "config.json",
            '{"class_name": "BertBackbone", "config": {}, "registered_name": "x"}',
            "expected the class FNetBackbone .*found 'BertBackbone'",
        ),
        ("task.json", "{", "task.json: not JSON"),
        (
            "task.json",
            originals["task.json"].replace('"hidden_dim"', '"dim"'),
            r"task\.json: its backbone has hidden_dim None, but .*config\.json says 12",
        ),
        ("task.json", "[]", "task.json: expected an object, found list"),
        ("task.json", '{"class_name": "FNetMaskedLM"}', "expected the class FNetTextClassifier or .*found 'FNetMaskedLM'"),
    ]:
        (folder / name).write_text(written)
        with pytest.raises(CheckpointError, match=message):
            opened(folder)
        (folder / name).write_text(originals[name])


def test_an_empty_dataset_is_refused(tmp_path):
    preset = Path(shutil.copytree(GOLDEN / "classifier", tmp_path / "preset"))
    with h5py.File(preset / "model.weights.h5", "r+") as file:
        file["empty"] = h5py.Empty("f")
    with pytest.raises(CheckpointError, match=r"model\.weights\.h5: tensor empty is empty; expected numbers"):
        checkpoint_from_folder(preset, id="x")
