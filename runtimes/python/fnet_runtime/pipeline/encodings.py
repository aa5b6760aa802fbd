"""Make model inputs of the texts of a request, one function per task."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fnet_runtime.bundle.manifest import POSITIONS
from fnet_runtime.errors import InputError, OptionError
from fnet_runtime.pipeline.model import Model, Second
from fnet_runtime.pipeline.options import DEFAULT_OPTIONS, AnswerOptions
from fnet_runtime.sessions.session import Ids
from fnet_runtime.tokenizer.encoding import Encoding, Token

WINDOW_OVERLAP = 128
"""The tokens of context that two neighbouring windows share, but no more than half the sequence length."""


def encode_single(model: Model, text: str, second: Second, options: AnswerOptions = DEFAULT_OPTIONS) -> tuple[Encoding, ...]:
    """Encode one text. Raises InputError for a second text."""
    if second is not None:
        raise InputError(f"{model.manifest.task}: expected one text, found a pair")
    return (model.tokenizer.encode(text, padding=model.manifest.text_padding),)


def encode_single_or_pair(
    model: Model, text: str, second: Second, options: AnswerOptions = DEFAULT_OPTIONS
) -> tuple[Encoding, ...]:
    """Encode one text or two. Raises InputError."""
    if second is not None and not isinstance(second, str):
        raise InputError(f"{model.manifest.task}: expected the second text (pair) as a text, found {type(second).__name__}")
    return (model.tokenizer.encode(text, second, padding=model.manifest.text_padding),)


def encode_token_windows(model: Model, text: str, second: Second, options: AnswerOptions = DEFAULT_OPTIONS) -> tuple[Encoding, ...]:
    """Encode one text. With a stride, read a text that does not fit in windows that share so many tokens, and cut nothing.

    Raises InputError for a second text, and OptionError for a stride that leaves a window nothing new to read.
    """
    if options.stride is None or second is not None:
        return encode_single(model, text, second)
    padding = model.manifest.text_padding
    room = padding.length - model.tokenizer.added(pair=False)
    if options.stride >= room:
        raise OptionError(f"stride: expected less than the {room} tokens of a window, found {options.stride}")
    windows = _windows(model.tokenizer.tokens(text), room, options.stride)
    return tuple(model.tokenizer.assembled(window, padding=padding) for window in windows)


@dataclass(frozen=True, eq=False)
class PositionedEncoding(Encoding):
    """An encoding, and the positions of the tokens to predict: int64[count], filled up with 0."""

    masked_lm_positions: Ids


def encode_masked(model: Model, text: str, second: Second, options: AnswerOptions = DEFAULT_OPTIONS) -> tuple[Encoding, ...]:
    """Encode one text. If the graph predicts few tokens at once, make one row per so many masks."""
    (encoding,) = encode_single(model, text, second)
    counts = [int(tensor.axes[-1]) for tensor in model.manifest.inputs if tensor.name == POSITIONS]
    if not counts:
        return (encoding,)
    count, masks = counts[0], masks_from_encoding(model, encoding)
    rows = []
    for start in range(0, max(1, len(masks)), count):
        positions = np.zeros(count, np.int64)
        few = masks[start : start + count]
        positions[: len(few)] = few
        rows.append(PositionedEncoding(**vars(encoding), masked_lm_positions=positions))
    return tuple(rows)


def encode_pair(model: Model, text: str, second: Second, options: AnswerOptions = DEFAULT_OPTIONS) -> tuple[Encoding, ...]:
    """Encode two texts. Raises InputError."""
    if second is None:
        raise InputError(f"{model.manifest.task}: expected a second text, found none; pass it as pair (fnet-run: --pair)")
    if not isinstance(second, str):
        raise InputError(f"{model.manifest.task}: expected one second text (pair), found {type(second).__name__}")
    return encode_single_or_pair(model, text, second)


def encode_choices(model: Model, text: str, second: Second, options: AnswerOptions = DEFAULT_OPTIONS) -> tuple[Encoding, ...]:
    """Encode a row for each choice. Raises InputError."""
    if not isinstance(second, Sequence) or isinstance(second, str) or not second or not all(isinstance(c, str) for c in second):
        raise InputError(
            "multiple-choice: expected a list of choices, each a text; pass it as pair (fnet-run: one --pair per choice)"
        )
    padding = model.manifest.text_padding
    return tuple(model.tokenizer.encode(text, choice, padding=padding) for choice in second)


def encode_windows(model: Model, text: str, second: Second, options: AnswerOptions = DEFAULT_OPTIONS) -> tuple[Encoding, ...]:
    """Encode a question and its context. A context that does not fit is read in overlapping windows, and no token is cut.

    Raises InputError for a question that leaves too few tokens for the context, and OptionError for a stride that leaves a window
    nothing new to read.
    """
    if second is None:
        raise InputError("question-answering: expected a context, found none; pass it as pair (fnet-run: --pair)")
    if not isinstance(second, str):
        raise InputError(f"question-answering: expected the context (pair) as a text, found {type(second).__name__}")
    padding = model.manifest.text_padding
    length = padding.length
    question = model.tokenizer.tokens(text, limit=length)
    context = [] if len(question) > length else model.tokenizer.tokens(second)
    room = length - model.tokenizer.added(pair=True) - len(question)
    if room < min(max(length // 4, 1), len(context)):
        taken = f"more than {length}" if len(question) > length else f"{len(question)} of {length}"
        raise InputError(
            f"question-answering: the question takes {taken} tokens, which leaves too few for the context; shorten the question"
        )
    overlap = context_overlap(model, options, room)
    if overlap >= room and len(context) > room:
        raise OptionError(f"stride: expected less than the {room} tokens that the question leaves to a window, found {overlap}")
    return tuple(model.tokenizer.assembled(question, window, padding=padding) for window in _windows(context, room, overlap))


def context_overlap(model: Model, options: AnswerOptions, room: int) -> int:
    """Return how many tokens of a context two neighbouring windows share, of windows with `room` tokens of it.

    Without a stride this is transformers' default, or half of the room if the question leaves too little for that.
    """
    if options.stride is not None:
        return options.stride
    overlap = min(WINDOW_OVERLAP, model.manifest.sequence_length // 2)
    return overlap if overlap < room else room // 2


def _windows(tokens: list[Token], room: int, overlap: int) -> list[list[Token]]:
    """Return windows of `room` tokens that share `overlap` tokens with the next. The last is shorter, or the only one."""
    step = max(1, room - overlap)
    return [tokens[start : start + room] for start in range(0, max(0, len(tokens) - room) + step, step)]


def masks_from_encoding(model: Model, encoding: Encoding) -> list[int]:
    """Return the positions of the masks in the first text."""
    tokens = enumerate(zip(encoding.input_ids, encoding.segments, strict=True))
    return [i for i, (token, segment) in tokens if token == model.tokenizer.mask_id and segment == 0]
