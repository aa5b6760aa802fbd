"""Cut texts into token ids, and join ids again, in the flavour that a checkpoint was trained with (docs/tokenizer.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fnet_runtime.errors import BundleError, InputError, OptionError
from fnet_runtime.tokenizer.encoding import CLS, MASK, PAD, SEP, UNK, Encoding, Frame, Padding, Token, encoding_from_tokens
from fnet_runtime.tokenizer.sentencepiece_backend import SentencePieceBackend, TextRules
from fnet_runtime.tokenizer.tokenizers_backend import FAST, V5, TokenizersBackend

F_NET, RAW, SLOW = "f_net", "sentencepiece", "fnet-slow"
FIRST_CHARACTERS, CHARACTERS_PER_TOKEN, GROWTH, WHOLE, LONGER = 512, 8, 4, 2, 8
"""How much of a long text is read for its first tokens: `FIRST_CHARACTERS` and `CHARACTERS_PER_TOKEN` per token, then `GROWTH`
times as many while they do not suffice. A text up to `WHOLE` times as long is read whole. To find the longer of two texts, `LONGER`
times as many tokens are cut before both are read whole."""
MAX_TEXT_BYTES = 32 * 2**20
"""The bytes of UTF-8 of the longest text that is taken, unless the caller names another bound."""
SPIECE, TOKENIZER_JSON = "spiece.model", "tokenizer.json"


@dataclass(frozen=True, kw_only=True)
class Flavour:
    """One kind of tokenizer: the file that it reads, whether it adds [CLS] and [SEP], and how it truncates (see Frame)."""

    file: str
    adds_special: bool = True
    odd_to_longer: bool = False
    cut_at_end: bool = False


FLAVOURS: Mapping[str, Flavour] = {
    F_NET: Flavour(file=SPIECE, cut_at_end=True),
    RAW: Flavour(file=SPIECE),
    SLOW: Flavour(file=SPIECE),
    FAST: Flavour(file=TOKENIZER_JSON, odd_to_longer=True),
    V5: Flavour(file=TOKENIZER_JSON, adds_special=False, odd_to_longer=True),
}


@dataclass(frozen=True, kw_only=True)
class TokenizerOptions:
    """The tokenizer of a checkpoint, and how `fnet-slow` treats text before SentencePiece reads it.

    The other flavours have no such choice; a tokenizer.json contains it. Raises OptionError for an unknown flavour, or a choice
    that the flavour does not have.
    """

    flavour: str = SLOW
    do_lower_case: bool = False
    keep_accents: bool = True
    remove_space: bool = True

    def __post_init__(self) -> None:
        if self.flavour not in FLAVOURS:
            raise OptionError(f"unknown tokenizer flavour {self.flavour!r}; expected one of {', '.join(FLAVOURS)}")
        if self.flavour != SLOW and (self.do_lower_case, self.keep_accents, self.remove_space) != (False, True, True):
            raise OptionError(
                f"do_lower_case, keep_accents and remove_space: {self.flavour} has no such choice; expected false, true, true"
            )

    @property
    def file(self) -> str:
        """The name of the file that holds the tokenizer."""
        return FLAVOURS[self.flavour].file


class Backend(Protocol):
    """A backend cuts valid texts into tokens and joins ids again."""

    vocab_size: int
    special_ids: dict[str, int]

    def tokens(self, text: str) -> list[Token]:
        """Cut a text into tokens, without adding special tokens."""

    def first_tokens(self, beginning: str, count: int) -> list[Token]:
        """Cut the beginning of a longer text into the tokens that the longer text has, whatever follows.

        If fewer than `count` are certain, it need not find all of them.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """Join ids of the vocabulary, without special tokens."""

    def piece(self, token_id: int) -> str:
        """Return the piece of one id."""

    def token_id(self, piece: str) -> int | None:
        """Return the id of a piece, or None if the vocabulary lacks it."""


class Tokenizer:
    """FNet's tokenizer, in any flavour."""

    def __init__(self, data: bytes, options: TokenizerOptions | None = None, *, name: str | None = None) -> None:
        """Read the bytes of the file that the flavour needs; `name` is what errors call it.

        Raises BundleError for other bytes or a missing special token of FNet, LibraryError when a library is missing.
        """
        self.options = options or TokenizerOptions()
        name, flavour = name or self.options.file, FLAVOURS[self.options.flavour]
        self._backend = _backend(data, self.options, name)
        ids = self._backend.special_ids
        self.pad_id, self.cls_id, self.sep_id, self.mask_id, self.unk_id = ids[PAD], ids[CLS], ids[SEP], ids[MASK], ids[UNK]
        self._frame = Frame(
            pad=self.pad_id,
            cls=self.cls_id if flavour.adds_special else None,
            sep=self.sep_id if flavour.adds_special else None,
            odd_to_longer=flavour.odd_to_longer,
            cut_at_end=flavour.cut_at_end,
        )

    @classmethod
    def from_file(cls, path: Path, options: TokenizerOptions | None = None) -> "Tokenizer":
        """Read a spiece.model or tokenizer.json, as the flavour needs. Raises as the constructor, and for a missing file."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BundleError(f"{path}: cannot be read ({error.strerror}); expected the tokenizer's file") from error
        return cls(data, options, name=str(path))

    @property
    def vocab_size(self) -> int:
        """The number of pieces in the vocabulary."""
        return self._backend.vocab_size

    def added(self, *, pair: bool) -> int:
        """Return the number of special tokens that `encode` adds to one text or to a pair."""
        return self._frame.added(pair=pair)

    def tokens(self, text: str, *, limit: int | None = None) -> list[Token]:
        """Cut a text into tokens, without adding [CLS] or [SEP].

        With `limit`, return the first tokens only: all tokens if there are at most `limit`, else `limit` and one more, which shows
        that there are more. No more of a long text is read than these tokens need.
        Raises InputError when `text` is not a str, or holds a lone surrogate because it was not valid UTF-8.
        """
        if not isinstance(text, str):
            raise InputError(f"expected a text (str), found {type(text).__name__}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                f"the text is not valid Unicode: lone surrogate at character {error.start}; decode it as UTF-8 first"
            ) from error
        if limit is None:
            return self._backend.tokens(text)
        size = FIRST_CHARACTERS + CHARACTERS_PER_TOKEN * limit
        while WHOLE * size < len(text):
            tokens = self._backend.first_tokens(text[:size], limit + 1)
            if len(tokens) > limit:
                return tokens[: limit + 1]
            size *= GROWTH
        return self._backend.tokens(text)[: limit + 1]

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a text, without [CLS] and [SEP]. Raises InputError as `tokens` does."""
        return [token.id for token in self.tokens(text)]

    def encode(self, text: str, pair: str | None = None, *, padding: Padding) -> Encoding:
        """Encode `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]`, truncate the longer text first, and pad.

        `fnet-v5` adds neither [CLS] nor [SEP]. `f_net` truncates at the end. Raises InputError as `tokens` and
        `assembled` do.
        """
        added = 0 if self._frame.cut_at_end else self.added(pair=pair is not None)  # a cut at the end removes the last [SEP] first
        limit = max(0, padding.length - added)
        first = self.tokens(text, limit=limit)
        if pair is None:
            return self.assembled(first, padding=padding)
        second = self.tokens(pair, limit=limit)
        longer_keeps_more = self._frame.odd_to_longer and limit % 2 == 1
        for more in (LONGER * limit, None):
            if longer_keeps_more and min(len(first), len(second)) > limit:  # the longer text is not known yet
                first, second, limit = self.tokens(text, limit=more), self.tokens(pair, limit=more), more or limit
        return self.assembled(first, second, padding=padding)

    def assembled(self, first: Sequence[Token], second: Sequence[Token] | None = None, *, padding: Padding) -> Encoding:
        """Encode tokens as `encode` does.

        Raises InputError when the longest length is too short for the special tokens, and for texts without tokens that are not
        padded.
        """
        return encoding_from_tokens(first, second, frame=self._frame, padding=padding)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without special tokens. Raises InputError for an id outside the vocabulary."""
        plain = [int(i) for i in ids]
        outside = [i for i in plain if not 0 <= i < self.vocab_size]
        if outside:
            raise InputError(f"token id {outside[0]} is outside the vocabulary of {self.vocab_size} pieces")
        return self._backend.decode(plain)

    def piece(self, token_id: int) -> str:
        """Return the piece of one id, as the vocabulary spells it ('▁' stands for a space)."""
        return self._backend.piece(int(token_id))

    def token_id(self, piece: str) -> int | None:
        """Return the id of a piece as the vocabulary spells it, or None if the vocabulary lacks the piece."""
        return self._backend.token_id(piece)


def check_size(text: object, bound: int) -> None:
    """Raise InputError for a text of more than `bound` bytes of UTF-8. A value that is not a text passes."""
    if not isinstance(text, str) or 4 * len(text) <= bound:
        return
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > bound:
        raise InputError(too_long(bound, str(size)))


def too_long(bound: int, size: str) -> str:
    """Say that a text is longer than `bound` bytes."""
    return (
        f"expected a text of at most {bound} bytes of UTF-8, found {size}; "
        "max_text_bytes (fnet-run: --max-text-bytes) sets the bound"
    )


def _backend(data: bytes, options: TokenizerOptions, name: str) -> Backend:
    if options.file == TOKENIZER_JSON:
        return TokenizersBackend(data, options.flavour, name=name)
    rules = TextRules(do_lower_case=options.do_lower_case, keep_accents=options.keep_accents, remove_space=options.remove_space)
    return SentencePieceBackend(data, rules if options.flavour == SLOW else None, name=name)
