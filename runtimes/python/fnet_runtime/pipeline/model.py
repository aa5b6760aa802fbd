"""An opened bundle without its engine, and one request on its way to an answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from fnet_runtime.bundle.config import POOLER
from fnet_runtime.bundle.manifest import Manifest
from fnet_runtime.errors import InputError
from fnet_runtime.pipeline.options import DEFAULT_OPTIONS, AnswerOptions
from fnet_runtime.sessions.session import Outputs
from fnet_runtime.tokenizer.encoding import Encoding
from fnet_runtime.tokenizer.tokenizer import Tokenizer

Texts = list[str] | tuple[str, ...]
"""Several texts. A Sequence would not do, because one str is a Sequence of str too."""
Second = str | Sequence[str] | None
"""What a request holds next to its text: nothing, a second text, or choices."""
Rows = Sequence[Outputs]
"""The outputs of a request, one item per row, each with a batch axis of 1."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """The manifest, the tokenizer, and what config.json says: the problem_type, if any, and how training pooled vectors."""

    manifest: Manifest
    tokenizer: Tokenizer
    problem_type: str | None = None
    pooling: str = POOLER
    normalize: bool = False


@dataclass(frozen=True)
class Question:
    """The texts of one request and how many answers are asked for, before any check. None leaves the number to the options."""

    text: str
    second: Second = None
    top_k: int | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """The texts of one request, the model inputs made of them, and what is asked of the answer."""

    text: str
    second: Second
    encodings: tuple[Encoding, ...]
    options: AnswerOptions = DEFAULT_OPTIONS

    @property
    def rows(self) -> int:
        """Return how many rows of the model's inputs the request takes."""
        return len(self.encodings)

    @property
    def truncated(self) -> bool:
        """Return whether tokens of a text did not fit and were cut."""
        return any(encoding.truncated for encoding in self.encodings)


def pairs_of_texts(text: str | Texts, second: Second | Sequence[Second]) -> Iterable[tuple[str, Second]]:
    """Pair each text with its second text. Raises InputError for values of other types, or lists of different lengths."""
    if isinstance(text, str):
        return [(text, cast(Second, second))]  # each task checks what it takes
    if not isinstance(text, Sequence) or not all(isinstance(t, str) for t in text):
        raise InputError(f"expected a text, or a list of texts; found {type(text).__name__}")
    if second is None:
        return [(t, None) for t in text]
    if isinstance(second, str) or not isinstance(second, Sequence):
        raise InputError(f"expected a list of as many pairs as texts, found {type(second).__name__}")
    if len(second) != len(text):
        raise InputError(f"expected as many pairs as texts ({len(text)}), found {len(second)}")
    return zip(text, second, strict=True)
