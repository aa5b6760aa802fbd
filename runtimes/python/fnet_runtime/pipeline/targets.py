"""Find the tokens of the words that may fill a [MASK]."""

from collections.abc import Sequence

from fnet_runtime.errors import OptionError
from fnet_runtime.tokenizer.tokenizer import Tokenizer


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
