"""Checkpoints: from a folder or file to a model, every tensor accounted for: nothing unused, nothing missing, every shape right.

Whatever the format, tensors go by transformers' names: flax.py and keras.py map theirs to these.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fnet_core.checkpoint.flax import flax_contents, flax_file_in_folder
from fnet_core.checkpoint.hub import folder_from_hub
from fnet_core.checkpoint.keras import is_keras_preset, keras_contents
from fnet_core.checkpoint.names import AS_IT_IS, Contents, Stored, check_sizes, stored_shape
from fnet_core.checkpoint.weights import WEIGHT_FILES, WeightFile, text_from_file, weight_files_from_folder
from fnet_core.config import FNetConfig
from fnet_core.errors import CheckpointError, TaskError
from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS, Task

BUILT_IN = Path(__file__).parent / "pretrained"
BUILT_IN_ID = "built-in"

ENCODER_MODULES = {
    "embeddings.word_embeddings": "encoder.embeddings.word",
    "embeddings.position_embeddings": "encoder.embeddings.position",
    "embeddings.token_type_embeddings": "encoder.embeddings.token_type",
    "embeddings.LayerNorm": "encoder.embeddings.norm",
    "embeddings.projection": "encoder.embeddings.projection",
}
BLOCK_MODULES = {
    "fourier.output.LayerNorm": "mixing_norm",
    "intermediate.dense": "intermediate",
    "output.dense": "output",
    "output.LayerNorm": "output_norm",
}
MIXING_MODULES: Mapping[str, Mapping[str, str]] = {
    "fourier": {},
    "identity": {},
    "linear": {"linear.hidden": "mixing.hidden", "linear.sequence": "mixing.sequence"},
    "random": {"random.hidden": "mixing.hidden", "random.sequence": "mixing.sequence"},
    "attention": {f"attention.{name}": f"mixing.{name}" for name in ("query", "key", "value", "output")},
}
"""Per mixing of a layer: the modules with weights; transformers, which has Fourier's only, has no names for them."""
POOLER_MODULES = {"pooler.dense": "pooler.dense"}
MASKED_LM_MODULES = {
    "cls.predictions.transform.dense": "head.dense",
    "cls.predictions.transform.LayerNorm": "head.norm",
    "cls.predictions.decoder": "head.decoder",
}
CLASSIFIER_MODULES = {"classifier": "head.classifier"}
HEAD_MODULES: Mapping[str, Mapping[str, str]] = {
    "feature-extraction": {},
    "pretraining": {
        **{key: name.replace("head.", "head.masked_lm.") for key, name in MASKED_LM_MODULES.items()},
        "cls.seq_relationship": "head.next_sentence.seq_relationship",
    },
    "masked-lm": MASKED_LM_MODULES,
    "next-sentence-prediction": {"cls.seq_relationship": "head.seq_relationship"},
    "sequence-classification": CLASSIFIER_MODULES,
    "multiple-choice": CLASSIFIER_MODULES,
    "token-classification": CLASSIFIER_MODULES,
    "question-answering": {"qa_outputs": "head.qa_outputs"},
}
"""Per task: transformers' names of the head's modules, and ours."""

HEADS = ("cls.", "classifier.", "qa_outputs.")
"""How transformers' names of the heads' tensors begin."""
WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
DECODER_WEIGHT, DECODER_BIAS = "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"
PREDICTIONS_BIAS = "cls.predictions.bias"
LEGACY_NAMES = {".LayerNorm.weight": ".LayerNorm.gamma", ".LayerNorm.bias": ".LayerNorm.beta"}
"""Endings of names, and what old versions of transformers wrote instead; the new ones read both."""
DERIVED = ("position_ids", "embeddings.token_type_ids", "dft_mat_hidden", "dft_mat_seq")
"""Endings of buffers that transformers computes and some checkpoints carry: not weights, so not read."""
FILES_OF_FOLDERS = (".safetensors", ".bin", ".json", ".h5", ".keras", ".model", ".spm")
"""Endings of files that are read with what is beside them."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where weights came from: the name the user gave, the hub's commit if any, the sha256 of each weight file."""

    id: str
    revision: str | None
    sha256: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """An opened checkpoint: its configuration and where each tensor is, by transformers' name without `fnet.`.

    `origin` says what the configuration follows from, for errors, `assumed` what it does not follow from; `vocabulary` is where the
    SentencePiece model should be, `tokenizer` the flavour that the format's code has, None where files beside the weights say.
    """

    folder: Path
    config: FNetConfig
    origin: str
    assumed: tuple[str, ...]
    source: Source
    tensors: Mapping[str, Stored]
    vocabulary: Path
    tokenizer: str | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that it has a head for."""
        return tuple(task.name for task in TASKS.values() if has_head(self, task))

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that every command says which opens it: what was assumed of the model."""
        if not self.assumed:
            return ()
        return (
            f"{self.source.id}: its files do not say everything about the model; assumed: {', '.join(self.assumed)}. Where that is "
            "wrong, write a config.json next to the file (docs/checkpoints.md)",
        )

    def tensor(self, name: str) -> Tensor:
        """Read one tensor in transformers' layout, of the type stored. Raises CheckpointError when damaged or not finite."""
        stored = self.tensors[name]
        tensor = stored.read()
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{stored.file.path}: tensor {stored.key} holds NaN, infinity or no real numbers; expected finite floats"
            )
        return tensor


def checkpoint_from_name(name: str | None, *, revision: str | None = None, cache: Path | None = None) -> Checkpoint:
    """Open the built-in model (None), a local folder, or a hub id, whose cached copy is preferred to the network.

    Raises CheckpointError when there is nothing of that name, and all that `checkpoint_from_folder` raises.
    """
    if name is None or Path(name).exists():
        if revision is not None:
            raise CheckpointError(f"{name or BUILT_IN_ID}: a local model has no revision; leave {revision!r} out")
        return checkpoint_from_folder(BUILT_IN if name is None else Path(name), id=name or BUILT_IN_ID)
    folder = folder_from_hub(name, revision=revision, cache=cache)
    return checkpoint_from_folder(folder, id=name, revision=folder.name)


def checkpoint_from_folder(folder: Path, *, id: str, revision: str | None = None) -> Checkpoint:
    """Open a Hugging Face folder, a keras-hub preset, or a flax file or the folder of one; `id` is what the manifest will call it.

    Raises ConfigError for a bad config.json, and CheckpointError when config.json or weights are missing, a file is damaged or
    unsafe, or a tensor stands twice, belongs to no FNet of this configuration, is missing or has another shape.
    """
    contents = _contents(folder)
    config = contents.config
    known = _known_tensors(config)
    tensors: dict[str, Stored] = {}
    for file, renames in contents.files:
        for key in file.shapes:
            name, change = renames.get(key, ("", AS_IT_IS))
            if name not in known:
                raise CheckpointError(
                    f"{file.path}: tensor {key} is left over: an FNet with {config.num_hidden_layers} layers has none of that name"
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
    )


def _held_twice(file: WeightFile, key: str, other: Stored) -> str:
    """Say which tensor two files, or two names of one file, hold, and what to do."""
    if key == other.key:
        return f"{file.path}: tensor {key} is in {other.file.path.name} as well; remove it from one of the files"
    where = "" if file is other.file else f" of {other.file.path.name}"
    return (
        f"{file.path}: tensors {key} and {other.key}{where} are two names of one tensor; remove that which training did not write"
    )


def _add_shared(tensors: dict[str, Stored], contents: Contents) -> None:
    """Add the other name of a tensor that two names share and a file holds once."""
    for file, renames in contents.files:
        for alias, key in file.aliases.items():
            if alias in renames:
                name, change = renames[alias]
                tensors.setdefault(name, Stored(file, key, change))
    if contents.config.tie_word_embeddings and DECODER_WEIGHT in tensors:
        tensors.setdefault(WORD_EMBEDDINGS, tensors[DECODER_WEIGHT])


def _contents(path: Path) -> Contents:
    """Find out the format of a folder or file."""
    if path.is_file():
        if path.suffix in FILES_OF_FOLDERS:
            raise CheckpointError(f"{path}: expected a folder, or a flax file; give the folder that this file is in")
        return flax_contents(path)
    if is_keras_preset(path):
        return keras_contents(path)
    flax_file = None if any((path / name).is_file() for name in WEIGHT_FILES) else flax_file_in_folder(path)
    return _huggingface_contents(path) if flax_file is None else flax_contents(flax_file)


def _huggingface_contents(folder: Path) -> Contents:
    path = folder / "config.json"
    config = FNetConfig.from_json(text_from_file(path, "a Hugging Face folder, a keras-hub preset or a flax file"), name=str(path))
    files = [
        replace(file, shapes={key: shape for key, shape in file.shapes.items() if not key.endswith(DERIVED)})
        for file in weight_files_from_folder(folder)
    ]
    check_sizes(config, files, path=path)
    known = _known_tensors(config)
    legacy = {_legacy(written): (name, AS_IT_IS) for name in known for written in (name, in_whole_model(name))}
    renames = legacy | {name: (name, AS_IT_IS) for name in known} | {in_whole_model(name): (name, AS_IT_IS) for name in known}
    return Contents(
        folder=folder,
        config=config,
        origin="config.json",
        files=tuple((file, renames) for file in files),
        vocabulary=folder / "spiece.model",
    )


def in_whole_model(name: str) -> str:
    """Return the name that a tensor has in a model with a head: the encoder's get a prefix."""
    return name if name.startswith(HEADS) else f"fnet.{name}"


def _legacy(name: str) -> str:
    """Return the name that old versions of transformers gave a tensor, mostly the same."""
    for ending, legacy in LEGACY_NAMES.items():
        if name.endswith(ending):
            return name.removesuffix(ending) + legacy
    return name


def _check_whole(tensors: Mapping[str, Stored], contents: Contents) -> None:
    """Refuse the first tensor that is missing or misshapen, of the encoder and of every head that there is anything of."""
    for name, shapes in _implied_shapes(contents.config, tensors).items():
        if name in tensors:
            _check_shape(tensors[name], shapes, contents.config, contents.origin)
            continue
        keys = {file.path: key for file, renames in contents.files for key, (known, _) in renames.items() if known == name}
        path, key = keys.popitem() if len(keys) == 1 else (contents.folder, name)  # no file or any of several may hold it
        raise CheckpointError(f"{path}: tensor {key} is missing; {contents.origin} implies it")


def _check_shape(stored: Stored, shapes: Collection[tuple[int, ...]], config: FNetConfig, origin: str) -> None:
    """Refuse a tensor that has none of some shapes; both are told as the file has them."""
    found, expected = stored.file.shapes[stored.key], [stored_shape(shape, stored.change, config) for shape in shapes]
    if found not in expected:
        raise CheckpointError(
            f"{stored.file.path}: tensor {stored.key} has shape {list(found)}, but {origin} implies "
            f"{' or '.join(str(list(shape)) for shape in expected)}; they are of different models"
        )


def _implied_shapes(config: FNetConfig, tensors: Mapping[str, Stored]) -> dict[str, set[tuple[int, ...]]]:
    """Shapes of every tensor that must be there: the encoder's, and all of each head, or pooler, that has any there.

    Tasks that call their head alike imply several shapes for it.
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
        keys = _tensor_of_parameter(tensors, config, task)
        parts = ["encoder."] + ["head."] * bool(started)
        if all(other.pooled for other in started if HEAD_MODULES[other.name] == HEAD_MODULES[task.name]):
            parts.append("pooler.")  # else a head of that name may be one that reads every token
        for parameter, value in model.named_parameters():
            if parameter.startswith(tuple(parts)):
                implied.setdefault(keys[parameter], set()).add(tuple(value.shape))
    return implied


def names_once(checkpoint: Checkpoint) -> dict[str, str]:
    """Name each weight once, for another format: the names there, and here, without what a tied decoder shares.

    Raises CheckpointError when the decoder differs from what it is tied to.
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
    """Tell whether the checkpoint has all the weights of a task's head, pooler included.

    Three tasks call their head `classifier`; where config.json's architectures name one of them, the weights are its own.
    """
    modules = dict(HEAD_MODULES[task.name]) | (POOLER_MODULES if task.pooled else {})
    tied = checkpoint.config.tie_word_embeddings
    if not all(f"{m}.weight" in checkpoint.tensors for m in modules if not (tied and f"{m}.weight" == DECODER_WEIGHT)):
        return False
    return _is_of_architecture(checkpoint.config, task)


def _is_of_architecture(config: FNetConfig, task: Task) -> bool:
    """Tell whether no other task, of those that call their head alike, is named in config.json's architectures."""
    rivals = {t.huggingface_class for t in TASKS.values() if HEAD_MODULES[t.name] == HEAD_MODULES[task.name]}
    named = rivals & set(config.architectures)
    return not named or task.huggingface_class in named


def head_is_drawn(checkpoint: Checkpoint, task: Task, *, random_head: bool) -> bool:
    """Tell whether a task's head must be drawn, because the checkpoint has none.

    Raises TaskError when it must and `random_head` does not allow it, listing the heads that the checkpoint has, and
    CheckpointError when its decoder differs from what it is tied to.
    """
    drawn = not has_head(checkpoint, task)
    if drawn and not random_head:
        raise TaskError(_no_head(checkpoint, task))
    if DECODER_WEIGHT.removesuffix(".weight") in HEAD_MODULES[task.name]:
        _check_tied(checkpoint)
    return drawn


def _no_head(checkpoint: Checkpoint, task: Task) -> str:
    """Say which weights of a task are missing, and what can be exported instead."""
    lacks, drawn = f"the {task.name} head", "an untrained one"
    if not HEAD_MODULES[task.name]:
        lacks = f"the pooler (pooler.dense), which gives {task.name} its pooler_output"
        drawn = "an untrained pooler; last_hidden_state stays the checkpoint's"
    tasks = ", ".join(checkpoint.tasks)
    others = f"it has heads for: {tasks}. Choose one of these, or" if tasks else "it has heads for no task. Add"
    return f"{checkpoint.source.id}: has no weights for {lacks}; {others} --random-head for {drawn}"


def model_from_checkpoint(
    checkpoint: Checkpoint,
    task: Task,
    *,
    transform: str = "fft",
    sequence_length: int | None = None,
    dtype: torch.dtype = torch.float32,
    random_head: bool = False,
) -> FNet:
    """Build the model of a task with the checkpoint's weights, converted to `dtype`, in evaluation mode.

    `random_head` draws a missing head from config.initializer_range with a fixed seed instead of refusing.
    Raises TaskError when the checkpoint has no such head, listing those it has, and CheckpointError for a tensor that is
    missing, misshapen, not finite, or at odds with the tied one, naming it.
    """
    drawn = head_is_drawn(checkpoint, task, random_head=random_head)
    config = checkpoint.config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with _NoInitialWeights():
            model = FNet(config, task, transform=transform, sequence_length=sequence_length, dtype=dtype).eval()
        torch.manual_seed(0)
        keys = _tensor_of_parameter(checkpoint.tensors, config, task)
        with torch.no_grad():
            for parameter, value in model.named_parameters():
                key = keys[parameter]
                missing = key not in checkpoint.tensors or parameter.startswith("head.classifier.")  # else it is another task's
                if drawn and missing and parameter.startswith(("head.", "pooler.")):
                    _draw(value, parameter, config.initializer_range)
                else:
                    _check_shape(checkpoint.tensors[key], [tuple(value.shape)], config, checkpoint.origin)
                    value.copy_(checkpoint.tensor(key))
    return model


class _NoInitialWeights(TorchFunctionMode):
    """Leaves parameters as they are where modules draw initial weights, which take most of the time to build a model."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, unless it fills a parameter."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def _draw(value: Tensor, parameter: str, std: float) -> None:
    """Initialise one parameter as transformers does a new head's."""
    if parameter.endswith(".bias"):
        value.zero_()
    elif "norm" in parameter:
        value.fill_(1.0)
    else:
        value.copy_(torch.empty(value.shape).normal_(0.0, std))  # in float32, so that every dtype gets the same head


def _check_tied(checkpoint: Checkpoint) -> None:
    """Refuse a decoder that differs from the word embeddings which the configuration says it shares.

    Which of both a model was trained with cannot be told: transformers 5 then leaves them untied, transformers 4 ties them.
    """
    if not checkpoint.config.tie_word_embeddings:
        return
    for name, other in ((DECODER_WEIGHT, WORD_EMBEDDINGS), (DECODER_BIAS, PREDICTIONS_BIAS)):
        both = name in checkpoint.tensors and other in checkpoint.tensors
        if both and not torch.equal(checkpoint.tensor(name), checkpoint.tensor(other)):
            raise CheckpointError(
                f"{checkpoint.folder}: {name} differs from {other}, but tie_word_embeddings (true unless config.json says false) "
                f"makes them one tensor. transformers 5 computes with {name}, transformers 4 with {other}. For the first set "
                f"tie_word_embeddings to false, for the second remove {name} from the weights"
            )


def module_names(config: FNetConfig, task: Task) -> dict[str, str]:
    """Transformers' names of all modules of a task's model, and ours."""
    blocks = {
        f"encoder.layer.{i}.{key}": f"encoder.blocks.{i}.{name}"
        for i, mixing in enumerate(config.mixings)
        for key, name in {**BLOCK_MODULES, **MIXING_MODULES[mixing]}.items()
    }
    return ENCODER_MODULES | blocks | (POOLER_MODULES if task.pooled else {}) | dict(HEAD_MODULES[task.name])


def _tensor_of_parameter(tensors: Mapping[str, Stored], config: FNetConfig, task: Task) -> dict[str, str]:
    """Name of the tensor for each parameter of a task's model."""
    keys = {f"{name}.{kind}": f"{key}.{kind}" for key, name in module_names(config, task).items() for kind in ("weight", "bias")}
    if DECODER_BIAS not in tensors:  # transformers has two names for the one bias of a tied decoder
        keys = {parameter: PREDICTIONS_BIAS if key == DECODER_BIAS else key for parameter, key in keys.items()}
    return keys


def _known_tensors(config: FNetConfig) -> set[str]:
    """Every tensor name that a checkpoint of this configuration may hold, whatever its heads."""
    modules = POOLER_MODULES.keys() | {key for task in TASKS.values() for key in module_names(config, task)}
    return {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")} | {PREDICTIONS_BIAS}
