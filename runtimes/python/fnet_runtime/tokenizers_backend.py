"""Tokens of a tokenizer.json, read with the `tokenizers` library; which of the two pipelines of FNet it is.

docs/tokenizer.md states the pipelines.
"""

import importlib
import json
from collections.abc import Callable, Sequence
from itertools import product
from types import ModuleType
from typing import Any

from fnet_runtime.encoding import SPECIAL_TOKENS, Token
from fnet_runtime.errors import BundleError, SessionError

Importer = Callable[[str], ModuleType]

FAST, V5 = "fnet-fast", "fnet-v5"
Steps = list[dict[str, Any]]
QUOTES: Steps = [{"type": "Replace", "pattern": {"String": quotes}, "content": '"'} for quotes in ("``", "''")]
ACCENTS: Steps = [{"type": "NFKD"}, {"type": "StripAccents"}]
LOWERCASE: Steps = [{"type": "Lowercase"}]
CHARSMAP: Steps = [{"type": "Precompiled"}]
FOLDED_SPACES: Steps = [{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]
UNDERLINES: Steps = [{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


class TokenizersBackend:
    """A pipeline of the `tokenizers` library, its own truncation and padding switched off."""

    def __init__(self, pipeline: bytes, flavour: str, *, name: str, importer: Importer = importlib.import_module) -> None:
        """Read a tokenizer.json; `name` is what errors call it.

        Raises BundleError when it is none, is not of `flavour` or lacks one of FNet's special tokens, SessionError when the
        library is not installed.
        """
        self._tokenizer = _opened(pipeline, name, importer)
        found = _flavour(json.loads(self._tokenizer.to_str()))
        if found != flavour:
            raise BundleError(f"{name}: expected the pipeline of {flavour}, found {found or 'one that no FNet tokenizer writes'}")
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

    def tokens(self, text: str) -> list[Token]:
        """Cut a valid text into tokens."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [Token(token, span) for token, span in zip(encoding.ids, encoding.offsets, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids of the vocabulary, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def piece(self, token_id: int) -> str:
        """Piece of one id, as the vocabulary spells it."""
        return str(self._tokenizer.id_to_token(token_id))


def flavour_from_pipeline(pipeline: bytes, *, name: str, importer: Importer = importlib.import_module) -> str | None:
    """Tell which transformers' FNet tokenizer a tokenizer.json is: `fnet-fast`, `fnet-v5`, or None for neither.

    Raises BundleError when it is no tokenizer.json at all, SessionError when the `tokenizers` library is not installed.
    """
    return _flavour(json.loads(_opened(pipeline, name, importer).to_str()))


def _opened(pipeline: bytes, name: str, importer: Importer) -> Any:
    try:
        library = importer("tokenizers")
    except ImportError as error:
        raise SessionError(
            f"{name}: needs the tokenizers library, which is not installed; pip install 'fnet-runtime[tokenizers]'"
        ) from error
    try:
        return library.Tokenizer.from_str(pipeline.decode("utf-8"))
    except Exception as error:  # the library raises plain Exception
        raise BundleError(f"{name}: not a tokenizer.json ({error}); expected the checkpoint's own") from error


def _flavour(pipeline: dict[str, Any]) -> str | None:
    """The flavour of a pipeline in the library's own, present spelling."""
    steps = [
        CHARSMAP[0] if step["type"] == "Precompiled" else step for step in (pipeline["normalizer"] or {}).get("normalizers", [])
    ]
    frame = pipeline["post_processor"] and _template(pipeline["post_processor"])
    choices = product(([], ACCENTS), ([], LOWERCASE), ([], CHARSMAP))
    if (
        pipeline["model"]["type"] in ("BPE", "Unigram")
        and not pipeline["model"].get("dropout")
        and steps in [QUOTES + accents + lower + charsmap + FOLDED_SPACES for accents, lower, charsmap in choices]
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


def _template(processor: dict[str, Any]) -> tuple[str, str] | None:
    """What a TemplateProcessing makes of one text and of two, such as `[CLS]:0 A:0 [SEP]:0`."""
    if processor["type"] != "TemplateProcessing":
        return None
    single, pair = (
        " ".join(f"{value['id']}:{value['type_id']}" for part in processor[key] for value in part.values())
        for key in ("single", "pair")
    )
    return single, pair
