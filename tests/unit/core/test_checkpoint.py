import json
import os
import time

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from transformers import FNetConfig as TheirConfig
from transformers import FNetForMaskedLM, FNetForPreTraining, FNetForTokenClassification, FNetModel
from transformers.activations import ACT2FN

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import checkpoint_from_folder, checkpoint_from_name, head_is_drawn
from fnet_core.config import WEIGHT_SIZES, FNetConfig
from fnet_core.errors import CheckpointError, ConfigError, TaskError
from fnet_core.model import ACTIVATIONS
from fnet_core.tasks import TASKS, task_named

SIZES = {"vocab_size": 40, "hidden_size": 6, "num_hidden_layers": 2, "intermediate_size": 5, "max_position_embeddings": 7}


@pytest.fixture
def folder(tmp_path):
    FNetForPreTraining(TheirConfig(**SIZES)).save_pretrained(tmp_path)
    return tmp_path


def opened(folder, task="pretraining", **options):
    return model_from_checkpoint(checkpoint_from_folder(folder, id="x"), TASKS[task], **options)


def changed_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_lists_the_heads_it_has(folder):
    assert checkpoint_from_folder(folder, id="x").tasks == (
        "feature-extraction", "pretraining", "masked-lm", "next-sentence-prediction",
    )  # fmt: skip
    with pytest.raises(TaskError, match="no weights for the question-answering head.*masked-lm.*--random-head"):
        opened(folder, "question-answering")


def test_random_head_is_the_same_every_time(folder):
    first, second = (opened(folder, "question-answering", random_head=True).head.qa_outputs.weight for _ in range(2))
    assert torch.equal(first, second)
    assert first.abs().max() > 0
    wide = opened(folder, "question-answering", random_head=True, dtype=torch.float64).head.qa_outputs.weight
    assert torch.equal(first.double(), wide)


@pytest.mark.parametrize("task", ["sequence-classification", "multiple-choice"])
def test_a_random_head_is_not_another_tasks_classifier(tmp_path, task):
    FNetForTokenClassification(TheirConfig(**SIZES)).save_pretrained(tmp_path)
    theirs = load_file(tmp_path / "model.safetensors")["classifier.weight"]
    head = opened(tmp_path, task, random_head=True).head.classifier.weight
    assert head.shape != theirs.shape or not torch.equal(head, theirs)


def test_a_classifier_belongs_to_the_architecture_that_is_named(tmp_path):
    FNetForTokenClassification(TheirConfig(**SIZES)).save_pretrained(tmp_path)
    tasks = checkpoint_from_folder(tmp_path, id="x").tasks
    assert "token-classification" in tasks
    assert "sequence-classification" not in tasks


def saved_once(folder, *, metadata):
    """A tied masked-lm as safetensors' save_model leaves it: of two names it keeps the decoder's, and may say so."""
    model = FNetForMaskedLM(TheirConfig(**SIZES))
    model.config.save_pretrained(folder)
    save_model(model, str(folder / "model.safetensors"))
    weights = load_file(folder / "model.safetensors")
    assert "fnet.embeddings.word_embeddings.weight" not in weights
    if not metadata:
        save_file(weights, folder / "model.safetensors")
    return model.eval()


@pytest.mark.parametrize("metadata", [True, False])
def test_either_name_of_a_tied_decoder_serves(tmp_path, metadata):
    theirs = saved_once(tmp_path, metadata=metadata)
    checkpoint = checkpoint_from_folder(tmp_path, id="x")
    assert {"masked-lm"} <= set(checkpoint.tasks)
    ids = torch.arange(7)[None]
    ours = model_from_checkpoint(checkpoint, TASKS["masked-lm"])(ids, torch.zeros_like(ids))[0]
    again = FNetForMaskedLM.from_pretrained(tmp_path).eval()  # which reads it as well
    assert torch.allclose(ours, theirs(ids).logits, atol=1e-6)
    assert torch.equal(again(ids).logits, theirs(ids).logits)


def test_a_name_in_the_metadata_serves_where_nothing_is_tied(tmp_path):
    theirs = saved_once(tmp_path, metadata=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    ids = torch.arange(7)[None]
    ours = model_from_checkpoint(checkpoint_from_folder(tmp_path, id="x"), TASKS["masked-lm"])(ids, torch.zeros_like(ids))[0]
    assert torch.allclose(ours, theirs(ids).logits, atol=1e-6)
    saved_once(tmp_path, metadata=False)
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    with pytest.raises(CheckpointError, match=r"word_embeddings\.weight is missing"):
        checkpoint_from_folder(tmp_path, id="x")


def test_old_names_of_layer_norm_are_read(folder):
    expected = opened(folder).state_dict()
    changed_weights(folder, lambda w: [w.update({_old(key): w.pop(key)}) for key in [*w] if ".LayerNorm." in key])
    assert any(key.endswith("LayerNorm.gamma") for key in load_file(folder / "model.safetensors"))
    found = opened(folder).state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    name = "fnet.embeddings.LayerNorm"
    changed_weights(folder, lambda w: w.update({f"{name}.weight": w[f"{name}.gamma"].clone()}))
    twice = r"LayerNorm\.weight and fnet\.embeddings\.LayerNorm\.gamma are two names of one tensor; remove the tensor that training"
    with pytest.raises(CheckpointError, match=twice):
        opened(folder)
    changed_weights(folder, lambda w: w.pop(f"{name}.weight"))
    changed_weights(folder, lambda w: w.pop(f"{name}.gamma"))
    with pytest.raises(CheckpointError, match=r"tensor fnet\.embeddings\.LayerNorm\.weight is missing"):
        opened(folder)


def _old(key):
    return key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def test_names_of_activations_are_those_of_transformers():
    """Every name of ACT2FN that computes one of our functions is read as it; the others are refused."""
    x = torch.linspace(-20, 20, 20_001, dtype=torch.float64)
    for name in ACT2FN:
        if name in ("prelu", "xielu"):  # have weights
            continue
        near = [ours for ours, function in ACTIVATIONS.items() if (ACT2FN[name](x) - function(x)).abs().max() < 1e-11]
        if near:
            assert [FNetConfig.from_dict({"hidden_act": name}).hidden_act] == near
        else:
            with pytest.raises(ConfigError, match=f"hidden_act: expected one of gelu_new, .*swish, found '{name}'"):
                FNetConfig.from_dict({"hidden_act": name})


def test_without_a_pooler_features_are_refused_with_what_to_do(folder):
    """As transformers leaves it with add_pooling_layer=False; it then draws a pooler when asked for one, with a warning."""
    changed_weights(folder, lambda w: [w.pop(key) for key in [*w] if "pooler" in key or "seq_relationship" in key])
    asked = r"has no weights for the pooler \(pooler\.dense\), which gives feature-extraction its pooler_output; it has heads for: "
    with pytest.raises(
        TaskError, match=f"{asked}masked-lm. Choose one of these, or --random-head for an untrained pooler; last_hid"
    ):
        opened(folder, "feature-extraction")
    changed_weights(folder, lambda w: [w.pop(key) for key in [*w] if key.startswith("cls.")])
    with pytest.raises(TaskError, match="it has heads for no task. Add --random-head for an untrained pooler"):
        opened(folder, "feature-extraction")
    ids = torch.arange(7)[None]
    hidden = opened(folder, "feature-extraction", random_head=True)(ids, torch.zeros_like(ids))[0]
    theirs = FNetModel.from_pretrained(folder, add_pooling_layer=False).eval()
    assert torch.allclose(hidden, theirs(ids).last_hidden_state, atol=1e-6)


def test_a_differing_decoder_is_refused_before_the_model_is_read(folder):
    changed_weights(folder, lambda w: w.update({"cls.predictions.decoder.weight": torch.ones(40, 6)}))
    checkpoint = checkpoint_from_folder(folder, id="x")
    for task in ("masked-lm", "pretraining"):
        with pytest.raises(CheckpointError, match="set tie_word_embeddings to false. .* do the same, remove"):
            head_is_drawn(checkpoint, TASKS[task], random_head=True)
    assert not head_is_drawn(checkpoint, TASKS["feature-extraction"], random_head=False)  # does not read the decoder


def test_shards_and_pickles_give_the_same_model(folder, tmp_path_factory):
    weights = load_file(folder / "model.safetensors")
    expected = opened(folder).state_dict()
    sharded, pickled = tmp_path_factory.mktemp("sharded"), tmp_path_factory.mktemp("pickled")
    names = sorted(weights)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, keys in parts.items():
        save_file({key: weights[key] for key in keys}, sharded / file)
    index = {"weight_map": {key: file for file, keys in parts.items() for key in keys}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    torch.save(weights, pickled / "pytorch_model.bin")
    for other in (sharded, pickled):
        (other / "config.json").write_text((folder / "config.json").read_text())
        state = opened(other).state_dict()
        assert all(torch.equal(state[key], value) for key, value in expected.items())


def test_missing_left_over_misshapen_and_nan_tensors_are_named(folder):
    original = (folder / "model.safetensors").read_bytes()
    bias = "fnet.encoder.layer.1.output.dense.bias"
    changes = {
        "encoder.layer.1.output.dense.bias is missing": lambda w: w.pop(bias),
        "fnet.surplus is left over": lambda w: w.update({"fnet.surplus": torch.zeros(2)}),
        r"has shape \[7\], but config.json implies \[6\]": lambda w: w.update({bias: torch.zeros(7)}),
        "expected finite floats, found NaN": lambda w: w[bias].fill_(float("nan")),
        "decoder.weight differs from embeddings.word_embeddings.weight, .* transformers 5 computes with": lambda w: w.update(
            {"cls.predictions.decoder.weight": torch.ones(40, 6)}
        ),
        "decoder.bias differs from cls.predictions.bias": lambda w: w.update({"cls.predictions.decoder.bias": torch.ones(40)}),
    }
    for message, change in changes.items():
        (folder / "model.safetensors").write_bytes(original)
        changed_weights(folder, change)
        with pytest.raises(CheckpointError, match=message):
            opened(folder)


@pytest.mark.parametrize("kept", [0, 7, 500, -40])
def test_truncated_safetensors_are_refused(folder, kept):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:kept])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        opened(folder)


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_malicious_pickle_is_refused_and_not_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").unlink()
    torch.save({"fnet.x": Malicious()}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="may run code"):
        opened(folder)
    assert not (folder / "pwned").exists()


def test_an_index_cannot_leave_its_folder(folder):
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../evil.safetensors"}}))
    with pytest.raises(CheckpointError, match="plain name of a file"):
        opened(folder)
    index.write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    with pytest.raises(CheckpointError, match="is missing"):
        opened(folder)
    index.write_text("[]")
    with pytest.raises(CheckpointError, match="not an index"):
        opened(folder)


def test_folders_that_are_no_checkpoints(tmp_path):
    with pytest.raises(CheckpointError, match=r"config.json.*cannot be read"):
        checkpoint_from_folder(tmp_path, id="x")
    (tmp_path / "config.json").write_text(FNetConfig().to_json())
    with pytest.raises(CheckpointError, match="has no weights; expected one of model.safetensors"):
        checkpoint_from_folder(tmp_path, id="x")
    with pytest.raises(CheckpointError, match="neither a local folder nor a hub id"):
        checkpoint_from_name("not//a name")
    with pytest.raises(CheckpointError, match="has no revision"):
        checkpoint_from_name(str(tmp_path), revision="main")


def test_the_hub_cache_is_used_before_the_network(folder, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    repository = cache / "models--someone--fnet"
    commit = "0123456789012345678901234567890123456789"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    folder.rename(repository / "snapshots" / commit)
    source = checkpoint_from_name("someone/fnet", cache=cache).source
    assert (source.id, source.revision) == ("someone/fnet", commit)


def test_config_round_trip_keeps_unknown_keys():
    text = json.dumps(TheirConfig(num_labels=3).to_dict() | {"mine": [1]}, default=str)
    config = FNetConfig.from_json(text)
    assert config.num_labels == 3
    assert config.to_dict()["mine"] == [1]
    assert FNetConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("key", "value"),
    [("hidden_size", 0), ("vocab_size", "x"), ("hidden_act", "tanh"), ("pad_token_id", 32000), ("layer_norm_eps", -1.0),
     ("model_type", "bert"), ("id2label", {"1": "a"}), ("tie_word_embeddings", 1), ("hidden_dropout_prob", 1.5),
     ("layer_norm_eps", 10**400), ("id2label", {}), ("id2label", ["a"]), ("id2label", {"0": None}), ("id2label", {"0": ["a"]})],
)  # fmt: skip
def test_bad_config_values_are_refused_by_name(key, value):
    with pytest.raises(ConfigError, match=f"{key}: expected"):
        FNetConfig.from_dict({key: value})


def test_names_of_labels_that_are_numbers_are_read_as_transformers_reads_them(tmp_path):
    for labels in ({"0": 0}, {"0": 1, "1": 0}, {"0": False, "1": True}, {"0": 1.5, "1": "a"}):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "fnet", "id2label": labels}))
        theirs = TheirConfig.from_pretrained(tmp_path)
        ours = FNetConfig.from_json((tmp_path / "config.json").read_text())
        assert list(ours.labels) == [str(theirs.id2label[i]) for i in range(theirs.num_labels)]
        assert FNetConfig.from_json(ours.to_json()) == ours
    with pytest.raises(ConfigError, match="num_labels: expected 1, as many as id2label has names, found 3"):
        FNetConfig.from_dict({"id2label": {"0": "a"}, "num_labels": 3})


def test_task_names():
    assert task_named("text-classification").name == "sequence-classification"
    assert task_named("fill-mask").name == "masked-lm"
    assert task_named("embeddings").name == "feature-extraction"
    with pytest.raises(TaskError, match="did you mean masked-lm"):
        task_named("masked-ml")


def test_half_a_head_is_refused_and_a_classifier_of_tokens_needs_no_pooler(folder, tmp_path_factory):
    changed_weights(folder, lambda w: w.pop("fnet.pooler.dense.weight"))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: tensor fnet\.pooler\.dense\.weight is missing; config\.json"):
        checkpoint_from_folder(folder, id="x")
    other = tmp_path_factory.mktemp("other")
    FNetForTokenClassification(TheirConfig(**SIZES)).save_pretrained(other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"architectures": None}))
    changed_weights(other, lambda w: [w.pop(f"fnet.pooler.dense.{kind}", None) for kind in ("weight", "bias")])
    assert "token-classification" in checkpoint_from_folder(other, id="x").tasks
    changed_weights(other, lambda w: w.pop("classifier.bias"))
    with pytest.raises(CheckpointError, match=r"tensor classifier\.bias is missing"):
        checkpoint_from_folder(other, id="x")


@pytest.mark.parametrize("field", WEIGHT_SIZES)
def test_sizes_that_no_weights_have_are_refused_before_anything_is_made(folder, field):
    config = json.loads((folder / "config.json").read_text())
    holds = "32 tensors" if field == "num_hidden_layers" else "no axis above 40"
    for value in (10**9, 10**30):
        (folder / "config.json").write_text(json.dumps(config | {field: value}))
        start = time.perf_counter()
        with pytest.raises(
            CheckpointError, match=rf"config\.json: {field} {value}: the weights hold {holds}; they are of different"
        ):
            checkpoint_from_folder(folder, id="x")
        assert time.perf_counter() - start < 1


def test_an_empty_tensor_makes_no_size_good(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 10**12}))
    changed_weights(folder, lambda w: w.update({"fnet.embeddings.position_embeddings.weight": torch.zeros(10**12, 0)}))
    with pytest.raises(CheckpointError, match="max_position_embeddings 1000000000000: the weights hold no axis above 40"):
        checkpoint_from_folder(folder, id="x")


def test_a_number_of_labels_that_nothing_has():
    for count in (10**9, 0, True):
        with pytest.raises(ConfigError, match=f"num_labels: expected a positive integer, at most 1000000, found {count}"):
            FNetConfig.from_dict({"num_labels": count})


def test_a_class_name_does_not_make_a_preset_of_keras(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"class_name": "FNetForPreTraining", "config": {}}))
    checkpoint = checkpoint_from_folder(folder, id="x")
    assert ("pretraining" in checkpoint.tasks, checkpoint.config.to_dict()["class_name"]) == (True, "FNetForPreTraining")


def test_one_tensor_in_two_files(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for name in ("a.safetensors", "b.safetensors"):
        save_file(weights, folder / name)
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"b\.safetensors: tensor .* is in a\.safetensors as well; remove it from one"):
        checkpoint_from_folder(folder, id="x")
