"""Checkpoints in transformers' format: the names of its tensors and modules, and what the files of a folder hold."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from fnet_core.checkpoint.names import AS_IT_IS, Contents, check_sizes
from fnet_core.checkpoint.weights import text_from_file, weight_files_from_folder
from fnet_core.config import FNetConfig
from fnet_core.tasks import TASKS, Task

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
"""By the mixing of a layer: its modules with weights. transformers has only Fourier mixing, and no names for these modules."""
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
"""By task: transformers' names of the head's modules, and the names here."""

HEADS = ("cls.", "classifier.", "qa_outputs.")
"""The beginnings of transformers' names of the heads' tensors."""
WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
DECODER_WEIGHT, DECODER_BIAS = "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"
PREDICTIONS_BIAS = "cls.predictions.bias"
LEGACY_NAMES = {".LayerNorm.weight": ".LayerNorm.gamma", ".LayerNorm.bias": ".LayerNorm.beta"}
"""Endings of names, and what old versions of transformers wrote instead. New versions read both."""
DERIVED = ("position_ids", "embeddings.token_type_ids", "dft_mat_hidden", "dft_mat_seq")
"""Endings of buffers that transformers computes and some checkpoints hold. They are not weights and are not read."""


def huggingface_contents(folder: Path) -> Contents:
    """Read the configuration and the names of the tensors of a folder. Raises CheckpointError and ConfigError."""
    path = folder / "config.json"
    config = FNetConfig.from_json(text_from_file(path, "a Hugging Face folder, a keras-hub preset or a flax file"), name=str(path))
    files = [
        replace(file, shapes={key: shape for key, shape in file.shapes.items() if not key.endswith(DERIVED)})
        for file in weight_files_from_folder(folder)
    ]
    check_sizes(config, files, path=path)
    known = known_tensors(config)
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
    """Return the name that a tensor has in a model with a head: encoder tensors get a prefix."""
    return name if name.startswith(HEADS) else f"fnet.{name}"


def _legacy(name: str) -> str:
    """Return the name that old versions of transformers gave a tensor."""
    for ending, legacy in LEGACY_NAMES.items():
        if name.endswith(ending):
            return name.removesuffix(ending) + legacy
    return name


def module_names(config: FNetConfig, task: Task) -> dict[str, str]:
    """Map transformers' names of all modules of a task's model to the names here."""
    blocks = {
        f"encoder.layer.{i}.{key}": f"encoder.blocks.{i}.{name}"
        for i, mixing in enumerate(config.mixings)
        for key, name in {**BLOCK_MODULES, **MIXING_MODULES[mixing]}.items()
    }
    return ENCODER_MODULES | blocks | (POOLER_MODULES if task.pooled else {}) | dict(HEAD_MODULES[task.name])


def tensor_of_parameter(tensors: Collection[str], config: FNetConfig, task: Task) -> dict[str, str]:
    """Return the name of the tensor for each parameter of a task's model."""
    keys = {f"{name}.{kind}": f"{key}.{kind}" for key, name in module_names(config, task).items() for kind in ("weight", "bias")}
    if DECODER_BIAS not in tensors:  # transformers has two names for the one bias of a tied decoder
        keys = {parameter: PREDICTIONS_BIAS if key == DECODER_BIAS else key for parameter, key in keys.items()}
    return keys


def known_tensors(config: FNetConfig) -> set[str]:
    """Return every tensor name that a checkpoint of this configuration may hold, with any heads."""
    modules = POOLER_MODULES.keys() | {key for task in TASKS.values() for key in module_names(config, task)}
    return {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")} | {PREDICTIONS_BIAS}
