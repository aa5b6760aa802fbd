"""A text that is given as words."""

from collections.abc import Sequence

from fnet_runtime.errors import InputError


def text_from_words(words: Sequence[str]) -> str:
    """Join words with a space between two. Raises InputError for a word that is empty or holds white space."""
    if isinstance(words, str) or not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise InputError("words: expected a list of words; found another value")
    for number, word in enumerate(words):
        if not word or any(character.isspace() for character in word):
            raise InputError(f"words: expected words without white space, none empty; found another as word {number}, from 0")
    return " ".join(words)
