"""Checkpoints: from a Hugging Face folder to a model, every tensor accounted for: nothing unused, nothing missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fnet_core.config import FNetConfig
from fnet_core.errors import CheckpointError, TaskError
from fnet_core.fnet import FNet
from fnet_core.hub import folder_from_hub
from fnet_core.tasks import TASKS, Task
from fnet_core.weights import WeightFile, weight_files_from_folder

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

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
DECODER_WEIGHT, DECODER_BIAS = "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"
PREDICTIONS_BIAS = "cls.predictions.bias"
DERIVED = ("position_ids", "embeddings.token_type_ids", "dft_mat_hidden", "dft_mat_seq")
"""Endings of buffers that transformers computes and some checkpoints carry: not weights, so not read."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where weights came from: the name the user gave, the hub's commit if any, the sha256 of each weight file."""

    id: str
    revision: str | None
    sha256: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """An opened checkpoint: its configuration and the file that holds each tensor, by transformers' name without `fnet.`."""

    folder: Path
    config: FNetConfig
    source: Source
    tensors: Mapping[str, tuple[WeightFile, str]]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that it has a head for."""
        return tuple(task.name for task in TASKS.values() if has_head(self, task))

    def tensor(self, name: str) -> Tensor:
        """Read one tensor as stored. Raises CheckpointError when it is missing, damaged or not of finite numbers."""
        if name not in self.tensors:
            raise CheckpointError(f"{self.folder}: tensor {name} is missing; its config.json implies it")
        file, key = self.tensors[name]
        tensor = file.tensor(key)
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise CheckpointError(f"{file.path}: tensor {key} holds NaN, infinity or no real numbers; expected finite floats")
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
    """Open a Hugging Face folder; `id` is what the manifest will call it.

    Raises ConfigError for a bad config.json, and CheckpointError when config.json or weights are missing, a file is damaged or
    unsafe, or a tensor stands twice or belongs to no FNet of this configuration.
    """
    try:
        text = (folder / "config.json").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{folder / 'config.json'}: cannot be read ({error}); expected a Hugging Face folder") from error
    config = FNetConfig.from_json(text, name=str(folder / "config.json"))
    known = _known_tensors(config)
    files = weight_files_from_folder(folder)
    tensors: dict[str, tuple[WeightFile, str]] = {}
    for file in files:
        for key in file.names:
            name = key.removeprefix("fnet.")
            if name.endswith(DERIVED):
                continue
            if name in tensors:
                raise CheckpointError(f"{file.path}: tensor {key} stands in {tensors[name][0].path.name} as well")
            if name not in known:
                raise CheckpointError(
                    f"{file.path}: tensor {key} is left over: an FNet with {config.num_hidden_layers} layers has none of that name"
                )
            tensors[name] = (file, key)
    source = Source(id=id, revision=revision, sha256={file.path.name: file.sha256() for file in files})
    return Checkpoint(folder=folder, config=config, source=source, tensors=tensors)


def has_head(checkpoint: Checkpoint, task: Task) -> bool:
    """Tell whether the checkpoint has all the weights of a task's head, pooler included.

    Three tasks call their head `classifier`; where config.json's architectures name one of them, the weights are its own.
    """
    modules = dict(HEAD_MODULES[task.name]) | (POOLER_MODULES if task.pooled else {})
    tied = checkpoint.config.tie_word_embeddings
    if not all(f"{m}.weight" in checkpoint.tensors for m in modules if not (tied and f"{m}.weight" == DECODER_WEIGHT)):
        return False
    rivals = {t.huggingface_class for t in TASKS.values() if HEAD_MODULES[t.name] == HEAD_MODULES[task.name]}
    named = rivals & set(checkpoint.config.architectures)
    return not named or task.huggingface_class in named


def head_is_drawn(checkpoint: Checkpoint, task: Task, *, random_head: bool) -> bool:
    """Tell whether a task's head must be drawn, because the checkpoint has none.

    Raises TaskError when it must and `random_head` does not allow it, listing the heads that the checkpoint has.
    """
    drawn = not has_head(checkpoint, task)
    if drawn and not random_head:
        raise TaskError(
            f"{checkpoint.source.id}: has no weights for the {task.name} head; it has heads for: "
            f"{', '.join(checkpoint.tasks) or 'none'}. Choose one of these, or --random-head for an untrained one"
        )
    return drawn


def model_from_checkpoint(
    checkpoint: Checkpoint,
    task: Task,
    *,
    mixing: str = "fft",
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
        model = FNet(config, task, mixing=mixing, sequence_length=sequence_length, dtype=dtype).eval()
        torch.manual_seed(0)
        keys = _tensor_of_parameter(checkpoint, task)
        with torch.no_grad():
            for parameter, value in model.named_parameters():
                key = keys[parameter]
                missing = key not in checkpoint.tensors or parameter.startswith("head.classifier.")  # else it is another task's
                if drawn and missing and parameter.startswith(("head.", "pooler.")):
                    _draw(value, parameter, config.initializer_range)
                else:
                    value.copy_(_shaped(checkpoint, key, tuple(value.shape)))
    if not drawn and task.name in ("masked-lm", "pretraining") and config.tie_word_embeddings:
        _check_tied(checkpoint)
    return model


def _shaped(checkpoint: Checkpoint, key: str, shape: tuple[int, ...]) -> Tensor:
    tensor = checkpoint.tensor(key)
    if tuple(tensor.shape) != shape:
        file, name = checkpoint.tensors[key]
        raise CheckpointError(
            f"{file.path}: tensor {name} has shape {list(tensor.shape)}, but config.json implies {list(shape)}; "
            "the two are of different models"
        )
    return tensor


def _draw(value: Tensor, parameter: str, std: float) -> None:
    """Initialise one parameter as transformers does a new head's."""
    if parameter.endswith(".bias"):
        value.zero_()
    elif "norm" in parameter:
        value.fill_(1.0)
    else:
        value.copy_(torch.empty(value.shape).normal_(0.0, std))  # in float32, so that every dtype gets the same head


def _check_tied(checkpoint: Checkpoint) -> None:
    """Refuse a decoder that differs from the word embeddings which config.json says it shares."""
    for name, other in ((DECODER_WEIGHT, WORD_EMBEDDINGS), (DECODER_BIAS, PREDICTIONS_BIAS)):
        both = name in checkpoint.tensors and other in checkpoint.tensors
        if both and not torch.equal(checkpoint.tensor(name), checkpoint.tensor(other)):
            raise CheckpointError(
                f"{checkpoint.folder}: {name} differs from {other}, but config.json says tie_word_embeddings; "
                "set it to false if the decoder was trained on its own"
            )


def module_names(config: FNetConfig, task: Task) -> dict[str, str]:
    """Transformers' names of all modules of a task's model, and ours."""
    blocks = {
        f"encoder.layer.{i}.{key}": f"encoder.blocks.{i}.{name}"
        for i, mixing in enumerate(config.mixings)
        for key, name in {**BLOCK_MODULES, **MIXING_MODULES[mixing]}.items()
    }
    return ENCODER_MODULES | blocks | (POOLER_MODULES if task.pooled else {}) | dict(HEAD_MODULES[task.name])


def _tensor_of_parameter(checkpoint: Checkpoint, task: Task) -> dict[str, str]:
    """Name of the tensor for each parameter of a task's model."""
    keys = {
        f"{name}.{kind}": f"{key}.{kind}"
        for key, name in module_names(checkpoint.config, task).items()
        for kind in ("weight", "bias")
    }
    if DECODER_BIAS not in checkpoint.tensors:  # transformers has two names for the one bias of a tied decoder
        keys = {parameter: PREDICTIONS_BIAS if key == DECODER_BIAS else key for parameter, key in keys.items()}
    return keys


def _known_tensors(config: FNetConfig) -> set[str]:
    """Every tensor name that a checkpoint of this configuration may hold, whatever its heads."""
    modules = POOLER_MODULES.keys() | {key for task in TASKS.values() for key in module_names(config, task)}
    return {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")} | {PREDICTIONS_BIAS}
