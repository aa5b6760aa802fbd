"""Read checkpoints of google-research f_net: its names of tensors, and sizes that follow from shapes (docs/checkpoints.md)."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from fnet_core.checkpoint.flax_file import arrays_from_file, read_array, write_tree
from fnet_core.checkpoint.names import (
    AS_IT_IS,
    FIRST,
    HEADS_BIAS,
    HEADS_IN,
    HEADS_OUT,
    TRANSPOSED,
    Change,
    Contents,
    Leaves,
    Modules,
    check_sizes,
    renames_from_modules,
    undone,
)
from fnet_core.checkpoint.weights import WeightFile, text_from_file
from fnet_core.config import FOURIER, FNetConfig, numbered_labels
from fnet_core.errors import CheckpointError, ConfigError

TOKENIZER = "f_net"
"""The flavour of tokenizer (docs/tokenizer.md) of f_net's code."""
EMBEDDING: Leaves = {"embedding": ("weight", AS_IT_IS)}
POSITIONS: Leaves = {"embedding": ("weight", FIRST)}
NORM: Leaves = {"scale": ("weight", AS_IT_IS), "bias": ("bias", AS_IT_IS)}
DENSE: Leaves = {"kernel": ("weight", TRANSPOSED), "bias": ("bias", AS_IT_IS)}
PROJECTION: Leaves = {"output_kernel": ("weight", AS_IT_IS), "output_bias": ("bias", AS_IT_IS)}
TO_HEADS: Leaves = {"kernel": ("weight", HEADS_OUT), "bias": ("bias", HEADS_BIAS)}
FROM_HEADS: Leaves = {"kernel": ("weight", HEADS_IN), "bias": ("bias", AS_IT_IS)}

ROOT = "encoder/"
"""Where the encoder is in a model with a head. f_net's bare EncoderModel has its modules at the root."""
ENCODER: Modules = {
    "embedder/word": ("embeddings.word_embeddings", EMBEDDING),
    "embedder/position": ("embeddings.position_embeddings", POSITIONS),
    "embedder/type": ("embeddings.token_type_embeddings", EMBEDDING),
    "embedder/layer_norm": ("embeddings.LayerNorm", NORM),
    "embedder/hidden_mapping_in": ("embeddings.projection", DENSE),
    "pooler": ("pooler.dense", DENSE),
}
BLOCK: Modules = {
    "linear_transform_{i}": (
        "encoder.layer.{i}.linear",
        {"hidden_kernel": ("hidden.weight", TRANSPOSED), "seq_kernel": ("sequence.weight", AS_IT_IS)},
    ),
    "self_attention_{i}/query": ("encoder.layer.{i}.attention.query", TO_HEADS),
    "self_attention_{i}/key": ("encoder.layer.{i}.attention.key", TO_HEADS),
    "self_attention_{i}/value": ("encoder.layer.{i}.attention.value", TO_HEADS),
    "self_attention_{i}/out": ("encoder.layer.{i}.attention.output", FROM_HEADS),
    "encoder_{i}/mixing_layer_norm": ("encoder.layer.{i}.fourier.output.LayerNorm", NORM),
    "feed_forward_{i}/intermediate": ("encoder.layer.{i}.intermediate.dense", DENSE),
    "feed_forward_{i}/output": ("encoder.layer.{i}.output.dense", DENSE),
    "encoder_{i}/output_layer_norm": ("encoder.layer.{i}.output.LayerNorm", NORM),
}  # fmt: skip
PRETRAINING: Modules = {
    "predictions_dense": ("cls.predictions.transform.dense", DENSE),
    "predictions_layer_norm": ("cls.predictions.transform.LayerNorm", NORM),
    "predictions_output": ("cls.predictions", {"output_bias": ("bias", AS_IT_IS)}),
    "classification": ("cls.seq_relationship", PROJECTION),
}
CLASSIFICATION: Modules = {"classification": ("classifier", PROJECTION)}

SIZES = {
    "vocab_size": ("embedder/word/embedding", 0),
    "hidden_size": ("embedder/word/embedding", 1),
    "max_position_embeddings": ("embedder/position/embedding", 1),
    "type_vocab_size": ("embedder/type/embedding", 0),
    "intermediate_size": ("feed_forward_0/intermediate/kernel", 1),
}
"""The encoder's tensor, and its axis, from which a size follows if there is no config.json."""
EMBEDDING_SIZE = "embedder/hidden_mapping_in/kernel"
CLASSIFIER = "classification/output_kernel"
MASKED_LM, MASKED_LM_NAME = "predictions_", "cls.predictions."
"""The beginning of the names of the masked-lm head, here and in transformers."""
CHECKPOINT_NAMES = re.compile(r"checkpoint_\d+|.*_checkpoint|.*\.msgpack")
ORBAX_FILES = ("_METADATA", "_CHECKPOINT_METADATA", "manifest.ocdbt")
FIXED = {"hidden_act": "gelu_new", "layer_norm_eps": 1e-12, "tie_word_embeddings": True, "masked_lm_act": None}
"""What f_net's code computes, whatever a configuration says."""


def flax_renames(layers: int, *, pretraining: bool, root: str = ROOT) -> dict[str, tuple[str, Change]]:
    """List every tensor that an f_net checkpoint may hold.

    `classification` is a next-sentence head in pre-training, else a classifier.
    """
    blocks = {key.format(i=i): (name.format(i=i), leaves) for i in range(layers) for key, (name, leaves) in BLOCK.items()}
    encoder = {f"{root}{key}": module for key, module in {**ENCODER, **blocks}.items()}
    return renames_from_modules({**encoder, **(PRETRAINING if pretraining else CLASSIFICATION)})


def flax_file_in_folder(folder: Path) -> Path | None:
    """Return the checkpoint file of a folder, by the names that flax and f_net use, or None.

    Raises CheckpointError if there are several files, or an Orbax directory.
    """
    if not folder.is_dir():
        return None
    named = sorted(path for path in folder.iterdir() if CHECKPOINT_NAMES.fullmatch(path.name))
    for path in (folder, *named):
        if any((path / name).exists() for name in ORBAX_FILES):
            raise CheckpointError(
                f"{path}: is an Orbax directory, which cannot be read; restore it with flax, and write "
                'flax.serialization.to_bytes({"target": params}) to a file'
            )
    files = [path for path in named if path.is_file()]
    if len(files) > 1:
        raise CheckpointError(
            f"{folder}: expected one checkpoint file, found {', '.join(path.name for path in files)}; give the path of the file"
        )
    return files[0] if files else None


def flax_contents(path: Path) -> Contents:
    """Open a checkpoint file. Sizes come from a config.json next to the file, or else from shapes.

    Raises CheckpointError if the file is damaged or is not an f_net checkpoint, and ConfigError for a bad config.json.
    """
    arrays = arrays_from_file(path)
    shapes = {key: array.shape for key, array in arrays.items()}
    root = "" if _any(shapes, "embedder/") else ROOT
    if not _any(shapes, root):
        raise CheckpointError(
            f"{path}: expected f_net's parameters, an encoder and heads; found {', '.join(sorted(shapes)[:4]) or 'none'}"
        )
    _check_embedding_size(path, shapes, f"{root}{EMBEDDING_SIZE}")
    file = WeightFile(path, shapes, partial(read_array, path, arrays))
    beside = path.parent / "config.json"
    if beside.is_file():
        config, origin = FNetConfig.from_json(text_from_file(beside, "a configuration"), name=str(beside)), "config.json"
        assumed: tuple[str, ...] = ()
    else:
        config, origin = _config_from_shapes(path, shapes, root)
        assumed = _assumed(config)
    check_sizes(config, [file], path=beside if beside.is_file() else path)
    return Contents(
        folder=path.parent,
        config=config,
        origin=origin,
        files=((file, flax_renames(config.num_hidden_layers, pretraining=_any(shapes, MASKED_LM), root=root)),),
        vocabulary=_vocabulary(path.parent),
        tokenizer=TOKENIZER,
        assumed=assumed,
    )


def _assumed(config: FNetConfig) -> tuple[str, ...]:
    """List what no shape states about a model, and was assumed."""
    mixing = ("Fourier mixing (feed-forward-only and random models look the same)",) if FOURIER in config.mixings else ()
    labels = ("labels by number",) if "FNetForSequenceClassification" in config.architectures else ()
    return (*mixing, f"<pad> at {config.pad_token_id}", *labels)


def _vocabulary(folder: Path) -> Path:
    """Return the SentencePiece model next to a file:

    spiece.model, or the only other `*.model`. Raises CheckpointError for several.
    """
    others = sorted(folder.glob("*.model"))
    named = folder / "spiece.model"
    if named.is_file() or not others:
        return named
    if len(others) > 1:
        raise CheckpointError(
            f"{folder}: expected one SentencePiece model, found {', '.join(path.name for path in others)}; "
            f"rename the model's own to {named.name}"
        )
    return others[0]


def _check_embedding_size(path: Path, shapes: Mapping[str, tuple[int, ...]], key: str) -> None:
    shape = shapes.get(key, ())
    if len(shape) == 2 and shape[0] != shape[1]:
        raise CheckpointError(
            f"{path}: tensor {key} has shape {list(shape)}: d_emb {shape[0]} differs from d_model {shape[1]}; "
            "only models with one hidden size can be read, as in transformers"
        )


def _config_from_shapes(path: Path, shapes: Mapping[str, tuple[int, ...]], root: str) -> tuple[FNetConfig, str]:
    """Return the configuration of a tree whose encoder is at `root`, and the tensors from which it follows."""
    values: dict[str, Any] = {}
    sizes = {field: (f"{root}{key}", axis) for field, (key, axis) in SIZES.items()}
    for field, (key, axis) in sizes.items():
        if axis >= len(shapes.get(key, ())):
            problem = f"has shape {list(shapes[key])}" if key in shapes else "is missing"
            raise CheckpointError(f"{path}: tensor {key} {problem}; its axis {axis} should be {field}, as there is no config.json")
        values[field] = shapes[key][axis]
    tellers = dict.fromkeys(key for key, _ in sizes.values())
    layers = _layers(shapes, f"{root}(?:encoder|feed_forward)")
    values["num_hidden_layers"] = len(layers)
    values |= _mixing_from_shapes(shapes, layers, root)
    if _any(shapes, MASKED_LM):
        values["architectures"] = ("FNetForPreTraining" if CLASSIFIER in shapes else "FNetForMaskedLM",)
    elif CLASSIFIER in shapes:
        tellers[CLASSIFIER] = None
        labels = numbered_labels(next(iter(shapes[CLASSIFIER]), 0), name=f"{path}: the first axis of {CLASSIFIER}")
        values |= {"architectures": ("FNetForSequenceClassification",), "labels": labels}
    else:
        values["architectures"] = ("FNetModel",)
    told = " and of ".join(f"{key} {list(shapes[key])}" for key in tellers)
    try:
        config = FNetConfig(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}; the value follows from its shapes, because there is no config.json") from error
    return config, f"the number of blocks ({len(layers)}) and the shape of {told}"


def _any(names: Iterable[str], beginning: str) -> bool:
    return any(name.startswith(beginning) for name in names)


def _layers(shapes: Mapping[str, tuple[int, ...]], module: str) -> set[int]:
    matches = (re.match(rf"{module}_(\d+)/", key) for key in shapes)
    return {int(match[1]) for match in matches if match}


def _mixing_from_shapes(shapes: Mapping[str, tuple[int, ...]], layers: set[int], root: str) -> dict[str, Any]:
    """Return what the tree shows of its mixers. Mixers without parameters look alike and are taken for Fourier transforms."""
    linear, attention = _layers(shapes, f"{root}linear_transform"), _layers(shapes, f"{root}self_attention")
    values: dict[str, Any] = {"mixing": "linear"} if linear else {}
    if attention:
        values |= {"mixing": "attention"} if attention == layers else {"attention_layers": tuple(sorted(attention))}
        query = shapes.get(f"{root}self_attention_{min(attention)}/query/kernel", ())
        values["num_attention_heads"] = query[1] if len(query) == 3 else 1
    return values


def write_flax(path: Path, names: Iterable[str], read: Callable[[str], Tensor], config: FNetConfig, *, source: str) -> None:
    """Write `{"target": parameters}` as f_net does, with one tensor in memory at a time.

    `read` gives the tensor of each of transformers' `names`. Errors call the model `source`. Raises CheckpointError for a model
    that f_net cannot hold, and OSError.
    """
    names = set(names)
    for field, fixed in FIXED.items():
        if getattr(config, field) != fixed:
            raise CheckpointError(
                f"{source}: {field}: expected {fixed!r}, which f_net's code computes; found {getattr(config, field)!r}"
            )
    renames = flax_renames(config.num_hidden_layers, pretraining=_any(names, MASKED_LM_NAME))
    homeless = sorted(names - {name for name, _ in renames.values()})
    if homeless:
        raise CheckpointError(
            f"{source}: tensor {homeless[0]} has no place in an f_net checkpoint, which holds an encoder and either a "
            "classifier or the heads of pre-training"
        )
    tree: dict[str, Any] = {}
    for key, (name, change) in renames.items():
        if name in names:
            *parents, leaf = key.split("/")
            branch = tree
            for parent in parents:
                branch = branch.setdefault(parent, {})
            branch[leaf] = partial(_stored, read, name, change, config)
    with path.open("wb") as file:
        write_tree(file, tree)


def _stored(read: Callable[[str], Tensor], name: str, change: Change, config: FNetConfig) -> Tensor:
    return undone(change, read(name), config)
