"""Which tokenizer a checkpoint means: read off the files of its folder, or asked for."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from fnet_runtime.bundle.manifest import TOKENIZER_CONFIG
from fnet_runtime.tokenizer.encoding import PAD, SPECIAL_TOKENS, Padding
from fnet_runtime.tokenizer.tokenizer import FLAVOURS, SLOW, SPIECE, TOKENIZER_JSON, Tokenizer, TokenizerOptions
from fnet_runtime.tokenizer.tokenizers_backend import FAST, flavour_from_pipeline

from fnet_core.checkpoint.open import Checkpoint
from fnet_core.errors import CheckpointError
from fnet_export.base.errors import OptionError
from fnet_export.texts.emails import emails
from fnet_export.texts.tokenizer.from_spiece import fast_from_spiece, proto_from_bytes, v5_from_spiece

V5_KEY = "backend"
"""A key that only transformers 5 writes to tokenizer_config.json, next to a tokenizer.json."""
FLAVOUR = "flavour"
"""Our own key of tokenizer_config.json, which `convert` writes where no other file says which tokenizer is meant."""
KERAS_KEY = "registered_name"
"""The mark of keras-hub's tokenizer.json, which holds no pipeline."""
ADDED_TOKENS = "added_tokens.json"
SPECIAL_TOKENS_MAP = "special_tokens_map.json"
PAD_TOKEN = "pad_token"
SIDES = {"padding_side": "padding", "truncation_side": "truncation"}
"""Keys of tokenizer_config.json, and the objects of tokenizer.json whose `direction` states the same."""
RULES = ("do_lower_case", "keep_accents", "remove_space")
PROBES = (
    "The quick brown fox jumps over the lazy dog.",
    "It cost $1,000, then 20, then 5,",
    "``quoted'' and ''quoted''",
    "naïve ﬁne ½ １２，",
    "日本語 한글 עברית",
    "two  spaces\tand a tab",
    "trailing space ",
    "the [MASK] fox",
    "<s> [CLS] <pad>",
)
"""Texts on which flavours are compared before the built-in e-mails, ordinary ones first."""
COMPARED_TOKENS, SHOWN_CHARACTERS = 512, 60

IdsOf = Callable[[str], list[int]]
"""Token ids of a text, special tokens included."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenizerChoice:
    """A checkpoint's tokenizer, what was read for it, the bytes it comes with, why it is this one, and where others disagree."""

    tokenizer: Tokenizer
    path: Path
    data: bytes
    reason: str
    disagreement: str | None

    @property
    def flavour(self) -> str:
        """Name in FLAVOURS."""
        return self.tokenizer.options.flavour

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that every command says which chooses a tokenizer: where others disagree."""
        if self.disagreement is None:
            return ()
        return (f"tokenizer {self.flavour} ({self.reason}): {self.disagreement}; --tokenizer names another",)

    @property
    def file(self) -> str:
        """Name of the file in the bundle."""
        return self.tokenizer.options.file


def tokenizer_of_checkpoint(checkpoint: Checkpoint, flavour: str | None = None) -> TokenizerChoice:
    """Choose a checkpoint's tokenizer as `tokenizer_from_folder` does, and refuse files that state another padding than <pad>.

    Raises CheckpointError, and BundleError for a damaged file.
    """
    choice = tokenizer_from_folder(checkpoint.folder, flavour, spiece=checkpoint.vocabulary, format_flavour=checkpoint.tokenizer)
    pad_id = choice.tokenizer.pad_id
    for file, key, expected, value in _stated_pads(checkpoint.folder, pad_id):
        if value != expected or isinstance(value, bool):
            raise CheckpointError(
                f"{checkpoint.folder / file}: {key}: expected {expected!r}, found {value!r}; {checkpoint.origin} says pad_token_id "
                f"{checkpoint.config.pad_token_id}, and the runtimes pad with {PAD} of type 0 only. Correct the file if training "
                f"padded with {PAD}; otherwise train the model with {PAD}"
            )
    return choice


def tokenizer_from_folder(
    folder: Path, flavour: str | None = None, *, spiece: Path | None = None, format_flavour: str | None = None
) -> TokenizerChoice:
    """Choose a checkpoint's tokenizer: `flavour`, else by its tokenizer.json, its tokenizer_config.json or its format.

    `spiece` is the SentencePiece model, by default spiece.model of the folder. `format_flavour` is the flavour of the checkpoint's
    format, or None. A Hugging Face folder has no such flavour and means `fnet-slow` if it states nothing. Raises CheckpointError
    for a folder that has no tokenizer, or has a flavour that is not in FLAVOURS, and BundleError for a damaged file.
    """
    spiece = spiece or folder / SPIECE
    _check_sides(folder)
    pipeline = _pipeline(folder)
    written = None if pipeline is None else flavour_from_pipeline(pipeline, name=str(folder / TOKENIZER_JSON))
    chosen, reason = (flavour, "asked for") if flavour is not None else _chosen(folder, written, format_flavour)
    tokenizer, path, data = _opened(folder, spiece, chosen, written)
    present = [written, *([_named_flavour(folder), format_flavour or SLOW] if spiece.is_file() else [])]
    others = {other: _ids(_opened(folder, spiece, other, written)[0]) for other in present if other not in (None, chosen)}
    if pipeline is not None and written is None:
        others[TOKENIZER_JSON] = _ids_of_pipeline(pipeline)
    disagreements = (_disagreement(chosen, _ids(tokenizer), other, ids) for other, ids in others.items())
    return TokenizerChoice(
        tokenizer=tokenizer, path=path, data=data, reason=reason, disagreement=next(filter(None, disagreements), None)
    )


def check_flavour(flavour: str | None) -> None:
    """Raise OptionError for an unknown flavour."""
    if flavour is not None and flavour not in FLAVOURS:
        raise OptionError(f"--tokenizer: expected one of {', '.join(FLAVOURS)}; found {flavour!r}")


def _check_sides(folder: Path) -> None:
    """Refuse a folder whose texts were padded or cut on the left: every flavour does both on the right."""
    for side, name in SIDES.items():
        stated = (
            (TOKENIZER_CONFIG, side, "right", _config(folder).get(side, "right")),
            (TOKENIZER_JSON, f"{name}.direction", "Right", part(_pipeline_values(folder), name).get("direction", "Right")),
        )
        for file, key, expected, actual in stated:
            if actual != expected:
                raise CheckpointError(
                    f"{folder / file}: {key}: expected {expected!r}, found {actual!r}; the runtimes pad and cut on the right only, "
                    "and padding is part of FNet's meaning"
                )


def _stated_pads(folder: Path, pad_id: int) -> Iterator[tuple[str, str, str | int, object]]:
    """What the files say that texts were padded with: the file, the key, what the runtimes pad with, and what is stated."""
    padding = part(_pipeline_values(folder), "padding")
    for name, expected in (("pad_id", pad_id), (PAD_TOKEN, PAD), ("pad_type_id", 0)):
        if name in padding:
            yield TOKENIZER_JSON, f"padding.{name}", expected, padding[name]
    config = _config(folder)
    beside = object_from_file(folder / SPECIAL_TOKENS_MAP) if (folder / SPECIAL_TOKENS_MAP).is_file() else {}
    for file, values in ((TOKENIZER_CONFIG, config), (SPECIAL_TOKENS_MAP, {} if PAD_TOKEN in config else beside)):
        token = values.get(PAD_TOKEN)
        if token is not None:
            yield file, PAD_TOKEN, PAD, token.get("content") if isinstance(token, dict) else token
    if config.get("pad_token_type_id") is not None:
        yield TOKENIZER_CONFIG, "pad_token_type_id", 0, config["pad_token_type_id"]


def _pipeline_values(folder: Path) -> Mapping[str, Any]:
    """The values of the folder's tokenizer.json; none where there is no such file or it holds no pipeline."""
    path = folder / TOKENIZER_JSON
    values = object_from_file(path) if path.is_file() else {}
    return {} if KERAS_KEY in values else values


def _pipeline(folder: Path) -> bytes | None:
    """The folder's tokenizer.json; None where there is no such file or it holds no pipeline."""
    path = folder / TOKENIZER_JSON
    return path.read_bytes() if path.is_file() and KERAS_KEY not in object_from_file(path) else None


def _named_flavour(folder: Path) -> str | None:
    """The flavour that tokenizer_config.json names; None where it names none."""
    named = _config(folder).get(FLAVOUR)
    if named is None or (isinstance(named, str) and named in FLAVOURS):
        return named
    raise CheckpointError(f"{folder / TOKENIZER_CONFIG}: {FLAVOUR}: expected one of {', '.join(FLAVOURS)}, found {named!r}")


def _chosen(folder: Path, written: str | None, format_flavour: str | None) -> tuple[str, str]:
    if written is not None:
        return written, f"{TOKENIZER_JSON} is what transformers {'4' if written == FAST else '5'} writes"
    named = _named_flavour(folder)
    if named is not None:
        return named, f"{TOKENIZER_CONFIG} names it"
    if format_flavour is not None:
        return format_flavour, "that of the code that wrote the checkpoint"
    if (folder / TOKENIZER_JSON).is_file():
        raise CheckpointError(
            f"{folder / TOKENIZER_JSON}: is of neither pipeline that transformers 4.57 or 5.23 writes for FNet; say with "
            f"--tokenizer which of {', '.join(FLAVOURS)} the model was trained with ({SPIECE} is then read)"
        )
    if V5_KEY in _config(folder):
        raise CheckpointError(
            f"{folder / TOKENIZER_CONFIG}: written by transformers 5, but the {TOKENIZER_JSON} next to it is missing; copy it too, "
            f"or say with --tokenizer which of {', '.join(FLAVOURS)} the model was trained with"
        )
    foreign = [(file, token) for file, token in _added_tokens(folder) if token not in SPECIAL_TOKENS]
    if foreign:
        raise CheckpointError(
            f"{folder / foreign[0][0]}: adds the token {foreign[0][1]!r}, which {SLOW} does not know; copy the {TOKENIZER_JSON} "
            f"that belongs to it, or say with --tokenizer which of {', '.join(FLAVOURS)} the model was trained with"
        )
    return SLOW, f"{SPIECE} without a {TOKENIZER_JSON}"


def _opened(folder: Path, spiece: Path, flavour: str, written: str | None) -> tuple[Tokenizer, Path, bytes]:
    """A flavour over the file that holds it, or over the tokenizer.json made of the SentencePiece model."""
    options = TokenizerOptions(flavour=SLOW, **_rules(folder)) if flavour == SLOW else TokenizerOptions(flavour=flavour)
    path = folder / TOKENIZER_JSON if flavour == written else spiece
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: is missing; expected the SentencePiece model next to the weights") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if options.file == TOKENIZER_JSON and path == spiece:
        proto, rules = proto_from_bytes(data, name=str(path)), _rules(folder)
        made = (
            fast_from_spiece(proto, do_lower_case=rules.get("do_lower_case", False), keep_accents=rules.get("keep_accents", True))
            if flavour == FAST
            else v5_from_spiece(proto)
        )
        data = made.to_str(pretty=True).encode()
    return Tokenizer(data, options, name=str(path)), path, data


def _rules(folder: Path) -> dict[str, bool]:
    """The text rules that tokenizer_config.json states; those of transformers 5 are defaults that its pipeline does not follow."""
    config = _config(folder)
    given = {} if V5_KEY in config else {name: config[name] for name in RULES if name in config}
    for name, value in given.items():
        if not isinstance(value, bool):
            raise CheckpointError(f"{folder / TOKENIZER_CONFIG}: {name}: expected true or false, found {value!r}")
    return given


def _added_tokens(folder: Path) -> list[tuple[str, str]]:
    """The tokens that tokenizer_config.json and added_tokens.json state, each with the file's name."""
    beside = object_from_file(folder / ADDED_TOKENS) if (folder / ADDED_TOKENS).is_file() else {}
    try:
        stated = [token["content"] for token in _config(folder).get("added_tokens_decoder", {}).values()]
        return [*((TOKENIZER_CONFIG, token) for token in stated), *((ADDED_TOKENS, token) for token in beside)]
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / TOKENIZER_CONFIG}: added_tokens_decoder: expected tokens by id, each an object with its content"
        ) from error


def _config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json's values; none where there is no such file."""
    path = folder / TOKENIZER_CONFIG
    return object_from_file(path) if path.is_file() else {}


def object_from_file(path: Path) -> dict[str, Any]:
    """Read a file of one JSON object. Raises CheckpointError for any other."""
    try:
        values = json.loads(path.read_text("utf-8"))
        if not isinstance(values, dict):
            raise TypeError(f"found {type(values).__name__}")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a JSON object ({error})") from error
    return values


def part(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object in an object, or an empty object."""
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _ids(tokenizer: Tokenizer) -> IdsOf:
    def ids(text: str) -> list[int]:
        encoding = tokenizer.encode(text, padding=Padding(COMPARED_TOKENS))
        return [int(i) for i in encoding.input_ids[: encoding.attention_mask.sum()]]

    return ids


def _ids_of_pipeline(data: bytes) -> IdsOf:
    """What the library makes of a tokenizer.json that is of no flavour."""
    pipeline = tokenizers.Tokenizer.from_str(data.decode())
    pipeline.no_padding()
    pipeline.enable_truncation(COMPARED_TOKENS)
    return lambda text: list(pipeline.encode(text).ids)


def _disagreement(name: str, ids: IdsOf, other_name: str, other_ids: IdsOf) -> str | None:
    """Say on which text first, of the probes and then the built-in e-mails, two tokenizers give different ids."""
    for text in (*PROBES, *emails()):
        if ids(text) != other_ids(text):
            shown = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."
            return f"{name} and {other_name} give different ids, first for {shown!r}"
    return None
