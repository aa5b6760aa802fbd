"""Cut texts with a tokenizer.json and the `tokenizers` library, and recognise which of FNet's two pipelines the file holds.

docs/tokenizer.md states the pipelines.
"""

import importlib
import json
import re
from collections.abc import Callable, Sequence
from itertools import product
from types import ModuleType
from typing import Any

from fnet_runtime.errors import BundleError, LibraryError
from fnet_runtime.install import install_line
from fnet_runtime.tokenizer.encoding import SPECIAL_TOKENS, Span, Token
from fnet_runtime.tokenizer.prefix import UNDERLINE, Reach, agreed, place_to_cut, reach_from_pieces

Importer = Callable[[str], ModuleType]

FAST, V5 = "fnet-fast", "fnet-v5"
Steps = list[dict[str, Any]]
QUOTES: Steps = [{"type": "Replace", "pattern": {"String": quotes}, "content": '"'} for quotes in ("``", "''")]
ACCENTS: Steps = [{"type": "NFKD"}, {"type": "StripAccents"}]
LOWERCASE: Steps = [{"type": "Lowercase"}]
CHARSMAP: Steps = [{"type": "Precompiled"}]
FOLDED_SPACES: Steps = [{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]
UNDERLINES: Steps = [{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
TYPED = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
STEPS = ("normalizers", "pretokenizers", "processors", "decoders")
DECODERS = ("Metaspace", "Replace", "ByteFallback", "Fuse")
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


class TokenizersBackend:
    """A pipeline of the `tokenizers` library, without its own truncation and padding."""

    def __init__(self, pipeline: bytes, flavour: str, *, name: str, importer: Importer = importlib.import_module) -> None:
        """Read a tokenizer.json; `name` is what errors call it.

        Raises BundleError for a file that is not a tokenizer.json, has another flavour or lacks one of FNet's special tokens, and
        LibraryError when the library is not installed.
        """
        self._tokenizer, read = _opened(pipeline, name, importer)
        written_flavour = _flavour(read)
        if written_flavour != flavour:
            raise BundleError(
                f"{name}: expected the pipeline of {flavour}, found {written_flavour or 'one that no FNet tokenizer writes'}"
            )
        unknown, vocabulary = read["model"].get("unk_token"), read["model"]["vocab"]
        if unknown and unknown not in vocabulary:
            raise BundleError(
                f"{name}: not a tokenizer.json (the piece `{unknown}` is not in the vocabulary); expected the checkpoint's own"
            )
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        ids = {token: self._tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
        missing = [token for token, i in ids.items() if i is None]
        if missing:
            raise BundleError(
                f"{name}: the vocabulary has no token {', '.join(missing)}; FNet needs all of {', '.join(SPECIAL_TOKENS)}"
            )
        self.special_ids: dict[str, int] = ids
        self.vocab_size = int(self._tokenizer.get_vocab_size())
        self._in_words = flavour == FAST
        self._added = [token["content"] for token in read["added_tokens"] if token["content"]]
        self._reach = _reach(read, self._added)

    def tokens(self, text: str) -> list[Token]:
        """Cut a valid text into tokens."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [Token(token, span) for token, span in zip(encoding.ids, encoding.offsets, strict=True)]

    def first_tokens(self, beginning: str, count: int) -> list[Token]:
        """Cut the beginning of a longer text into the tokens that the longer text has, whatever follows."""
        place = place_to_cut(beginning, self._added, self._reach.lookahead) if self._reach else None
        if self._reach is None or place is None:
            return []
        text = beginning[:place]
        tokens = self.tokens(text)
        certain = 0
        if self._in_words or self._reach.in_words:
            certain = max((i for i, token in enumerate(tokens) if self.piece(token.id).startswith(UNDERLINE)), default=0)
        if certain < count <= len(tokens):  # only a part of the last word can be read
            word = self._last_word(text)
            before = len(tokens) - len(self._tokenizer.model.tokenize(word))
            certain = max(certain, before + agreed(self._closed_pieces, word, self._reach.longest))
        return tokens[:certain]

    def _last_word(self, text: str) -> str:
        """Return the last word, normalised, of a text without an added token at its end: what follows the last underline."""
        added = re.compile("|".join(map(re.escape, sorted(self._added, key=len, reverse=True))))
        start = max((match.end() for match in added.finditer(text)), default=0) if self._added else 0
        normalised = str(self._tokenizer.normalizer.normalize_str(text[start:])).replace(" ", UNDERLINE)
        if not self._in_words or not normalised:
            return normalised
        begun = normalised if normalised[0] == UNDERLINE else UNDERLINE + normalised
        return begun[begun.rfind(UNDERLINE) :]

    def _closed_pieces(self, word: str) -> list[tuple[int, Span]]:
        """Return the pieces of a word, without unknown characters or a piece at its end, which can grow."""
        pieces = [(piece.id, piece.offsets) for piece in self._tokenizer.model.tokenize(word)]
        return [piece for piece in pieces if piece[1] != pieces[-1][1]]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids of the vocabulary, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def piece(self, token_id: int) -> str:
        """Return the piece of one id, as the vocabulary spells it."""
        return str(self._tokenizer.id_to_token(token_id))

    def token_id(self, piece: str) -> int | None:
        """Return the id of a piece, or None if the vocabulary lacks it."""
        token: int | None = self._tokenizer.token_to_id(piece)
        return token


def _reach(pipeline: dict[str, Any], added: list[str]) -> Reach | None:
    """Return how far a character changes the tokens before it; None if that is not known."""
    model = pipeline["model"]
    pieces = list(model["vocab"]) if model["type"] == "BPE" else [piece for piece, _ in model["vocab"]]
    unknown = model.get("unk_token")
    merged_with_unknown = unknown is not None and any(unknown in piece and piece != unknown for piece in pieces)
    if merged_with_unknown or any(
        token[rule] for token in pipeline["added_tokens"] for rule in ("normalized", "single_word", "rstrip")
    ):
        return None
    return reach_from_pieces(pieces, max(map(len, added), default=1))


def flavour_from_pipeline(pipeline: bytes, *, name: str, importer: Importer = importlib.import_module) -> str | None:
    """Return which FNet tokenizer of transformers a tokenizer.json holds: `fnet-fast`, `fnet-v5`, or None for another.

    Raises BundleError for a file that is not a tokenizer.json, LibraryError when the `tokenizers` library is not installed.
    """
    return _flavour(_opened(pipeline, name, importer)[1])


def _opened(pipeline: bytes, name: str, importer: Importer) -> tuple[Any, dict[str, Any]]:
    """Return the tokenizer of the library, and the pipeline as this version of the library spells it."""
    try:
        library = importer("tokenizers")
    except ImportError as error:
        raise LibraryError(
            f"{name}: needs the library tokenizers, which cannot be imported; {install_line('tokenizers')}"
        ) from error
    try:
        tokenizer = library.Tokenizer.from_str(pipeline.decode("utf-8"))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises plain Exception, and its panics are not an Exception
        raise _unreadable(name, error) from error
    written, read = json.loads(pipeline), json.loads(tokenizer.to_str())
    for part in TYPED:
        if _types(written.get(part)) != _types(read[part]):  # the library guesses the meaning of an unknown type
            raise _unreadable(name, f"unknown {part}")
    return tokenizer, read


def _unreadable(name: str, reason: object) -> BundleError:
    return BundleError(f"{name}: not a tokenizer.json ({reason}); expected the checkpoint's own")


def _types(part: Any) -> list[Any]:
    """Return the types of a part and of its steps."""
    if isinstance(part, dict):
        steps = (step for key, value in part.items() if key in STEPS for step in value)
        return [part.get("type"), *(types for step in steps for types in _types(step))]
    return []


def _flavour(pipeline: dict[str, Any]) -> str | None:
    steps = [
        CHARSMAP[0] if step["type"] == "Precompiled" else step for step in (pipeline["normalizer"] or {}).get("normalizers", [])
    ]
    frame = pipeline["post_processor"] and _template(pipeline["post_processor"])
    choices = product(([], ACCENTS), ([], LOWERCASE), ([], CHARSMAP))
    if not (_is_described(pipeline["model"]) and _is_described_decoder(pipeline["decoder"])):
        return None
    if (
        steps in [QUOTES + accents + lower + charsmap + FOLDED_SPACES for accents, lower, charsmap in choices]
        and pipeline["pre_tokenizer"] == METASPACE
        and frame == ("[CLS]:0 A:0 [SEP]:0", "[CLS]:0 A:0 [SEP]:0 B:1 [SEP]:1")
    ):
        return FAST
    if (
        pipeline["model"]["type"] == "Unigram"
        and steps in [UNDERLINES, CHARSMAP + UNDERLINES]
        and pipeline["pre_tokenizer"] is None
        and frame == ("A:0", "A:0 B:1")
    ):
        return V5
    return None


def _is_described(model: dict[str, Any]) -> bool:
    """Return whether docs/tokenizer.md describes the options of the model."""
    if model["type"] == "Unigram":
        return model["unk_id"] is not None
    options = ("dropout", "byte_fallback", "ignore_merges", "continuing_subword_prefix", "end_of_word_suffix")
    return model["type"] == "BPE" and bool(model["unk_token"] and model["fuse_unk"]) and not any(model[o] for o in options)


def _is_described_decoder(decoder: dict[str, Any] | None) -> bool:
    if decoder is None:
        return True
    if decoder["type"] == "Sequence":
        return all(map(_is_described_decoder, decoder["decoders"]))
    return decoder["type"] in DECODERS and "Regex" not in decoder.get("pattern", ())


def _template(processor: dict[str, Any]) -> tuple[str, str] | None:
    """Return the frame that a TemplateProcessing puts around one text and around two, such as `[CLS]:0 A:0 [SEP]:0`."""
    if processor["type"] != "TemplateProcessing":
        return None
    single, pair = (
        " ".join(f"{value['id']}:{value['type_id']}" for part in processor[key] for value in part.values())
        for key in ("single", "pair")
    )
    return single, pair
