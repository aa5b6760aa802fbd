"""Spans of texts, and the words that tokens belong to."""

from collections.abc import Sequence

from fnet_runtime.pipeline.model import Model
from fnet_runtime.tokenizer.encoding import SPECIAL_TOKENS, UNK, Span

UNDERLINE = "▁"
"""What the pieces of a vocabulary spell a space with."""
_WORDS_OF_THEIR_OWN = tuple(token for token in SPECIAL_TOKENS if token != UNK)


def trimmed(text: str, start: int, end: int) -> Span:
    """Return a span without the white space at its ends: the piece of a word covers the space before it."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def words_from_ids(model: Model, ids: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and the last token of the word of each token, by their places in `ids`.

    A piece with a space before it begins a word, as in transformers' fast tokenizer. A special token is a word of its own.
    """
    pieces = [model.tokenizer.piece(token) for token in ids]
    first = 0
    starts = []
    for place, piece in enumerate(pieces):
        special = piece in _WORDS_OF_THEIR_OWN or (place > 0 and pieces[place - 1] in _WORDS_OF_THEIR_OWN)
        if special or piece.startswith(UNDERLINE):
            first = place
        starts.append(first)
    last = len(ids) - 1
    words = []
    for place in reversed(range(len(ids))):
        words.append((starts[place], last))
        if starts[place] == place:
            last = place - 1
    return words[::-1]
