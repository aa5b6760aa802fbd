"""Cut texts with a SentencePiece model, either raw or with the rules of transformers 4's FNetTokenizer around it.

docs/tokenizer.md states the rules. Every token keeps its span of characters in the original text.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

import sentencepiece

from fnet_runtime.errors import BundleError
from fnet_runtime.tokenizer.encoding import MASK, SPECIAL_TOKENS, UNK, Span, Token
from fnet_runtime.tokenizer.prefix import (
    UNDERLINE,
    Reach,
    agreed,
    reach_from_pieces,
    sentencepiece_lookahead,
    without_normaliser,
)

_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL_TOKENS)) + ")")
_QUOTES = re.compile("``|''")
_CAPITAL_SIGMA = "Σ"

SPECIAL_LOOKAHEAD = 2 * max(map(len, SPECIAL_TOKENS))
"""The characters at the end of a text that more text can turn into a special token, also after lower-casing."""

Piece = tuple[str, int, Span]
"""The surface, the id and the span of characters of a piece."""
Characters = list[tuple[str, Span]]
"""A text on its way to the model: each character, with its span in the original text."""


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """The changes that FNetTokenizer makes to a text before SentencePiece reads it, by their names in tokenizer_config.json."""

    do_lower_case: bool
    keep_accents: bool
    remove_space: bool


class SentencePieceBackend:
    """A SentencePiece model, with the rules of FNetTokenizer or without."""

    def __init__(self, model: bytes, rules: TextRules | None, *, name: str) -> None:
        """Read a serialised SentencePiece model; `name` is what errors call it.

        Raises BundleError when `model` is not a SentencePiece model or lacks one of FNet's special tokens.
        """
        self._rules = rules
        self._sp = sentencepiece.SentencePieceProcessor()
        try:
            if not model:
                raise RuntimeError("it is empty")
            self._sp.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise BundleError(f"{name}: not a SentencePiece model ({error}); expected the checkpoint's spiece.model") from error
        self.special_ids = {token: int(self._sp.piece_to_id(token)) for token in SPECIAL_TOKENS}
        missing = [t for t, i in self.special_ids.items() if t != UNK and i == self._sp.unk_id()]
        if missing:
            raise BundleError(
                f"{name}: the vocabulary has no piece {', '.join(missing)}; FNet needs all of {', '.join(SPECIAL_TOKENS)}"
            )
        self.vocab_size = int(self._sp.vocab_size())

    def tokens(self, text: str) -> list[Token]:
        """Cut a valid text into tokens."""
        if self._rules is None:
            return [Token(token, span) for _, token, span in self._pieces(text)]
        return list(self._fnet_tokens(text, self._rules))

    def first_tokens(self, beginning: str, count: int) -> list[Token]:
        """Cut the beginning of a longer text into the tokens that the longer text has, whatever follows."""
        if self._rules is None:
            return [Token(token, span) for _, token, span in self._first_pieces(beginning, count)]
        return list(self._fnet_tokens(beginning, self._rules, count=count))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids of the vocabulary, without special tokens; only raw SentencePiece shows <unk>, as ⁇."""
        hidden = {i for token, i in self.special_ids.items() if self._rules or token != UNK}
        text = str(self._sp.decode([i for i in ids if i not in hidden]))
        return text.strip() if self._rules else text

    def piece(self, token_id: int) -> str:
        """Return the piece of one id, as the vocabulary spells it."""
        return str(self._sp.id_to_piece(token_id))

    def token_id(self, piece: str) -> int | None:
        """Return the id of a piece, or None if the vocabulary lacks it."""
        token = int(self._sp.piece_to_id(piece))
        return token if self.piece(token) == piece else None

    def _pieces(self, text: str) -> Iterator[Piece]:
        """Return the pieces that SentencePiece cuts."""
        character_of_byte = [i for i, c in enumerate(text) for _ in c.encode("utf-8")] + [len(text)]
        for piece in self._sp.encode(text, return_type="proto").pieces:
            yield piece.piece, piece.id, (character_of_byte[piece.begin], character_of_byte[piece.end])

    @cached_property
    def _reach(self) -> Reach | None:
        """How far a character changes the pieces before it; None if the pieces depend on the whole text."""
        ids = range(self.vocab_size)
        pieces = [self.piece(i) for i in ids if not self._sp.is_control(i)]
        lookahead = sentencepiece_lookahead(self._sp.serialized_model_proto(), pieces)
        if lookahead is None or any(map(self._sp.is_unused, ids)):  # SentencePiece cuts unused pieces again, wherever they are
            return None
        return reach_from_pieces(pieces, lookahead)

    @cached_property
    def _plain_sp(self) -> sentencepiece.SentencePieceProcessor:
        """The model for texts that are already normalised."""
        plain = sentencepiece.SentencePieceProcessor()
        plain.LoadFromSerializedProto(without_normaliser(self._sp.serialized_model_proto()))
        return plain

    def _first_pieces(self, beginning: str, count: int) -> list[Piece]:
        """Return pieces that every text with this beginning has. If there are fewer than `count`, some may be left out."""
        reach = self._reach
        if reach is None:
            return []
        pieces = list(self._pieces(beginning))
        settled = len(list(takewhile(lambda piece: piece[2][0] < len(beginning) - reach.lookahead, pieces)))
        certain = max((i for i in range(settled) if pieces[i][0].startswith(UNDERLINE)), default=0) if reach.in_words else 0
        if certain < count <= settled:  # only a part of the last word can be read
            text = self._normalised(pieces[: settled - 1])
            certain = max(certain, agreed(lambda part: self._plain_sp.encode(part, out_type=str)[:-1], text, reach.longest))
        return pieces[:certain]

    def _normalised(self, pieces: Sequence[Piece]) -> str:
        """Return the normalised text of pieces, without a last character that lacks bytes."""
        data = b"".join(
            bytes([int(surface[3:5], 16)]) if self._sp.is_byte(token) else surface.encode() for surface, token, _ in pieces
        )
        return data.decode("utf-8", "ignore")

    def _fnet_tokens(self, text: str, rules: TextRules, *, count: int | None = None) -> Iterator[Token]:
        """Cut a whole text, or the beginning of a text into at least `count` tokens if possible."""
        characters = _lowered_around_special(text) if rules.do_lower_case else _characters(text)
        parts = list(_parts("".join(c for c, _ in characters)))
        for index, (start, part) in enumerate(parts):
            covered = characters[start : start + len(part)]
            if part in self.special_ids:
                yield Token(self.special_ids[part], (covered[0][1][0], covered[-1][1][1]))
                continue
            if parts[index + 1 : index + 2] and parts[index + 1][1] == MASK:  # a [MASK] takes the white space before it
                covered = covered[: len(part.rstrip())]
            if count is not None and index + 1 == len(parts):
                settled = _settled(covered, rules, len(text) - SPECIAL_LOOKAHEAD)
                yield from self._plain_tokens(settled, self._first_pieces("".join(c for c, _ in settled), count))
                continue
            normalised = _normalized(covered, rules)
            yield from self._plain_tokens(normalised, self._pieces("".join(c for c, _ in normalised)))

    def _plain_tokens(self, characters: Characters, pieces: Iterable[Piece]) -> Iterator[Token]:
        """Return the tokens of the pieces of a text without special tokens."""
        if not characters:
            return
        spans = [span for _, span in characters]
        spans.append((spans[-1][1],) * 2)
        for piece, token, (begin, end) in pieces:
            span = (spans[begin][0], spans[end - 1][1] if end > begin else spans[begin][0])
            if len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit():
                yield from self._digit_comma_tokens(piece, span)
            else:
                yield Token(token, span)

    def _digit_comma_tokens(self, piece: str, span: Span) -> Iterator[Token]:
        """Split a piece such as '▁10,' into the pieces of '10' and ','."""
        pieces: list[str] = self._sp.encode(piece[:-1].replace(UNDERLINE, ""), out_type=str)
        if piece[0] != UNDERLINE and pieces[0][0] == UNDERLINE:
            pieces = pieces[1:] if len(pieces[0]) == 1 else [pieces[0][1:], *pieces[1:]]
        pieces.append(piece[-1])
        # If every character of the piece is a character of the text, each part has its own span; else the parts share one span.
        widths = [len(p) for p in pieces]
        if piece[0] == UNDERLINE and span[1] - span[0] == sum(widths) - 1:
            widths[0] -= 1  # the leading underline is the dummy prefix, not a character of the text
        own_spans = sum(widths) == span[1] - span[0]
        start = span[0]
        for text, width in zip(pieces, widths, strict=True):
            yield Token(int(self._sp.piece_to_id(text)), (start, start + width) if own_spans else span)
            start += width


def _characters(text: str, start: int = 0) -> Characters:
    return [(c, (i, i + 1)) for i, c in enumerate(text, start)]


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Split a text at special tokens, into pairs of a start and a special token or the text between two."""
    start = 0
    for part in _SPECIAL.split(text):
        if part:
            yield start, part
        start += len(part)


def _lowered_around_special(text: str) -> Characters:
    """Lower-case every character outside of special tokens. A <PAD> becomes a special token this way."""
    lowered: Characters = []
    for start, part in _parts(text):
        characters = _characters(part, start)
        lowered += characters if part in SPECIAL_TOKENS else [(low, span) for c, span in characters for low in c.lower()]
    return lowered


def _normalized(characters: Characters, rules: TextRules) -> Characters:
    """Do what FNetTokenizer.preprocess_text does."""
    spelled = _spelled(characters, rules)
    return _lowered(spelled) if rules.do_lower_case else spelled


def _spelled(characters: Characters, rules: TextRules) -> Characters:
    """Do what FNetTokenizer.preprocess_text does, without lower-casing."""
    if rules.remove_space:
        characters = _space_folded(characters)
    characters = _quotes_replaced(characters)
    if rules.keep_accents:
        return characters
    return [(d, span) for c, span in characters for d in unicodedata.normalize("NFKD", c) if not unicodedata.combining(d)]


def _settled(characters: Characters, rules: TextRules, end: int) -> Characters:
    """Return the characters of `_normalized` that come from text before `end` and that no further text changes."""
    certain = [(c, span) for c, span in characters if span[1] <= end]
    while certain and certain[-1][0].isspace():  # a [MASK] may take it
        certain.pop()
    end = certain[-1][1][1] if certain else 0
    spelled = _spelled(characters, rules)
    word = max((i + 1 for i, (c, _) in enumerate(spelled) if c.isspace()), default=0)
    end = min((span[0] for c, span in spelled[word:] if rules.do_lower_case and c == _CAPITAL_SIGMA), default=end)
    return list(takewhile(lambda character: character[1][1] <= end, _lowered(spelled) if rules.do_lower_case else spelled))


def _lowered(characters: Characters) -> Characters:
    """Lower-case a whole text as `text.lower()` does. A sigma depends on its neighbours, every other letter does not."""
    whole = "".join(c for c, _ in characters).lower()
    lowered: Characters = []
    for c, span in characters:
        lowered += [(low, span) for low in (whole[len(lowered)] if c == _CAPITAL_SIGMA else c.lower())]
    return lowered


def _space_folded(characters: Characters) -> Characters:
    """Do what `" ".join(text.split())` does: no space at the ends, and one space for several."""
    folded: Characters = []
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


def _quotes_replaced(characters: Characters) -> Characters:
    """Replace two backquotes or two apostrophes by one double quote."""
    text = "".join(c for c, _ in characters)
    replaced: Characters = []
    last = 0
    for match in _QUOTES.finditer(text):
        start, end = match.span()
        replaced += [*characters[last:start], ('"', (characters[start][1][0], characters[end - 1][1][1]))]
        last = end
    return [*replaced, *characters[last:]]
