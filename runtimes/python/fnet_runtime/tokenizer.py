"""Text to token ids, by FNet's conventions: those of transformers 4.57's FNetTokenizer.

Special tokens are matched in the raw text first; what lies between them is normalised and handed to SentencePiece; a piece that
ends in a digit and a comma is split again. Every token keeps the span of characters of the original text that it came from.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sentencepiece

from fnet_runtime.errors import BundleError, InputError

UNDERLINE = "▁"
UNK, PAD, CLS, SEP, MASK = "<unk>", "<pad>", "[CLS]", "[SEP]", "[MASK]"
SPECIAL_TOKENS = (UNK, PAD, CLS, SEP, MASK)
_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL_TOKENS)) + ")")
_QUOTES = re.compile("``|''")

Ids = npt.NDArray[np.int64]
Span = tuple[int, int]
NO_SPAN: Span = (0, 0)


@dataclass(frozen=True, kw_only=True)
class TokenizerOptions:
    """How a checkpoint's tokenizer treats text before SentencePiece sees it (tokenizer_config.json)."""

    do_lower_case: bool = False
    keep_accents: bool = True
    remove_space: bool = True


@dataclass(frozen=True)
class Token:
    """One token: its id and the half-open span of characters it covers in the text it was cut from."""

    id: int
    span: Span


@dataclass(frozen=True, eq=False)
class Encoding:
    """One padded model input.

    input_ids, token_type_ids, attention_mask (1, and 0 for padding): int64[sequence_length]. spans: one (start, end) per position,
    in characters of the text that `segments` names: 0 the first, 1 the second, -1 none (special tokens that were added, and
    padding, whose span is (0, 0)).
    """

    input_ids: Ids
    token_type_ids: Ids
    attention_mask: Ids
    spans: tuple[Span, ...] = field(repr=False)
    segments: tuple[int, ...] = field(repr=False)


class Tokenizer:
    """FNet's tokenizer over a SentencePiece model."""

    def __init__(self, model: bytes, options: TokenizerOptions | None = None, *, name: str = "spiece.model") -> None:
        """Read a serialised SentencePiece model; `name` is what errors call it.

        Raises BundleError when `model` is not a SentencePiece model or lacks one of FNet's special tokens.
        """
        self.options = options or TokenizerOptions()
        self._sp = sentencepiece.SentencePieceProcessor()
        try:
            if not model:
                raise RuntimeError("it is empty")
            self._sp.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise BundleError(f"{name}: not a SentencePiece model ({error}); expected the checkpoint's spiece.model") from error
        self._special_ids = {token: self._sp.piece_to_id(token) for token in SPECIAL_TOKENS}
        missing = [t for t, i in self._special_ids.items() if t != UNK and i == self._sp.unk_id()]
        if missing:
            raise BundleError(
                f"{name}: the vocabulary has no piece {', '.join(missing)}; FNet needs all of {', '.join(SPECIAL_TOKENS)}"
            )
        self.pad_id, self.cls_id = self._special_ids[PAD], self._special_ids[CLS]
        self.sep_id, self.mask_id = self._special_ids[SEP], self._special_ids[MASK]

    @classmethod
    def from_file(cls, path: Path, options: TokenizerOptions | None = None) -> "Tokenizer":
        """Read a spiece.model file. Raises BundleError when it is missing or not a SentencePiece model."""
        try:
            model = path.read_bytes()
        except OSError as error:
            raise BundleError(f"{path}: cannot be read ({error.strerror}); expected a SentencePiece model") from error
        return cls(model, options, name=str(path))

    @property
    def vocab_size(self) -> int:
        """Number of pieces in the vocabulary."""
        return int(self._sp.vocab_size())

    def tokens(self, text: str) -> list[Token]:
        """Cut a text into tokens, without adding [CLS] or [SEP].

        Raises InputError when `text` is not a str or holds a lone surrogate (it was not valid UTF-8).
        """
        if not isinstance(text, str):
            raise InputError(f"expected a text (str), found {type(text).__name__}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                f"the text is not valid Unicode: lone surrogate at character {error.start}; decode it as UTF-8 first"
            ) from error
        found: list[Token] = []
        for start, part in _parts(text):
            if part in self._special_ids:
                found.append(Token(self._special_ids[part], (start, start + len(part))))
            else:
                found.extend(self._plain_tokens(part, start))
        return found

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, without [CLS] and [SEP]. Raises InputError as `tokens` does."""
        return [token.id for token in self.tokens(text)]

    def encode(self, text: str, pair: str | None = None, *, length: int) -> Encoding:
        """Encode `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]`, truncated longest first and padded to `length`.

        Raises InputError for a text that `tokens` refuses or a `length` too short for the special tokens.
        """
        return self.assembled(self.tokens(text), None if pair is None else self.tokens(pair), length=length)

    def assembled(self, first: Sequence[Token], second: Sequence[Token] | None = None, *, length: int) -> Encoding:
        """Add the special tokens to cut tokens, truncate longest first and pad to `length`.

        Raises InputError when `length` is too short for the special tokens.
        """
        added = 2 if second is None else 3
        if length < added:
            raise InputError(f"sequence length {length} is too short: [CLS] and [SEP] alone take {added} tokens")
        keep_first, keep_second = truncated_lengths(len(first), 0 if second is None else len(second), length - added)
        ids = [self.cls_id, *(t.id for t in first[:keep_first]), self.sep_id]
        spans = [NO_SPAN, *(t.span for t in first[:keep_first]), NO_SPAN]
        segments = [-1, *[0] * keep_first, -1]
        types = [0] * len(ids)
        if second is not None:
            ids += [*(t.id for t in second[:keep_second]), self.sep_id]
            spans += [*(t.span for t in second[:keep_second]), NO_SPAN]
            segments += [*[1] * keep_second, -1]
            types += [1] * (keep_second + 1)
        padding = length - len(ids)
        return Encoding(
            input_ids=np.array(ids + [self.pad_id] * padding, np.int64),
            token_type_ids=np.array(types + [0] * padding, np.int64),
            attention_mask=np.array([1] * len(ids) + [0] * padding, np.int64),
            spans=tuple(spans + [NO_SPAN] * padding),
            segments=tuple(segments + [-1] * padding),
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens left out. Raises InputError for an id outside the vocabulary."""
        special = set(self._special_ids.values()) - {self._special_ids[UNK]}
        plain = [int(i) for i in ids if int(i) not in special]
        outside = [i for i in plain if not 0 <= i < self.vocab_size]
        if outside:
            raise InputError(f"token id {outside[0]} is outside the vocabulary of {self.vocab_size} pieces")
        return str(self._sp.decode(plain))

    def piece(self, token_id: int) -> str:
        """Piece of one id, as the vocabulary spells it ('▁' stands for a space)."""
        return str(self._sp.id_to_piece(int(token_id)))

    def _plain_tokens(self, part: str, offset: int) -> Iterator[Token]:
        """Tokens of a text without special tokens; `offset` is where it starts in the whole text."""
        text, origins = _normalized(part, self.options)
        if not text:
            return
        characters = _character_of_byte(text)
        for piece in self._sp.encode(text, return_type="proto").pieces:
            begin, end = characters[piece.begin], characters[piece.end]
            span = (offset + origins[begin][0], offset + origins[end - 1][1]) if end > begin else (offset + origins[begin][0],) * 2
            if len(piece.piece) > 1 and piece.piece[-1] == "," and piece.piece[-2].isdigit():
                yield from self._digit_comma_tokens(piece.piece, span)
            else:
                yield Token(piece.id, span)

    def _digit_comma_tokens(self, piece: str, span: Span) -> Iterator[Token]:
        """Split a piece such as '▁10,' into the pieces of '10' and ','."""
        pieces: list[str] = self._sp.encode(piece[:-1].replace(UNDERLINE, ""), out_type=str)
        if piece[0] != UNDERLINE and pieces[0][0] == UNDERLINE:
            pieces = pieces[1:] if len(pieces[0]) == 1 else [pieces[0][1:], *pieces[1:]]
        pieces.append(piece[-1])
        # Where every character of the piece is one of the text, the parts have spans of their own; else they share the piece's.
        widths = [len(p) for p in pieces]
        if piece[0] == UNDERLINE and span[1] - span[0] == sum(widths) - 1:
            widths[0] -= 1  # the leading underline is the dummy prefix, not a character of the text
        own_spans = sum(widths) == span[1] - span[0]
        start = span[0]
        for text, width in zip(pieces, widths, strict=True):
            yield Token(self._sp.piece_to_id(text), (start, start + width) if own_spans else span)
            start += width


def truncated_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each text are kept when both must fit in `room`.

    Longest first, one token at a time, as transformers' slow tokenizers do: the longer text is cut to the shorter one's length,
    then both are cut in turn.
    """
    excess = first + second - room
    if excess <= 0:
        return first, second
    if second == 0:
        return room, 0
    one_sided = min(abs(first - second), excess)
    shared = excess - one_sided
    if first > second:
        return first - one_sided - shared // 2, second - (shared - shared // 2)
    return first - shared // 2, second - one_sided - (shared - shared // 2)


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Split at special tokens: (start, special token or text between two)."""
    start = 0
    for part in _SPECIAL.split(text):
        if part:
            yield start, part
        start += len(part)


def _normalized(text: str, options: TokenizerOptions) -> tuple[str, list[Span]]:
    """FNetTokenizer.preprocess_text, with the span in `text` of every character it returns (and one more for the end)."""
    characters = [(c, (i, i + 1)) for i, c in enumerate(text)]
    if options.do_lower_case:  # first, and character by character: str.lower() of a whole text treats a final sigma otherwise
        characters = [(low, span) for c, span in characters for low in c.lower()]
    if options.remove_space:
        characters = _space_folded(characters)
    characters = _quotes_replaced(characters)
    if not options.keep_accents:
        characters = [(d, span) for c, span in characters for d in unicodedata.normalize("NFKD", c) if not unicodedata.combining(d)]
    end = characters[-1][1][1] if characters else 0
    return "".join(c for c, _ in characters), [*(span for _, span in characters), (end, end)]


def _space_folded(characters: list[tuple[str, Span]]) -> list[tuple[str, Span]]:
    """`" ".join(text.split())`: no space at the ends, one where there were several."""
    folded: list[tuple[str, Span]] = []
    for c, span in characters:
        if not c.isspace():
            folded.append((c, span))
        elif folded and folded[-1][0] != " ":
            folded.append((" ", span))
        elif folded:
            folded[-1] = (" ", (folded[-1][1][0], span[1]))
    if folded and folded[-1][0] == " ":
        folded.pop()
    return folded


def _quotes_replaced(characters: list[tuple[str, Span]]) -> list[tuple[str, Span]]:
    """Two backquotes or two apostrophes become one double quote."""
    text = "".join(c for c, _ in characters)
    replaced: list[tuple[str, Span]] = []
    last = 0
    for match in _QUOTES.finditer(text):
        start, end = match.span()
        replaced += [*characters[last:start], ('"', (characters[start][1][0], characters[end - 1][1][1]))]
        last = end
    return [*replaced, *characters[last:]]


def _character_of_byte(text: str) -> list[int]:
    """Index of the character that holds each UTF-8 byte, and len(text) for the end."""
    return [i for i, c in enumerate(text) for _ in c.encode("utf-8")] + [len(text)]
