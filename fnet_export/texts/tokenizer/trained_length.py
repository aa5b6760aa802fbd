"""The padded length that a checkpoint was trained at: what its files state, and what must be assumed where they do not.

FNet's Fourier layers have no mask, so that this length is part of the model's meaning; docs/padding.md lists the statements.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fnet_runtime.bundle.manifest import CONFIG, TOKENIZER_CONFIG
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, NONE, PADDINGS, Padding
from fnet_runtime.tokenizer.tokenizer import F_NET, TOKENIZER_JSON

from fnet_core.checkpoint.keras import PREPROCESSOR, TASK, is_keras_preset
from fnet_core.checkpoint.open import Checkpoint
from fnet_core.checkpoint.sentence_transformers import LENGTH_KEY, MODULES, SETTINGS
from fnet_core.config import FOURIER, SIZED_MIXINGS, FNetConfig
from fnet_core.errors import CheckpointError
from fnet_export.texts.tokenizer.choice import object_from_file, part

OWN_KEY = "trained_sequence_length"
"""Our own key of config.json, for checkpoints whose tokenizer has no place to state the length."""
OWN_PADDING_KEY = "trained_padding"
"""Our own key of config.json for how training padded texts: MAX_LENGTH or NONE."""
STATED_HERE = f"{CONFIG} ({OWN_PADDING_KEY})"
CUT_KEY = "max_length"
"""tokenizer_config.json's key of the length that texts were cut to."""
MIN_LENGTH = 4
"""No model runs at fewer tokens."""
TPU_LIMIT = 4096
"""Up to so many positions transformers runs `use_tpu_fourier_optimizations` at tpu_short_seq_length alone."""
ADVICE = "check it with --evaluation FILE"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement: the length in tokens, the file and the key in it, and whether training padded every text to the length.

    Where `padded` is false, the file states only where texts were cut.
    """

    length: int
    file: str
    key: str
    padded: bool


@dataclass(frozen=True, kw_only=True)
class TrainedLength:
    """The padded length in tokens that a checkpoint was trained at, and how that is known.

    `statements` support this length, and `others` contradict them. The user may have overruled some of these by a
    choice: `settled`. Without a statement the length is assumed to be `max_position_embeddings`. `possible` are the lengths that
    the model takes, None for any. `unpadded` names the file whose tokenizer does not pad to a fixed length, if there is one.
    `stated_padding` is the contract that `stated_in` states: OWN_PADDING_KEY, or a folder of sentence-transformers. `decided` says
    how labelled data decided on the padding, if they did. `matters` says whether a layer mixes padding into the outputs.
    `checkable` says whether the user can still check the padding with labelled data: the task takes them, and none were given.
    """

    length: int
    statements: tuple[Statement, ...] = ()
    others: tuple[Statement, ...] = ()
    settled: bool = False
    possible: range | None = None
    unpadded: str | None = None
    stated_padding: str | None = None
    stated_in: str = STATED_HERE
    decided: str | None = None
    matters: bool = True
    checkable: bool = True

    @property
    def stated(self) -> bool:
        """Return whether a file states the length."""
        return bool(self.statements)

    @property
    def padded(self) -> bool:
        """Return whether a file states that training padded every text to the length."""
        return any(statement.padded for statement in self.statements)

    @property
    def contract(self) -> str | None:
        """Return the padding contract that a file states, None where no file does."""
        return self.stated_padding or (MAX_LENGTH if self.padded else None)

    @property
    def padding(self) -> Padding:
        """Return how training padded texts, as far as files state it: else to this length."""
        return Padding(self.length, self.contract or MAX_LENGTH)

    @property
    def contract_source(self) -> str:
        """Name the files and keys that state the padding contract."""
        return self.source if self.stated_padding is None else self.stated_in

    @property
    def source(self) -> str:
        """Name the files and keys that state the length, or what it is assumed from."""
        if not self.statements:
            return f"assumed from {CONFIG} (max_position_embeddings)"
        keys_by_file: dict[str, list[str]] = {}
        for statement in self.statements:
            keys_by_file.setdefault(statement.file, []).append(statement.key)
        return " and ".join(f"{file} ({', '.join(keys)})" for file, keys in keys_by_file.items())

    @property
    def contradiction(self) -> str | None:
        """Say which statements contradict each other; None where they agree, or where the user chose one of them."""
        if self.stated_padding == NONE and self.padded:
            return f"{self.stated_in} says that training padded no text, but {self.source} says {self.length} tokens"
        if not self.others or self.settled:
            return None
        listed = ", ".join(f"{each.file} ({each.key}) says {each.length}" for each in (*self.statements, *self.others))
        return f"the files state several lengths that the model was trained at: {listed}"

    def reason(self, padding: Padding) -> str:
        """Say where the length comes from that a bundle pads to, or why it does not pad."""
        length = self.source if padding.length == self.length else f"asked for; the checkpoint's is {self.length}: {self.source}"
        if padding.contract == MAX_LENGTH:
            return length if self.decided is None else f"{length}; {self.decided}"
        why = self.decided or (self.contract_source if self.contract == NONE else "asked for")
        return f"{length}; each text runs at its own length, and this is the longest: {why}"

    def check(self, name: str, *, option: str | None = "--sequence-length") -> None:
        """Refuse statements that contradict each other. Raises CheckpointError.

        `name` is what the error calls the checkpoint; `option` chooses a length, None where the command has no such option.
        """
        if self.contradiction is None:
            return
        if self.stated_padding == NONE and self.padded:
            raise CheckpointError(f"{name}: {self.contradiction}. Expected one way of training. Correct the file that is wrong")
        stated = sorted({statement.length for statement in (*self.statements, *self.others)})
        lengths = [length for length in stated if self.possible is None or length in self.possible]
        if option is None or not lengths:
            advice = "Correct the files that are wrong"
        elif len(lengths) == 1:
            advice = f"The model takes only one of them: {option} {lengths[0]}"
        else:
            advice = f"Choose the right one: {option} {' or '.join(map(str, lengths))}"
        raise CheckpointError(f"{name}: {self.contradiction}. Expected one length. {advice}")

    def caution(self, padding: Padding) -> str | None:
        """Say in one sentence what is assumed of how a bundle pads, and what to do about it; None where nothing is assumed."""
        if not self.matters or self.decided is not None:
            return None
        assumed = self._assumed_of_own_lengths(padding.length) if padding.contract == NONE else self._assumed(padding.length)
        advice = [ADVICE] if self.checkable else []
        if self.unpadded is not None and padding.contract == MAX_LENGTH and self.stated_padding != NONE and not self._overruled:
            advice.append(f"export it with --padding {NONE}")
        return assumed and "; ".join([assumed, *([", or ".join(advice)] if advice else [])])

    @property
    def _overruled(self) -> Statement | None:
        """Return a statement of padding to another length than this one."""
        return next((each for each in self.others if each.padded), None)

    def _assumed(self, sequence_length: int) -> str | None:
        """Say what is assumed of a bundle that pads every text to a length."""
        if self.padded:
            return None
        if self.stated_padding == NONE:
            return (
                f"{self.stated_in} states that training ran each text at its own length, but the bundle pads to "
                f"{sequence_length} tokens"
            )
        if self._overruled is not None:
            return (
                f"{self._overruled.file} ({self._overruled.key}) states that training padded every text to "
                f"{self._overruled.length} tokens, but the bundle pads to {sequence_length}"
            )
        if self.unpadded is not None:
            return (
                f"{self.unpadded} pads to no fixed length, so training probably padded to each batch's longest text, but the "
                f"bundle pads to {sequence_length} tokens"
            )
        if self.statements:
            return (
                f"{self.source} is {self.length}, but no file states that training padded every text, as the bundle does to "
                f"{sequence_length} tokens"
            )
        return f"no file states the length that training padded to, so max_position_embeddings, {self.length} tokens, is assumed"

    def _assumed_of_own_lengths(self, longest: int) -> str | None:
        """Say what is assumed of a bundle that runs each text at its own length, of at most `longest` tokens."""
        if self.contract == NONE and (longest == self.length or not self.stated):
            return None
        if self.stated and longest > self.length:
            return (
                f"{self.source} is {self.length}, but the bundle takes texts of up to {longest} tokens, which training did not see"
            )
        if self.contract == NONE:
            return None
        if self.padded:
            return (
                f"{self.source} states that training padded every text to {self.length} tokens, but the bundle runs each text at "
                "its own length"
            )
        if self.unpadded is not None:
            return (
                f"{self.unpadded} pads to no fixed length, so training probably padded to each batch's longest text, but the "
                "bundle runs each text at its own length"
            )
        return "no file states how training padded texts, but the bundle runs each text at its own length"

    def values(self, padding: Padding) -> dict[str, Any]:
        """Return parity.json's account of the length, for a bundle that pads so."""
        return {
            "tokens": self.length,
            "stated": self.stated,
            "source": self.source,
            "reason": self.reason(padding),
            "padded": self.padded,
            "caution": self.caution(padding),
        }


def trained_length_from_checkpoint(checkpoint: Checkpoint, chosen: int | None = None) -> TrainedLength:
    """Read every statement of the length in a checkpoint's files.

    Where statements contradict each other, `chosen` decides if one of them states it. Otherwise the first statement counts, those
    of padding before those of cutting, and the others are kept: `TrainedLength.check` refuses them.
    Raises CheckpointError for a file that is not JSON.
    """
    config = checkpoint.config
    most = config.max_position_embeddings
    stated_padding = _stated_padding(checkpoint)
    of_sentences = checkpoint.sentence is not None and stated_padding is None
    if of_sentences:
        stated_padding = NONE  # a text is padded to the longest of its batch, so alone not at all
    statements = sorted(_statements(checkpoint), key=lambda statement: not statement.padded)
    # A cut at the model's own bound tells nothing. No text can have been padded beyond it: that is a contradiction.
    telling = [each for each in statements if each.length >= MIN_LENGTH and (each.padded or each.length < most)]
    if any(each.length > most for each in telling):
        telling.append(Statement(length=most, file=CONFIG, key="max_position_embeddings", padded=False))
    lengths = [each.length for each in telling]
    length = chosen if chosen in lengths else next(iter(lengths), most)
    return TrainedLength(
        length=length,
        statements=tuple(each for each in telling if each.length == length),
        others=tuple(each for each in telling if each.length != length),
        settled=chosen in lengths,
        possible=possible_lengths(config),
        unpadded=_unpadded(checkpoint),
        stated_padding=stated_padding,
        stated_in=MODULES if of_sentences else STATED_HERE,
        matters=FOURIER in config.mixings,
    )


def possible_lengths(config: FNetConfig) -> range:
    """Return the lengths in tokens that a model takes."""
    most = config.max_position_embeddings
    return range(most if set(SIZED_MIXINGS) & set(config.mixings) else MIN_LENGTH, most + 1)


def config_with_length(checkpoint: Checkpoint) -> FNetConfig:
    """Return a checkpoint's configuration, in which our own keys state how training padded, where a file states it.

    Another format has no place for the statements of this one. Raises CheckpointError for statements that contradict each other.
    """
    config, trained = checkpoint.config, trained_length_from_checkpoint(checkpoint)
    trained.check(checkpoint.source.id, option=None)
    own: dict[str, Any] = {OWN_KEY: trained.length} if trained.padded else {}
    if trained.stated_padding is not None:
        own[OWN_PADDING_KEY] = trained.stated_padding
    return replace(config, extra={**config.extra, **own}) if own else config


def tokenizer_config_with_cut(checkpoint: Checkpoint, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return tokenizer_config.json's values for a folder without the checkpoint's tokenizer.json, whose cut they state.

    transformers 5 keeps the cut as `max_length`. An older one stays only where tokenizer.json states nothing, as it is read.
    """
    stated = _sentence_statements(checkpoint)
    if not stated and not is_keras_preset(checkpoint.folder):
        stated = [*_tokenizer_statements(checkpoint)]
    kept = {key: value for key, value in values.items() if key != CUT_KEY or not stated}
    cuts = [each.length for each in stated if not each.padded]
    return kept | ({CUT_KEY: cuts[0]} if cuts else {})


def _statements(checkpoint: Checkpoint) -> Iterator[Statement]:
    yield from _config_statements(checkpoint)
    of_sentences = _sentence_statements(checkpoint)
    if of_sentences:  # the library overrules the tokenizer's files
        yield from of_sentences
        return
    if is_keras_preset(checkpoint.folder):
        yield from _keras_statements(checkpoint)
        return
    of_tokenizer = [*_tokenizer_statements(checkpoint)]
    yield from of_tokenizer
    yield from _tokenizer_config_statements(checkpoint, resaved=bool(of_tokenizer))


def _sentence_statements(checkpoint: Checkpoint) -> list[Statement]:
    """Return what the settings of sentence-transformers state: where texts are cut, if they do."""
    if checkpoint.sentence is None or checkpoint.sentence.max_seq_length is None:
        return []
    return [Statement(length=checkpoint.sentence.max_seq_length, file=SETTINGS, key=LENGTH_KEY, padded=False)]


def _config_statements(checkpoint: Checkpoint) -> Iterator[Statement]:
    """What config.json and the weights state: our own key, transformers' TPU option, and matrices of one length."""
    config = checkpoint.config
    most = config.max_position_embeddings
    stated = _length(config.extra.get(OWN_KEY))
    if stated is not None:
        yield Statement(length=stated, file=CONFIG, key=OWN_KEY, padded=True)
    if config.use_tpu_fourier_optimizations and most <= TPU_LIMIT:
        yield Statement(length=config.tpu_short_seq_length, file=CONFIG, key="tpu_short_seq_length", padded=True)
    if set(SIZED_MIXINGS) & set(config.mixings):
        yield Statement(length=most, file="weights", key=f"matrices of the {config.mixing} mixing", padded=True)
    elif checkpoint.tokenizer == F_NET and checkpoint.origin != CONFIG:
        yield Statement(length=most, file="weights", key="f_net pads every text to its position embeddings", padded=True)


def _keras_statements(checkpoint: Checkpoint) -> Iterator[Statement]:
    """What keras-hub's preprocessor states, which packs every text to one length; the file of its own is the newer form."""
    for name, keys in ((PREPROCESSOR, ("config",)), (TASK, ("config", "preprocessor", "config"))):
        path = checkpoint.folder / name
        values: Any = object_from_file(path) if path.is_file() else {}
        for key in keys:
            values = part(values, key)
        length = _length(values.get("sequence_length"))
        if length is not None:
            yield Statement(length=length, file=name, key="sequence_length", padded=True)


def _tokenizer_statements(checkpoint: Checkpoint) -> Iterator[Statement]:
    """What tokenizer.json states: transformers keeps there what the tokenizer was last called with."""
    path = checkpoint.folder / TOKENIZER_JSON
    if not path.is_file():
        return
    values = object_from_file(path)
    padding = part(values, "padding")
    fixed = _length(part(padding, "strategy").get("Fixed"))
    if fixed is not None:
        multiple = _length(padding.get("pad_to_multiple_of")) or 1
        yield Statement(length=-(-fixed // multiple) * multiple, file=TOKENIZER_JSON, key="padding.strategy.Fixed", padded=True)
    cut = _length(part(values, "truncation").get("max_length"))
    if cut is not None:
        yield Statement(length=cut, file=TOKENIZER_JSON, key="truncation.max_length", padded=False)


def _tokenizer_config_statements(checkpoint: Checkpoint, *, resaved: bool) -> Iterator[Statement]:
    """Return what tokenizer_config.json states. transformers writes a huge `model_max_length` if there is no limit.

    `max_length` is what an earlier tokenizer.json stated: it counts only if the tokenizer.json next to it states nothing.
    """
    path = checkpoint.folder / TOKENIZER_CONFIG
    values = object_from_file(path) if path.is_file() else {}
    for key in ("model_max_length", *(() if resaved else (CUT_KEY,))):
        length = _length(values.get(key))
        if length is not None:
            yield Statement(length=length, file=TOKENIZER_CONFIG, key=key, padded=False)


def _unpadded(checkpoint: Checkpoint) -> str | None:
    """Name tokenizer.json where it holds a tokenizer that pads to the longest text of a batch, or not at all."""
    path = checkpoint.folder / TOKENIZER_JSON
    if not path.is_file() or is_keras_preset(checkpoint.folder):
        return None
    return None if "Fixed" in part(part(object_from_file(path), "padding"), "strategy") else TOKENIZER_JSON


def _stated_padding(checkpoint: Checkpoint) -> str | None:
    """Return the padding contract that config.json states, if it does. Raises CheckpointError for another word."""
    if OWN_PADDING_KEY not in checkpoint.config.extra:
        return None
    stated = checkpoint.config.extra[OWN_PADDING_KEY]
    if stated not in PADDINGS:
        raise CheckpointError(
            f"{checkpoint.source.id}: {CONFIG}: {OWN_PADDING_KEY}: expected {' or '.join(PADDINGS)}, found {stated!r}"
        )
    return str(stated)


def _length(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
