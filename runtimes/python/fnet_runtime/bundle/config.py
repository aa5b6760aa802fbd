"""What a bundle's config.json says to the pipelines."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.strict_json import json_from_bytes
from fnet_runtime.bundle.typed_json import INT64
from fnet_runtime.errors import BundleError

TOKEN_TYPES = 4
"""The token types of a model whose config.json does not say: transformers' default."""
POOLER, FIRST_TOKEN, MEAN, GREATEST = "pooler", "cls", "mean", "max"
POOLINGS = (POOLER, FIRST_TOKEN, MEAN, GREATEST)
"""What makes one vector of the vectors of a text's tokens."""
POOLING_KEY, NORMALIZE_KEY = "trained_pooling", "trained_normalize"
"""Our own keys, which say how training made one vector of a text."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The rows of the word and token type embeddings, the problem_type if any, and how training pooled vectors.

    `pooling` is one of POOLINGS. `normalize` says that a pooled vector has length 1.
    """

    vocab_size: int
    token_types: int
    problem_type: str | None
    pooling: str
    normalize: bool


def config_from_file(path: Path) -> ModelConfig:
    """Read config.json strictly, as far as the pipelines need it. Raises BundleError."""
    try:
        values: dict[str, Any] = json_from_bytes(path.read_bytes())
        token_types = values.get("type_vocab_size", TOKEN_TYPES)
        for name, value in (("vocab_size", values["vocab_size"]), ("type_vocab_size", token_types)):
            if type(value) is not int or value not in INT64:
                raise TypeError(f"{name} is not an integer of 64 bits")
        pooling, normalize = values.get(POOLING_KEY, POOLER), values.get(NORMALIZE_KEY, False)
        if pooling not in POOLINGS:
            raise TypeError(f"{POOLING_KEY} is not one of {', '.join(POOLINGS)}")
        if type(normalize) is not bool:
            raise TypeError(f"{NORMALIZE_KEY} is neither true nor false")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path}: is not the config.json of an FNet ({error})") from error
    return ModelConfig(
        vocab_size=values["vocab_size"],
        token_types=token_types,
        problem_type=values.get("problem_type"),
        pooling=pooling,
        normalize=normalize,
    )
