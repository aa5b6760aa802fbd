"""Read keras-hub's FNet presets, Keras 3 weights in HDF5, without keras (docs/checkpoints.md).

Keras names a layer by its class and its number of occurrence, and a variable by its number within a layer.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from fnet_core.checkpoint.names import AS_IT_IS, TRANSPOSED, Contents, Leaves, Modules, check_sizes, renames_from_modules
from fnet_core.checkpoint.weights import WeightFile, damaged, text_from_file
from fnet_core.config import FNetConfig, numbered_labels
from fnet_core.errors import CheckpointError, ConfigError

TOKENIZER = "sentencepiece"
"""The flavour of tokenizer (docs/tokenizer.md) of keras-hub's code."""
EMBEDDING: Leaves = {"vars/0": ("weight", AS_IT_IS)}
NORM: Leaves = {"vars/0": ("weight", AS_IT_IS), "vars/1": ("bias", AS_IT_IS)}
DENSE: Leaves = {"vars/0": ("weight", TRANSPOSED), "vars/1": ("bias", AS_IT_IS)}

BACKBONE: Modules = {
    "layers/reversible_embedding": ("embeddings.word_embeddings", EMBEDDING),
    "layers/position_embedding": ("embeddings.position_embeddings", EMBEDDING),
    "layers/embedding": ("embeddings.token_type_embeddings", EMBEDDING),
    "layers/layer_normalization": ("embeddings.LayerNorm", NORM),
    "layers/dense": ("embeddings.projection", DENSE),
    "layers/dense_1": ("pooler.dense", DENSE),
}
BLOCK: Modules = {
    "layers/{block}/_mixing_layer_norm": ("encoder.layer.{i}.fourier.output.LayerNorm", NORM),
    "layers/{block}/_intermediate_dense": ("encoder.layer.{i}.intermediate.dense", DENSE),
    "layers/{block}/_output_dense": ("encoder.layer.{i}.output.dense", DENSE),
    "layers/{block}/_output_layer_norm": ("encoder.layer.{i}.output.LayerNorm", NORM),
}
MASKED_LM: Modules = {
    "layers/masked_lm_head": ("cls.predictions", {"vars/0": ("bias", AS_IT_IS)}),
    "layers/masked_lm_head/_intermediate_dense": ("cls.predictions.transform.dense", DENSE),
    "layers/masked_lm_head/_intermediate_layer_norm": ("cls.predictions.transform.LayerNorm", NORM),
}
CLASSIFIER: Modules = {"layers/dense": ("classifier", DENSE)}
CLASSIFIER_TENSORS = tuple(renames_from_modules(CLASSIFIER))
TASKS: Mapping[str, tuple[str, Modules]] = {
    "FNetTextClassifier": ("FNetForSequenceClassification", CLASSIFIER),
    "FNetClassifier": ("FNetForSequenceClassification", CLASSIFIER),
    "FNetMaskedLM": ("FNetForMaskedLM", MASKED_LM),
}
"""By keras-hub's class of a task, old names included: transformers' class, and the modules in task.weights.h5."""

SIZES = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "max_sequence_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
}
"""Names in the configuration of keras-hub's FNetBackbone, and in transformers."""
MASKED_LM_FIXED = {"masked_lm_act": "gelu", "masked_lm_norm_eps": 1e-5}
"""How keras-hub's masked-lm head differs from its blocks: GELU by erf, and the epsilon of MaskedLMHead."""

CONFIG, WEIGHTS, TASK, TASK_WEIGHTS = "config.json", "model.weights.h5", "task.json", "task.weights.h5"
PREPROCESSOR = "preprocessor.json"
VOCABULARY = "assets/tokenizer/vocabulary.spm"
BACKBONE_CLASS = "FNetBackbone"
REGISTERED = "registered_name"
"""A key of every object that Keras 3 serialises."""
OPTIMIZER = "optimizer/"


def is_keras_preset(folder: Path) -> bool:
    """Return whether a folder's config.json is an object that Keras serialised.

    A `class_name` is not enough: other formats have it.
    """
    try:
        values = json.loads((folder / CONFIG).read_text("utf-8"))
        return isinstance(values, dict) and (values.get("class_name") == BACKBONE_CLASS or REGISTERED in values)
    except (OSError, ValueError, TypeError, RecursionError):
        return False  # the other readers report what is wrong


def keras_contents(folder: Path) -> Contents:
    """Open a preset: the backbone, and the head of a task if the preset has one.

    Raises CheckpointError if it holds another model, if a file is missing or damaged, or if a task computes something else.
    """
    path = folder / CONFIG
    values = _config_of(str(path), _object(path), (BACKBONE_CLASS,))
    for key in SIZES:
        if key not in values:
            raise CheckpointError(f"{path}: {key} is missing; expected the configuration of a {BACKBONE_CLASS}")
    fields: dict[str, Any] = {field: values[key] for key, field in SIZES.items()}
    try:
        config = FNetConfig(**fields, architectures=("FNetModel",))
    except ConfigError as error:
        raise ConfigError(f"{path}: {_in_their_words(str(error))}") from error
    weights = _opened(folder / WEIGHTS)
    check_sizes(config, [weights], path=path, words=_in_their_words)
    blocks = {
        key.format(block="f_net_encoder" + (f"_{i}" if i else "")): (name.format(i=i), leaves)
        for i in range(config.num_hidden_layers)
        for key, (name, leaves) in BLOCK.items()
    }
    files, labelled = [(weights, renames_from_modules({**BACKBONE, **blocks}))], False
    if (folder / TASK).is_file():
        head, modules, added = _task(folder, values)
        files.append((head, renames_from_modules(modules)))
        config, labelled = replace(config, **added), "labels" in added
    return Contents(
        folder=folder,
        config=config,
        origin=CONFIG,
        files=tuple(files),
        vocabulary=folder / VOCABULARY,
        tokenizer=TOKENIZER,
        assumed=(f"<pad> at {config.pad_token_id}", *(["labels by number"] if labelled else [])),
    )


def _in_their_words(message: str) -> str:
    """Return the error of a configuration with keras-hub's names of the sizes."""
    theirs = {field: key for key, field in SIZES.items()}
    return re.sub(r"\w+", lambda word: theirs.get(word[0], word[0]), message)


def _task(folder: Path, backbone: Mapping[str, Any]) -> tuple[WeightFile, Modules, dict[str, Any]]:
    """Return a preset's head: its weights, their modules, and the fields that it adds to the configuration."""
    path = folder / TASK
    task = _object(path)
    values = _config_of(str(path), task, tuple(TASKS))
    task_backbone = _config_of(f"{path}: backbone", values.get("backbone"), (BACKBONE_CLASS,))
    for key in SIZES:
        if task_backbone.get(key) != backbone[key]:
            raise CheckpointError(
                f"{path}: its backbone has {key} {task_backbone.get(key)!r}, but {folder / CONFIG} says {backbone[key]!r}; "
                "they are of different models"
            )
    architecture, modules = TASKS[task["class_name"]]
    file, fields = _opened(folder / TASK_WEIGHTS), {"architectures": (architecture,)}
    if modules is MASKED_LM:
        return file, modules, fields | MASKED_LM_FIXED
    if values.get("activation") not in (None, "linear"):
        raise CheckpointError(
            f"{path}: activation: expected linear, found {values['activation']!r}; a classifier here gives logits. "
            "Save the preset with activation=None"
        )
    labels = numbered_labels(values.get("num_classes"), name=f"{path}: num_classes")
    for key in CLASSIFIER_TENSORS:
        shape = file.shapes.get(key)
        if shape and shape[-1] != len(labels):
            raise CheckpointError(
                f"{file.path}: tensor {key} has shape {list(shape)}, but {TASK} says num_classes {len(labels)}; "
                "they are of different models"
            )
    return file, modules, fields | {"labels": labels}


def _object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(text_from_file(path, "a keras-hub preset"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected an object, found {type(values).__name__}")
    return values


def _config_of(name: str, values: object, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return the configuration of a serialised object of one of the classes. Errors call it `name`."""
    values = values if isinstance(values, dict) else {}
    config = values.get("config")
    if values.get("class_name") not in classes or not isinstance(config, dict):
        raise CheckpointError(
            f"{name}: expected the class {' or '.join(classes)} with its config, found {values.get('class_name')!r}"
        )
    return config


def _opened(path: Path) -> WeightFile:
    """Open an HDF5 file, and skip what an optimizer left in it."""
    shapes: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith(OPTIMIZER):
            if item.shape is None:
                raise CheckpointError(f"{path}: tensor {name} is empty; expected numbers")
            shapes[name] = tuple(item.shape)

    if not path.is_file():
        raise CheckpointError(f"{path}: is missing; expected a keras-hub preset's weights")
    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)  # follows no links to elsewhere
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise damaged(path, error) from error
    return WeightFile(path, shapes, partial(_read, path))


def _read(path: Path, name: str) -> Tensor:
    """Read one dataset. HDF5 does not know bfloat16, so Keras stores it as two plain bytes and names it in an attribute."""
    try:
        with h5py.File(path, "r") as file:
            dataset = file[name]
            if dataset.is_virtual or dataset.external:
                raise CheckpointError(f"{path}: tensor {name} is stored in another file; expected it in this one")
            array = dataset[()]
            if dataset.attrs.get("dtype") == "bfloat16" and array.dtype.itemsize == torch.bfloat16.itemsize:
                return torch.frombuffer(bytearray(array.tobytes()), dtype=torch.bfloat16).reshape(array.shape)
            return torch.from_numpy(array)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from error
