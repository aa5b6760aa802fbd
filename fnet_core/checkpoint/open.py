"""Open checkpoints, from a folder or file to a model. Every tensor is used once, none is missing, and every shape is checked.

In every format, tensors have transformers' names here. flax.py and keras.py map their names to these.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from fnet_core.checkpoint.flax import flax_contents, flax_file_in_folder
from fnet_core.checkpoint.hub import folder_from_hub
from fnet_core.checkpoint.huggingface import (
    DECODER_BIAS,
    DECODER_WEIGHT,
    HEAD_MODULES,
    POOLER_MODULES,
    PREDICTIONS_BIAS,
    WORD_EMBEDDINGS,
    huggingface_contents,
    known_tensors,
    tensor_of_parameter,
)
from fnet_core.checkpoint.keras import is_keras_preset, keras_contents
from fnet_core.checkpoint.names import AS_IT_IS, Contents, Stored, stored_shape
from fnet_core.checkpoint.sentence_transformers import (
    SentenceModel,
    check_sentence_keys,
    config_with_sentence_keys,
    sentence_model_from_folder,
)
from fnet_core.checkpoint.weights import WEIGHT_FILES, WeightFile
from fnet_core.config import FNetConfig
from fnet_core.errors import CheckpointError, TaskError
from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS, Task

BUILT_IN = Path(__file__).parent / "pretrained"
BUILT_IN_ID = "built-in"

FILES_OF_FOLDERS = (".safetensors", ".bin", ".json", ".h5", ".keras", ".model", ".spm")
"""Endings of files that are read together with the files next to them."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Record where weights came from: the user's name for them, the commit on the hub if any, the sha256 of each weight file."""

    id: str
    revision: str | None
    sha256: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Hold an opened checkpoint: its configuration, and where each tensor is, by transformers' name without `fnet.`.

    `origin` says, for errors, where the configuration comes from. `assumed` lists the values that no file states. `vocabulary` is
    where the SentencePiece model should be. `tokenizer` is the flavour of the format's code, or None if files next to the weights
    state the flavour. `sentence` is what a folder of sentence-transformers says, whose transformer is in `folder`.
    """

    folder: Path
    config: FNetConfig
    origin: str
    assumed: tuple[str, ...]
    source: Source
    tensors: Mapping[str, Stored]
    vocabulary: Path
    tokenizer: str | None = None
    sentence: SentenceModel | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Return the names of the tasks for which the checkpoint has a head."""
        return tuple(task.name for task in TASKS.values() if has_head(self, task))

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes that every command prints when it opens the checkpoint: what was assumed."""
        if not self.assumed:
            return ()
        return (
            f"{self.source.id}: its files do not say everything about the model; assumed: {', '.join(self.assumed)}. If that is "
            "wrong, write a config.json next to the file (docs/checkpoints.md)",
        )

    def tensor(self, name: str) -> Tensor:
        """Read one tensor in transformers' layout, with the stored type. Raises CheckpointError if it is damaged or not finite."""
        stored = self.tensors[name]
        tensor = stored.read()
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{stored.file.path}: tensor {stored.key}: expected finite floats, found NaN, infinity or another type"
            )
        return tensor


def checkpoint_from_name(name: str | None, *, revision: str | None = None, cache: Path | None = None) -> Checkpoint:
    """Open the built-in model (None), a local folder, or a hub id. A cached copy is preferred to the network.

    Raises CheckpointError if nothing has that name, and everything that `checkpoint_from_folder` raises.
    """
    if name is None or Path(name).exists():
        if revision is not None:
            raise CheckpointError(f"{name or BUILT_IN_ID}: a local model has no revision; leave {revision!r} out")
        return checkpoint_from_folder(BUILT_IN if name is None else Path(name), id=name or BUILT_IN_ID)
    folder = folder_from_hub(name, revision=revision, cache=cache)
    return checkpoint_from_folder(folder, id=name, revision=folder.name)


def checkpoint_from_folder(folder: Path, *, id: str, revision: str | None = None) -> Checkpoint:
    """Open a Hugging Face folder, one of sentence-transformers, a keras-hub preset, a flax file or its folder.

    The manifest will call the checkpoint `id`. Raises ConfigError for a bad config.json. Raises CheckpointError if config.json or
    weights are missing, or a file is damaged or unsafe. It does so too if a tensor is duplicate, missing or misshapen, or is not
    part of an FNet of this configuration. It refuses modules of sentence-transformers that a bundle does not have.
    """
    sentence = sentence_model_from_folder(folder)
    contents = _contents(folder if sentence is None else sentence.transformer)
    if sentence is not None:
        contents = replace(contents, config=config_with_sentence_keys(contents.config, sentence))
    config = contents.config
    check_sentence_keys(config, f"{id}: {contents.origin}")
    known = known_tensors(config)
    tensors: dict[str, Stored] = {}
    for file, renames in contents.files:
        for key in file.shapes:
            name, change = renames.get(key, ("", AS_IT_IS))
            if name not in known:
                raise CheckpointError(
                    f"{file.path}: tensor {key} is left over: an FNet with {config.num_hidden_layers} layers does not have it"
                )
            if name in tensors:
                raise CheckpointError(_held_twice(file, key, tensors[name]))
            tensors[name] = Stored(file, key, change)
    _add_shared(tensors, contents)
    _check_whole(tensors, contents)
    return Checkpoint(
        folder=contents.folder,
        config=config,
        origin=contents.origin,
        assumed=contents.assumed,
        source=Source(id=id, revision=revision, sha256={file.path.name: file.sha256() for file, _ in contents.files}),
        tensors=tensors,
        vocabulary=contents.vocabulary,
        tokenizer=contents.tokenizer,
        sentence=sentence,
    )


def _held_twice(file: WeightFile, key: str, other: Stored) -> str:
    """Return the error of a tensor that two files, or two names of one file, hold."""
    if key == other.key:
        return f"{file.path}: tensor {key} is in {other.file.path.name} as well; remove it from one of the files"
    where = "" if file is other.file else f" of {other.file.path.name}"
    return (
        f"{file.path}: tensors {key} and {other.key}{where} are two names of one tensor; "
        "remove the tensor that training did not write"
    )


def _add_shared(tensors: dict[str, Stored], contents: Contents) -> None:
    """Add the second name of each tensor that has two names and is stored once."""
    for file, renames in contents.files:
        for alias, key in file.aliases.items():
            if alias in renames:
                name, change = renames[alias]
                tensors.setdefault(name, Stored(file, key, change))
    if contents.config.tie_word_embeddings and DECODER_WEIGHT in tensors:
        tensors.setdefault(WORD_EMBEDDINGS, tensors[DECODER_WEIGHT])


def _contents(path: Path) -> Contents:
    """Recognise the format of a folder or file, and open it."""
    if path.is_file():
        if path.suffix in FILES_OF_FOLDERS:
            raise CheckpointError(f"{path}: expected a folder, or a flax file; give the folder that this file is in")
        return flax_contents(path)
    if is_keras_preset(path):
        return keras_contents(path)
    flax_file = None if any((path / name).is_file() for name in WEIGHT_FILES) else flax_file_in_folder(path)
    return huggingface_contents(path) if flax_file is None else flax_contents(flax_file)


def _check_whole(tensors: Mapping[str, Stored], contents: Contents) -> None:
    """Refuse the first tensor that is missing or misshapen, in the encoder and in every head that has any tensor."""
    for name, shapes in _implied_shapes(contents.config, tensors).items():
        if name in tensors:
            check_shape(tensors[name], shapes, contents.config, contents.origin)
            continue
        keys = {file.path: key for file, renames in contents.files for key, (known, _) in renames.items() if known == name}
        path, key = keys.popitem() if len(keys) == 1 else (contents.folder, name)  # no file or any of several may hold it
        raise CheckpointError(f"{path}: tensor {key} is missing; {contents.origin} implies it")


def check_shape(stored: Stored, shapes: Collection[tuple[int, ...]], config: FNetConfig, origin: str) -> None:
    """Refuse a tensor whose shape is not one of `shapes`. The error gives the shapes in the layout of the file."""
    shape_in_file, expected = stored.file.shapes[stored.key], [stored_shape(shape, stored.change, config) for shape in shapes]
    if shape_in_file not in expected:
        raise CheckpointError(
            f"{stored.file.path}: tensor {stored.key} has shape {list(shape_in_file)}, but {origin} implies "
            f"{' or '.join(str(list(shape)) for shape in expected)}; they are of different models"
        )


def _implied_shapes(config: FNetConfig, tensors: Mapping[str, Stored]) -> dict[str, set[tuple[int, ...]]]:
    """Return the shapes of every tensor that must exist: the encoder's, and all tensors of each head or pooler that has any.

    Several tasks give their heads the same name, so a name can have several shapes.
    """
    started = [
        task
        for task in TASKS.values()
        if task.name != "pretraining"  # its two heads are other tasks' as well
        and _is_of_architecture(config, task)
        and any(f"{m}.{kind}" in tensors for m in HEAD_MODULES[task.name] or POOLER_MODULES for kind in ("weight", "bias"))
    ]
    implied: dict[str, set[tuple[int, ...]]] = {}
    for task in started or [TASKS["token-classification"]]:
        with torch.device("meta"):
            model = FNet(config, task)
        keys = tensor_of_parameter(tensors, config, task)
        parts = ["encoder."] + ["head."] * bool(started)
        if all(other.pooled for other in started if HEAD_MODULES[other.name] == HEAD_MODULES[task.name]):
            parts.append("pooler.")  # else a head of that name may be one that reads every token
        for parameter, value in model.named_parameters():
            if parameter.startswith(tuple(parts)):
                implied.setdefault(keys[parameter], set()).add(tuple(value.shape))
    return implied


def names_once(checkpoint: Checkpoint) -> dict[str, str]:
    """Return the weights to write in another format, by name, each once. A tied decoder is left out.

    Raises CheckpointError if the decoder differs from the tensor that it is tied to.
    """
    names = {name: name for name in checkpoint.tensors}
    _check_tied(checkpoint)
    if checkpoint.config.tie_word_embeddings:
        names.pop(DECODER_WEIGHT, None)
        bias = names.pop(DECODER_BIAS, None)
        if bias is not None:
            names.setdefault(PREDICTIONS_BIAS, bias)
    return names


def has_head(checkpoint: Checkpoint, task: Task) -> bool:
    """Return whether the checkpoint has all weights of a task's head, pooler included.

    Three tasks call their head `classifier`. If the architectures in config.json name one of the three, the weights belong to it.
    """
    modules = dict(HEAD_MODULES[task.name]) | (POOLER_MODULES if task.pooled else {})
    tied = checkpoint.config.tie_word_embeddings
    if not all(f"{m}.weight" in checkpoint.tensors for m in modules if not (tied and f"{m}.weight" == DECODER_WEIGHT)):
        return False
    return _is_of_architecture(checkpoint.config, task)


def _is_of_architecture(config: FNetConfig, task: Task) -> bool:
    """Return whether config.json names no other task whose head has the same name."""
    rivals = {t.huggingface_class for t in TASKS.values() if HEAD_MODULES[t.name] == HEAD_MODULES[task.name]}
    named = rivals & set(config.architectures)
    return not named or task.huggingface_class in named


def head_is_drawn(checkpoint: Checkpoint, task: Task, *, random_head: bool) -> bool:
    """Return whether a task's head must be drawn, because the checkpoint does not have it.

    Raises TaskError, which lists the heads of the checkpoint, if the head must be drawn and `random_head` is false. Raises
    CheckpointError if the decoder differs from the tensor that it is tied to.
    """
    drawn = not has_head(checkpoint, task)
    if drawn and not random_head:
        raise TaskError(_no_head(checkpoint, task))
    if DECODER_WEIGHT.removesuffix(".weight") in HEAD_MODULES[task.name]:
        _check_tied(checkpoint)
    return drawn


def _no_head(checkpoint: Checkpoint, task: Task) -> str:
    """Return the error of a missing head: which weights are missing, and what can be exported instead."""
    lacks, drawn = f"the {task.name} head", "an untrained one"
    if not HEAD_MODULES[task.name]:
        lacks = f"the pooler (pooler.dense), which gives {task.name} its pooler_output"
        drawn = "an untrained pooler; last_hidden_state stays the checkpoint's"
    tasks = ", ".join(checkpoint.tasks)
    others = f"it has heads for: {tasks}. Choose one of these, or" if tasks else "it has heads for no task. Add"
    return f"{checkpoint.source.id}: has no weights for {lacks}; {others} --random-head for {drawn}"


def _check_tied(checkpoint: Checkpoint) -> None:
    """Refuse a decoder that differs from the word embeddings, if the configuration says that they are tied.

    Nobody can know which of the two the model was trained with: transformers 5 leaves them untied, and transformers 4 ties them.
    """
    if not checkpoint.config.tie_word_embeddings:
        return
    for name, other in ((DECODER_WEIGHT, WORD_EMBEDDINGS), (DECODER_BIAS, PREDICTIONS_BIAS)):
        both = name in checkpoint.tensors and other in checkpoint.tensors
        if both and not torch.equal(checkpoint.tensor(name), checkpoint.tensor(other)):
            raise CheckpointError(
                f"{checkpoint.folder}: {name} differs from {other}, but tie_word_embeddings (true unless config.json says false) "
                f"makes them one tensor. transformers 5 computes with {name}: to do the same, set tie_word_embeddings to false. "
                f"transformers 4 computes with {other}: to do the same, remove {name} from the weights"
            )
