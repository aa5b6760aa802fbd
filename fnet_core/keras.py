"""keras-hub's FNet presets: Keras 3 weights in HDF5, read without keras (docs/checkpoints.md).

Keras names what stands in a file by class and number of occurrence, and variables by their number within a layer.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from fnet_core.config import FNetConfig
from fnet_core.errors import CheckpointError, ConfigError
from fnet_core.renames import AS_IT_IS, RAW_TOKENIZER, TRANSPOSED, Change, Contents, Leaves, Modules, renames_from_modules
from fnet_core.weights import WeightFile, damaged, text_from_file

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
TASKS: Mapping[str, tuple[str, Modules]] = {
    "FNetTextClassifier": ("FNetForSequenceClassification", CLASSIFIER),
    "FNetClassifier": ("FNetForSequenceClassification", CLASSIFIER),
    "FNetMaskedLM": ("FNetForMaskedLM", MASKED_LM),
}
"""Keras-hub's classes of tasks, old names included: transformers' class, and what task.weights.h5 holds."""

SIZES = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "max_sequence_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
}
"""Names in the configuration of keras-hub's FNetBackbone, and transformers'."""
MASKED_LM_FIXED = {"masked_lm_act": "gelu", "masked_lm_norm_eps": 1e-5}
"""What keras-hub's masked-lm head computes, other than its blocks: GELU by erf, and MaskedLMHead's own epsilon."""

CONFIG, WEIGHTS, TASK, TASK_WEIGHTS = "config.json", "model.weights.h5", "task.json", "task.weights.h5"
VOCABULARY = "assets/tokenizer/vocabulary.spm"
BACKBONE_CLASS = "FNetBackbone"
OPTIMIZER = "optimizer/"


def is_keras_preset(folder: Path) -> bool:
    """Tell whether a folder's config.json is of Keras: it names a class."""
    try:
        return "class_name" in json.loads((folder / CONFIG).read_text("utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False  # whatever it is, others report it


def keras_contents(folder: Path) -> Contents:
    """Open a preset: the backbone, and the head of a task where it has one.

    Raises CheckpointError when it is of another model, a file is missing or damaged, or a task computes what this model does not.
    """
    values = _config_of(folder / CONFIG, (BACKBONE_CLASS,))
    fields: dict[str, Any] = {}
    for key, field in SIZES.items():
        if key not in values:
            raise CheckpointError(f"{folder / CONFIG}: {key} is missing; expected the configuration of a {BACKBONE_CLASS}")
        fields[field] = values[key]
    blocks = {
        key.format(block="f_net_encoder" + (f"_{i}" if i else "")): (name.format(i=i), leaves)
        for i in range(fields["num_hidden_layers"] if isinstance(fields["num_hidden_layers"], int) else 0)
        for key, (name, leaves) in BLOCK.items()
    }
    files = [(_opened(folder / WEIGHTS), renames_from_modules({**BACKBONE, **blocks}))]
    if (folder / TASK).is_file():
        fields |= _task(folder, files)
    else:
        fields["architectures"] = ("FNetModel",)
    try:
        config = FNetConfig(**fields)
    except ConfigError as error:
        raise ConfigError(f"{folder / CONFIG}: {error}") from error
    return Contents(
        folder=folder, config=config, origin=CONFIG, files=tuple(files), vocabulary=folder / VOCABULARY, tokenizer=RAW_TOKENIZER
    )


def _task(folder: Path, files: list[tuple[WeightFile, dict[str, tuple[str, Change]]]]) -> dict[str, Any]:
    """Fields that a preset's task adds to the configuration; its weights are added to `files`."""
    path = folder / TASK
    values = _config_of(path, tuple(TASKS))
    architecture, modules = TASKS[_object(path)["class_name"]]
    files.append((_opened(folder / TASK_WEIGHTS), renames_from_modules(modules)))
    fields: dict[str, Any] = {"architectures": (architecture,)}
    if modules is MASKED_LM:
        return fields | MASKED_LM_FIXED
    if values.get("activation") not in (None, "linear"):
        raise CheckpointError(
            f"{path}: activation: expected linear, found {values['activation']!r}; a classifier here gives logits. "
            "Save the preset with activation=None"
        )
    count = values.get("num_classes")
    if not isinstance(count, int) or count < 1:
        raise CheckpointError(f"{path}: num_classes: expected a positive integer, found {count!r}")
    return fields | {"labels": tuple(f"LABEL_{i}" for i in range(count))}


def _object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(text_from_file(path, "a keras-hub preset"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected an object, found {type(values).__name__}")
    return values


def _config_of(path: Path, classes: tuple[str, ...]) -> dict[str, Any]:
    """Read the configuration of a serialised object of one of some classes."""
    values = _object(path)
    config = values.get("config")
    if values.get("class_name") not in classes or not isinstance(config, dict):
        raise CheckpointError(
            f"{path}: expected the class {' or '.join(classes)} with its config, found {values.get('class_name')!r}"
        )
    return config


def _opened(path: Path) -> WeightFile:
    """Open an HDF5 file; what an optimizer left in it is passed over."""
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
    """Read one dataset; bfloat16, which HDF5 does not know, is stored as two plain bytes and named by an attribute."""
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
