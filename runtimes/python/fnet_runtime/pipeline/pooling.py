"""One vector of a text from the vectors of its tokens."""

import numpy as np

from fnet_runtime.bundle.config import FIRST_TOKEN, GREATEST, POOLER, POOLINGS
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.answers import Embedding, Floats
from fnet_runtime.pipeline.model import Model, Request, Rows

SHORTEST = 1e-12
"""A vector is divided by no less than this: the bound of torch.nn.functional.normalize."""


def embedding(model: Model, request: Request, outputs: Rows) -> Embedding:
    """Take the vectors of the tokens without those of padding, and pool them as the options or the checkpoint say."""
    (encoding,) = request.encodings
    used = int(encoding.attention_mask.sum())  # counting ids of padding would be wrong: a text may hold them
    tokens, options = outputs[0]["last_hidden_state"][0, :used], request.options
    pooling = model.pooling if options.pooling is None else options.pooling
    if pooling != POOLER and not used:
        others = ", ".join(name for name in POOLINGS if name != POOLER)
        raise InputError(f"pooling: expected a text of at least one token for {others}; found none")
    pooled = outputs[0]["pooler_output"][0] if pooling == POOLER else pooled_tokens(tokens, pooling)
    normalize = model.normalize if options.normalize is None else options.normalize
    return Embedding(tokens, normalized(pooled) if normalize else pooled, request.truncated)


def pooled_tokens(tokens: Floats, pooling: str) -> Floats:
    """Return the first vector, the mean or the greatest values of `float32[token, hidden]`. Sums are of float64, in order."""
    if pooling == FIRST_TOKEN:
        first: Floats = tokens[0]
        return first
    if pooling == GREATEST:
        greatest: Floats = tokens.max(axis=0)
        return greatest + np.float32(0)  # of 0 and -0, which one is greater depends on the CPU
    sums = np.cumsum(tokens, axis=0, dtype=np.float64)[-1]  # np.sum adds in an order of its own
    mean: Floats = (sums / len(tokens)).astype(np.float32)
    return mean


def normalized(vector: Floats) -> Floats:
    """Divide `float32[hidden]` by its Euclidean length, as torch.nn.functional.normalize does."""
    wide = vector.astype(np.float64)
    length = np.sqrt(np.cumsum(wide * wide)[-1])
    divided: Floats = (wide / max(length, SHORTEST)).astype(np.float32)
    return divided
