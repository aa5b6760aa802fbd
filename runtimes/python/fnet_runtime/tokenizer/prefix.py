"""Cut the beginning of a long text into tokens without reading the rest (docs/tokenizer.md, Long texts)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np

from fnet_runtime.errors import BundleError

UNDERLINE = "▁"
MODEL_TYPE, CHARSMAP = (2, 3), (3, 2)
"""Their places in a SentencePiece model: the field of ModelProto, and the field inside of that field."""
UNIGRAM, BPE = 1, 2
DEEPEST = 1000
"""The bytes of a charsmap's longest key. An array that goes deeper counts as endless."""
LEAF, LABEL = 1 << 31, 0xFF
STEPS_BACK = 4096
"""The characters at the end of a beginning that are searched for a place to cut it."""

Cut = Callable[[str], list[Any]]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far a place in a text changes the tokens before it.

    `in_words` says that no token continues after a space. `longest` counts the characters of the longest piece. `lookahead` counts
    the characters that decide how the character before them is read.
    """

    in_words: bool
    longest: int
    lookahead: int


def reach_from_pieces(pieces: list[str], lookahead: int) -> Reach:
    """Read from a vocabulary whether its pieces stay inside words, and how long they are."""
    in_words = UNDERLINE in pieces and not any(UNDERLINE in piece[1:] for piece in pieces)
    return Reach(in_words=in_words, longest=max(map(len, pieces)), lookahead=lookahead)


def agreed(cut: Cut, text: str, longest: int) -> int:
    """Count the first tokens that a text has whatever follows it, if no token is longer than `longest` characters.

    A token ends at one of the last `longest` places of the text, and the tokens before that place equal those of the text that ends
    there. So the tokens that all of these texts begin with are certain. `cut` leaves out a last token that can grow.
    """
    certain = cut(text)
    for end in range(max(0, len(text) - longest + 1), len(text)):
        pairs = takewhile(lambda pair: pair[0] == pair[1], zip(certain, cut(text[:end]), strict=False))
        certain = [piece for piece, _ in pairs]
    return len(certain)


SINGLE = re.compile(
    "[\x00-\x7f\u00c0-\u02af\u03a3-\u03ff\u0400-\u0481\u05d0-\u05ea\u0620-\u064a\u0904-\u0939"
    "\u3001-\u3003\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff5e]"
)
"""Characters of combining class 0. Two of them never form one grapheme cluster, except CR LF."""


def place_to_cut(beginning: str, added: Sequence[str], lookahead: int) -> int | None:
    """Find the last place before which the normalizers of the tokenizers library do the same whatever follows, or None.

    The place is between two characters of SINGLE. It is not after white space, which an added token may take, not inside a pair of
    quotes, and not inside or next to an added token.
    """
    last = len(beginning) - lookahead
    for place in range(last, max(0, last - STEPS_BACK), -1):
        left, right = beginning[place - 1], beginning[place]
        joined = left.isspace() or (left == right and left in "`'")
        if joined or not (SINGLE.match(left) and SINGLE.match(right)):
            continue
        if not any(token in beginning[max(0, place - len(token)) : place + len(token)] for token in added):
            return place
    return None


def sentencepiece_lookahead(model: bytes, pieces: list[str]) -> int | None:
    """Return how many bytes the normaliser of SentencePiece looks ahead; None for a model whose tokens depend on the whole text.

    Raises BundleError for a model that ends early.
    """
    kind, charsmap = UNIGRAM, b""
    for number, part in _fields(model):
        if isinstance(part, bytes) and number in (MODEL_TYPE[0], CHARSMAP[0]):
            for inner, value in _fields(part):
                kind = int(value) if (number, inner) == MODEL_TYPE and isinstance(value, int) else kind
                charsmap = value if (number, inner) == CHARSMAP and isinstance(value, bytes) else charsmap
    longest_key = _longest_key(charsmap) if charsmap else 0
    if kind not in (UNIGRAM, BPE) or longest_key is None:
        return None
    return max(longest_key, *(len(piece.encode()) for piece in pieces))


def without_normaliser(model: bytes) -> bytes:
    """Return a SentencePiece model that reads a text as it is: without charsmap and prefix, and with every space."""
    charsmap, add_dummy_prefix, remove_extra_whitespaces = b"\x12\x00", b"\x18\x00", b"\x20\x00"
    spec = charsmap + add_dummy_prefix + remove_extra_whitespaces
    return model + bytes([CHARSMAP[0] << 3 | 2, len(spec)]) + spec  # if a field is present twice, the later value counts


def _fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """Return the number and value of every field of a protocol buffer."""
    fields: list[tuple[int, int | bytes]] = []
    sizes = {1: 8, 5: 4}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        number, at = _varint(message, at) if kind in (0, 2) else (sizes.get(kind, len(message)), at)
        fields.append((tag >> 3, message[at : at + number] if kind else number))
        at += number if kind else 0
    return fields


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for place in range(at, len(message)):
        value |= (message[place] & 0x7F) << shift
        if message[place] < 0x80:
            return value, place + 1
        shift += 7
    raise BundleError("the SentencePiece model is cut off; expected the checkpoint's spiece.model")


def _longest_key(charsmap: bytes) -> int | None:
    """Return the bytes of the longest key of a charsmap (docs/tokenizer.md describes the array); None for an endless array."""
    size = int.from_bytes(charsmap[:4], "little") // 4
    units = np.frombuffer(charsmap, "<u4", count=size, offset=4).astype(np.int64)
    children = np.arange(size) ^ (units >> 10 << ((units & 1 << 9) >> 6))  # the places of a unit's children, without their labels
    labels = units & (LEAF | LABEL)
    siblings = np.arange(size) ^ labels  # the places of the children of a unit's parent
    reached = np.zeros(1, np.int64)
    for depth in range(DEEPEST):
        reached = np.nonzero((labels > 0) & (labels <= LABEL) & np.isin(siblings, children[reached]))[0]
        if not len(reached):
            return depth
    return None
