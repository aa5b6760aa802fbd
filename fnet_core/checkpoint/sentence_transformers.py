"""Folders of sentence-transformers: a model, and how the vectors of its tokens become one vector of a text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fnet_core.checkpoint.weights import text_from_file
from fnet_core.config import FNetConfig
from fnet_core.errors import CheckpointError

MODULES, SETTINGS, PROMPTS = "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"
LENGTH_KEY = "max_seq_length"
"""The key of SETTINGS that says where texts are cut."""
POOLING_KEY, NORMALIZE_KEY = "trained_pooling", "trained_normalize"
"""Our own keys of config.json, which say the same."""
POOLINGS: Mapping[str, str] = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max"}
"""By the name of a mode of their Pooling module: what a bundle calls it."""
POOLER = "pooler"
"""What a bundle calls the vector of the model's own pooler. sentence-transformers does not have this mode."""
MODE = "pooling_mode"
"""The key of a Pooling module's config.json: alone, or the beginning of a key for each mode."""


@dataclass(frozen=True, kw_only=True)
class SentenceModel:
    """The folder of the transformer, where texts are cut, the pooling, and whether vectors get length 1.

    `max_seq_length` is in tokens, and None if nothing is cut. `pooling` is one of the values of POOLINGS.
    """

    transformer: Path
    max_seq_length: int | None
    pooling: str
    normalize: bool


def sentence_model_from_folder(folder: Path) -> SentenceModel | None:
    """Read a folder of sentence-transformers; None for another folder.

    Raises CheckpointError for modules that a bundle does not have, and for settings that change a text before it is tokenised.
    """
    if not (folder / MODULES).is_file():
        return None
    modules = _values(folder / MODULES)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise CheckpointError(f"{folder / MODULES}: expected a list of modules, as sentence-transformers writes it")
    kinds = [str(module.get("type")).rsplit(".", 1)[-1] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise CheckpointError(
            f"{folder / MODULES}: expected the modules Transformer and Pooling, and Normalize after them or not; "
            f"found {', '.join(kinds) or 'none'}. A bundle has no other module"
        )
    transformer, pooling = (_folder_of(folder, module) for module in modules[:2])
    settings = transformer / SETTINGS
    _check_texts_stay(settings, folder / PROMPTS)
    return SentenceModel(
        transformer=transformer,
        max_seq_length=_length(settings),
        pooling=_pooling(pooling / "config.json"),
        normalize=len(kinds) == 3,
    )


def config_with_sentence_keys(config: FNetConfig, sentence: SentenceModel) -> FNetConfig:
    """Return the configuration with our own keys for the pooling. Raises CheckpointError if it has other values of them."""
    keys = {POOLING_KEY: sentence.pooling, NORMALIZE_KEY: sentence.normalize}
    for key, value in keys.items():
        if config.extra.get(key, value) != value:
            raise CheckpointError(
                f"{sentence.transformer}: config.json: {key}: expected {value!r}, as {MODULES} says; found "
                f"{config.extra[key]!r}. Correct the file that is wrong"
            )
    return replace(config, extra={**config.extra, **keys})


def check_sentence_keys(config: FNetConfig, name: str) -> None:
    """Refuse other values of our own keys than a runtime takes. `name` is what errors call the file. Raises CheckpointError."""
    pooling, normalize = config.extra.get(POOLING_KEY, POOLER), config.extra.get(NORMALIZE_KEY, False)
    words = (POOLER, *POOLINGS.values())
    if pooling not in words:
        raise CheckpointError(f"{name}: {POOLING_KEY}: expected one of {', '.join(words)}; found {pooling!r}")
    if not isinstance(normalize, bool):
        raise CheckpointError(f"{name}: {NORMALIZE_KEY}: expected true or false, found {normalize!r}")


def _folder_of(folder: Path, module: Mapping[str, Any]) -> Path:
    path = module.get("path")
    if not isinstance(path, str) or Path(path).is_absolute() or ".." in Path(path).parts:
        raise CheckpointError(f"{folder / MODULES}: path: expected a folder in this one, found {path!r}")
    return folder / path


def _check_texts_stay(path: Path, prompts: Path) -> None:
    """Refuse settings and prompts that change a text before it is tokenised, or how the tokenizer is called."""
    settings = _object(path) if path.is_file() else {}
    if settings.get("do_lower_case"):
        raise CheckpointError(f"{path}: do_lower_case: expected false, because a bundle tokenises a text as it is; found true")
    if settings.get("processing_kwargs"):
        raise CheckpointError(
            f"{path}: processing_kwargs: expected none, found {settings['processing_kwargs']!r}. Remove them, and state a fixed "
            "padding as trained_sequence_length in config.json"
        )
    prompt = _object(prompts).get("default_prompt_name") if prompts.is_file() else None
    if prompt is not None:
        raise CheckpointError(
            f"{prompts}: default_prompt_name: expected null, because a bundle puts nothing before a text; found {prompt!r}. "
            "Set it to null, and put the prompt before your texts"
        )


def _length(path: Path) -> int | None:
    """Read where texts are cut, in tokens."""
    length = _object(path).get(LENGTH_KEY) if path.is_file() else None
    if length is not None and (type(length) is not int or length < 1):
        raise CheckpointError(f"{path}: {LENGTH_KEY}: expected a number of tokens or null, found {length!r}")
    return length


def _pooling(path: Path) -> str:
    """Read the one mode of a Pooling module: from a key for each mode, or, as newer releases write it, from one key."""
    settings = _object(path)
    if MODE in settings:
        found = settings[MODE] if isinstance(settings[MODE], list) else [settings[MODE]]
        names = {pooling: pooling for pooling in POOLINGS.values()}
    else:
        found = [key for key, value in settings.items() if key.startswith(f"{MODE}_") and value]
        names = {f"{MODE}_{name}": pooling for name, pooling in POOLINGS.items()}
    if len(found) != 1 or found[0] not in names:
        raise CheckpointError(
            f"{path}: expected one pooling mode of {', '.join(names)}; found {', '.join(map(str, found)) or 'none'}. "
            "A bundle has no other mode"
        )
    return names[found[0]]


def _object(path: Path) -> dict[str, Any]:
    values = _values(path)
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(values).__name__}")
    return values


def _values(path: Path) -> Any:
    text = text_from_file(path, "a folder that sentence-transformers wrote")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from error
