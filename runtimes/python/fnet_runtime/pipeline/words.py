"""A text that is given as words."""

from collections.abc import Sequence

from fnet_runtime.errors import InputError


def text_from_words(words: Sequence[str]) -> str:
    """Join words with a space between two. Raises InputError for a word that is empty or holds white space."""
    if isinstance(words, str) or not isinstance(words, Sequence):
        raise InputError(f"words: expected a list of words, found {type(words).__name__}")
    for number, word in enumerate(words):
        if not isinstance(word, str):
            raise InputError(f"words: expected words (str), found {type(word).__name__} as word {number}, from 0")
        if not word or any(character.isspace() for character in word):
            raise InputError(f"words: expected words without white space, and not empty; found {word!r} as word {number}, from 0")
    return " ".join(words)
