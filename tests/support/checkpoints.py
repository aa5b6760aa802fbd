"""Tiny checkpoints of random weights."""

import dataclasses
import json
import shutil

import torch
import transformers
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from safetensors.torch import save_file
from support.paths import GOLDEN

from fnet_core.checkpoint.huggingface import module_names
from fnet_core.config import FNetConfig
from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS

VOCABULARY = GOLDEN / "bpe.model"
LENGTH = 32


def tiny_config(**changes):
    config = FNetConfig(
        vocab_size=Tokenizer.from_file(VOCABULARY).vocab_size,
        hidden_size=12,
        num_hidden_layers=2,
        intermediate_size=10,
        max_position_embeddings=LENGTH,
        labels=("A", "B", "C"),
    )
    return dataclasses.replace(config, **changes)


def save_tiny(folder, task="sequence-classification", **changes):
    """A whole checkpoint of random weights for one task."""
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_config(**changes)
    torch.manual_seed(3)
    model = FNet(config, TASKS[task])
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    modules = dict(model.named_modules())
    tensors = {
        f"{key}.{kind}": value.detach().clone()
        for key, name in module_names(config, TASKS[task]).items()
        for kind, value in modules[name].named_parameters(recurse=False)
        if not (config.tie_word_embeddings and (key, kind) == ("cls.predictions.decoder", "weight"))
    }
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(config.to_json())
    shutil.copy(VOCABULARY, folder / "spiece.model")
    return folder


def save_sentence_model(folder, pooling, *, normalize=False, transformer="", settings=None, **changes):
    """A folder as sentence-transformers writes it: `pooling` is the config.json of its module of that name."""
    save_tiny(folder / transformer, "feature-extraction", **changes)
    kinds = {"Transformer": transformer, "Pooling": "1_Pooling"} | ({"Normalize": "2_Normalize"} if normalize else {})
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(kinds.items())
    ]
    (folder / "1_Pooling").mkdir()
    files = {"modules.json": modules, "1_Pooling/config.json": pooling}
    if settings is not None:
        files[f"{transformer or '.'}/sentence_bert_config.json"] = settings
    for name, values in files.items():
        (folder / name).write_text(json.dumps(values))
    return folder


def save_fresh(folder, task="sequence-classification"):
    """A model as transformers makes it before any training, whose biases are all zeros, saved by transformers itself."""
    torch.manual_seed(3)
    config = tiny_config(labels=("A", "B") if task == "question-answering" else ("A", "B", "C")).to_dict()
    model = getattr(transformers, TASKS[task].huggingface_class)(transformers.FNetConfig.from_dict(config))
    model.save_pretrained(folder)
    shutil.copy(VOCABULARY, folder / "spiece.model")
    return folder
