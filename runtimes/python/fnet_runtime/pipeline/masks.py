"""Fill the [MASK] tokens of a text with words of the vocabulary."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fnet_runtime.errors import InputError, OptionError
from fnet_runtime.pipeline.answers import Filler, Fillers
from fnet_runtime.pipeline.encodings import PositionedEncoding, masks_from_encoding
from fnet_runtime.pipeline.model import Model, Request, Rows
from fnet_runtime.pipeline.scores import softmax
from fnet_runtime.pipeline.spans import trimmed
from fnet_runtime.tokenizer.encoding import MASK
from fnet_runtime.tokenizer.tokenizer import Tokenizer


def masked_lm(model: Model, request: Request, outputs: Rows) -> Fillers:
    """Fill every [MASK]. Raises InputError for a text without one."""
    fillers_by_mask = fillers_from_rows(model, request, [row["logits"][0] for row in outputs])
    if not fillers_by_mask:
        raise InputError(
            f"masked-lm: found no {MASK} in the first {model.manifest.sequence_length} tokens of the text; add a {MASK}"
        )
    return Fillers(fillers_by_mask, request.truncated)


def fillers_from_rows(model: Model, request: Request, rows: Sequence[npt.NDArray[Any]]) -> tuple[tuple[Filler, ...], ...]:
    """Fill every mask. `rows`, each `float[token, vocab]`, is one row of every token, or rows of the masks in their order."""
    encoding = request.encodings[0]
    masks = masks_from_encoding(model, encoding)
    targets = ids_of_targets(model.tokenizer, request.options.targets)
    allowed = np.array(targets) if targets else np.arange(model.tokenizer.vocab_size)
    flat = np.concatenate(rows)
    fillers_by_mask = []
    for index, position in enumerate(masks):
        scores = softmax(flat[index if isinstance(encoding, PositionedEncoding) else position][: model.tokenizer.vocab_size])
        start, end = trimmed(request.text, *encoding.spans[position])  # a [MASK] may cover the space before it
        fillers = []
        best = np.argsort(-scores[allowed], kind="stable")[: request.options.count]
        for token in allowed[best].tolist():
            piece = model.tokenizer.piece(token)
            spaced = piece.startswith("▁") and start > 0 and not request.text[start - 1].isspace()
            filled = request.text[:start] + " " * spaced + piece.replace("▁", " ").strip() + request.text[end:]
            fillers.append(Filler(piece, token, float(scores[token]), filled))
        fillers_by_mask.append(tuple(fillers))
    return tuple(fillers_by_mask)


def ids_of_targets(tokenizer: Tokenizer, targets: Sequence[str]) -> list[int]:
    """Return the ids of words in their order in the vocabulary, each id once: a piece of that spelling, or the word's only token.

    Raises OptionError for a word that is not one token.
    """
    return sorted({_id(tokenizer, target) for target in targets})


def _id(tokenizer: Tokenizer, target: str) -> int:
    tokens = tokenizer.tokens(target)  # refuses what is not valid Unicode
    token = tokenizer.token_id(target)
    if token is not None:
        return token
    if len(tokens) != 1:
        raise OptionError(f"targets: expected words of one token, found {target!r} of {len(tokens)} tokens")
    return tokens[0].id
