"""Make model inputs of tokens: add special tokens, truncate, pad, and keep the span of every position."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fnet_runtime.errors import InputError, OptionError

UNK, PAD, CLS, SEP, MASK = "<unk>", "<pad>", "[CLS]", "[SEP]", "[MASK]"
SPECIAL_TOKENS = (UNK, PAD, CLS, SEP, MASK)

MAX_LENGTH, NONE = "max_length", "none"
PADDINGS = (MAX_LENGTH, NONE)
"""How texts are padded: all texts to one length, or each text not at all."""

Ids = npt.NDArray[np.int64]
Span = tuple[int, int]
NO_SPAN: Span = (0, 0)


@dataclass(frozen=True)
class Token:
    """One token: its id, and the half-open span of characters that it covers in its text."""

    id: int
    span: Span


@dataclass(frozen=True)
class Padding:
    """How texts are cut and padded. No text has more than `length` tokens.

    With MAX_LENGTH, every text is padded to `length`. With NONE, a text is padded to the next multiple of `multiple_of` tokens,
    which changes nothing where that is 1. Raises OptionError for another contract or for a multiple that does not fit `length`.
    """

    length: int
    contract: str = MAX_LENGTH
    multiple_of: int = 1

    def __post_init__(self) -> None:
        if self.contract not in PADDINGS:
            raise OptionError(f"padding: expected {' or '.join(PADDINGS)}, found {self.contract!r}")
        if self.multiple_of < 1 or (self.contract == MAX_LENGTH and self.multiple_of != 1):
            expected = "1, because every text is padded to one length" if self.contract == MAX_LENGTH else "an integer from 1"
            raise OptionError(f"pad_to_multiple_of: expected {expected}; found {self.multiple_of}")
        if self.length % self.multiple_of:
            raise OptionError(
                f"pad_to_multiple_of: expected a number that divides the sequence length {self.length}; found {self.multiple_of}"
            )

    def padded(self, tokens: int) -> int:
        """Return the length that a text of so many tokens, at most `length`, is padded to."""
        return self.length if self.contract == MAX_LENGTH else -(-tokens // self.multiple_of) * self.multiple_of


@dataclass(frozen=True, eq=False)
class Encoding:
    """One model input, padded as its Padding says.

    `input_ids`, `token_type_ids` and `attention_mask` (0 for padding) are int64[length]. `spans` has one (start, end) per
    position, in characters of its text. `segments` names the text of each position, 0 for the first and 1 for the second.
    Added special tokens and padding have the segment -1 and the span (0, 0). `truncated` says that tokens did not fit and were cut.
    """

    input_ids: Ids
    token_type_ids: Ids
    attention_mask: Ids
    spans: tuple[Span, ...] = field(repr=False)
    segments: tuple[int, ...] = field(repr=False)
    truncated: bool

    @property
    def special_tokens_mask(self) -> Ids:
        """1 for added special tokens and for padding, 0 for the tokens of a text: int64[length]."""
        return np.array([segment == -1 for segment in self.segments], np.int64)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The tokens that a tokenizer puts around texts: the ids of padding and, if it adds them, of [CLS] and [SEP].

    `odd_to_longer` says which text keeps one more token when both are cut and the room is odd. With it the longer text does (the
    second of two equals), as in the tokenizers library; without it the first text does, as in transformers' slow tokenizers.
    With `cut_at_end` the special tokens are added first, and the whole is then cut at its end, as f_net's own code does.
    """

    pad: int
    cls: int | None
    sep: int | None
    odd_to_longer: bool
    cut_at_end: bool = False

    def added(self, *, pair: bool) -> int:
        """Return the number of special tokens that are added to one text or to a pair."""
        return (self.cls is not None) + (self.sep is not None) * (2 if pair else 1)


def encoding_from_tokens(first: Sequence[Token], second: Sequence[Token] | None, *, frame: Frame, padding: Padding) -> Encoding:
    """Put special tokens around cut tokens, truncate as the frame says, and pad.

    Raises InputError when the longest length is too short for the special tokens, and for texts without tokens that are not padded.
    """
    length = padding.length
    room = length - frame.added(pair=second is not None)
    if length < 1 or room < 0:
        raise InputError(f"sequence length {length} is too short: [CLS] and [SEP] alone take {length - room} tokens")
    texts = [first] if second is None else [first, second]
    whole = len(first), len(second or ())
    kept = whole if frame.cut_at_end else truncated_lengths(*whole, room, odd_to_longer=frame.odd_to_longer)
    positions = [] if frame.cls is None else [(frame.cls, 0, NO_SPAN, -1)]
    for segment, (tokens, count) in enumerate(zip(texts, kept, strict=False)):
        positions += [(token.id, segment, token.span, segment) for token in tokens[:count]]
        positions += [] if frame.sep is None else [(frame.sep, segment, NO_SPAN, -1)]
    positions = positions[:length]
    if not positions and padding.contract == NONE:
        raise InputError("expected a text with at least one token, found none; this bundle does not pad texts")
    length = padding.padded(len(positions))
    mask = (np.arange(length) < len(positions)).astype(np.int64)
    positions += [(frame.pad, 0, NO_SPAN, -1)] * (length - len(positions))
    ids, types, spans, segments = zip(*positions, strict=True)
    truncated = sum(segment != -1 for segment in segments) < sum(whole)
    return Encoding(np.array(ids, np.int64), np.array(types, np.int64), mask, spans, segments, truncated)


def truncated_lengths(first: int, second: int, room: int, *, odd_to_longer: bool) -> tuple[int, int]:
    """Return how many tokens of each text fit in `room`: the longer text is cut to the length of the shorter, then both are cut."""
    if first + second <= room:
        return first, second
    if 2 * min(first, second) <= room:
        return (room - second, second) if first > second else (first, room - first)
    half, more = room // 2, room - room // 2
    return (more, half) if first > second or not odd_to_longer else (half, more)
