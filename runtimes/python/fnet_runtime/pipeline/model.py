"""An opened bundle without its engine, and one request on its way to an answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from fnet_runtime.bundle.manifest import Manifest
from fnet_runtime.tokenizer.encoding import Encoding
from fnet_runtime.tokenizer.tokenizer import Tokenizer

Second = str | Sequence[str] | None
"""What stands beside a text: nothing, a second text, or choices."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """The manifest, the tokenizer, and config.json's problem_type where it has one."""

    manifest: Manifest
    tokenizer: Tokenizer
    problem_type: str | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """One request: the texts, the model inputs made of them, and how many answers are wanted."""

    text: str
    second: Second
    encodings: tuple[Encoding, ...]
    top_k: int

    @property
    def truncated(self) -> bool:
        """Tell whether tokens of a text did not fit and were cut."""
        return any(encoding.truncated for encoding in self.encodings)
