"""FNetConfig: what a Hugging Face config.json says about an FNet."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fnet_core.errors import ConfigError

HIDDEN_ACTS = ("gelu_new", "gelu", "relu", "silu")
ACT_ALIASES: Mapping[str, str] = {
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_python_tanh": "gelu_new",
    "gelu_accurate": "gelu_new",
    "gelu_fast": "gelu_new",  # its constant has ten digits: within 1e-12
    "gelu_python": "gelu",
    "swish": "silu",
}
"""Further names that transformers gives the same functions. A configuration keeps the name on the right."""
FOURIER, ATTENTION = "fourier", "attention"
MIXINGS = (FOURIER, "linear", "random", "identity", ATTENTION)
"""What a layer may mix tokens with: the paper's Fourier transform, and the mixings that the paper compares it with."""
SIZED_MIXINGS = ("linear", "random")
"""The mixings that have a matrix of the sequence's length."""
LAYOUTS = ("bottom", "middle", "mixed", "top")
LAYERS = "num_hidden_layers"
WEIGHT_SIZES = ("vocab_size", "hidden_size", LAYERS, "intermediate_size", "max_position_embeddings", "type_vocab_size")
"""Fields that are an axis of a weight, and the number of layers."""
MAX_LABELS = 1_000_000
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


@dataclass(frozen=True, kw_only=True)
class FNetConfig:
    """Hold an FNet's hyperparameters, with the names and defaults of transformers' FNetConfig.

    Sizes are positive integers. Every layer mixes tokens with `mixing`, except the `attention_layers`, which attend with
    `num_attention_heads` (None if no layer attends). `masked_lm_act` and `masked_lm_norm_eps` are the activation and epsilon of a
    masked-lm head that differs from the blocks, such as keras-hub's (None: as in the blocks). Transformers' FNetConfig does not
    have these five fields, and a plain FNet's config.json does not need them. `labels` are the classifier's label names by output
    index. `extra` holds the keys of config.json that have no field here; `to_dict` writes them back unchanged. Raises ConfigError,
    which names the first bad field.
    """

    vocab_size: int = 32000
    hidden_size: int = 768
    num_hidden_layers: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 4
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    use_tpu_fourier_optimizations: bool = False
    tpu_short_seq_length: int = 512
    pad_token_id: int = 3
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = True
    mixing: str = FOURIER
    attention_layers: tuple[int, ...] = ()
    num_attention_heads: int | None = None
    masked_lm_act: str | None = None
    masked_lm_norm_eps: float | None = None
    architectures: tuple[str, ...] = ()
    problem_type: str | None = None
    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _SIZES:
            _check(
                name,
                getattr(self, name),
                _is_int(getattr(self, name)) and getattr(self, name) >= 1,
                "a positive integer",
            )
        for name in ("bos_token_id", "pad_token_id"):
            value = getattr(self, name)
            valid = _is_int(value) and 0 <= value < self.vocab_size
            _check(
                name,
                value,
                valid or (value is None and name == "bos_token_id"),
                f"an id below vocab_size {self.vocab_size}",
            )
        eos = self.eos_token_id
        _check(
            "eos_token_id",
            eos,
            eos is None or all(_is_int(i) and i >= 0 for i in (eos if isinstance(eos, list) else [eos])),
            "a token id, a list of them, or null",
        )
        for name in ("use_tpu_fourier_optimizations", "tie_word_embeddings"):
            _check(name, getattr(self, name), isinstance(getattr(self, name), bool), "true or false")
        for name, unset in (("hidden_act", False), ("masked_lm_act", True)):
            value = getattr(self, name)
            names = ", ".join([*HIDDEN_ACTS, *ACT_ALIASES])
            _check(name, value, value in HIDDEN_ACTS or (value is None and unset), f"one of {names}")
        known_problem = self.problem_type is None or self.problem_type in PROBLEM_TYPES
        _check("problem_type", self.problem_type, known_problem, f"one of {', '.join(PROBLEM_TYPES)}, or null")
        drop = self.hidden_dropout_prob
        _check("hidden_dropout_prob", drop, _is_number(drop) and 0 <= drop < 1, "a number from 0 to below 1")
        for name, unset in (("initializer_range", False), ("layer_norm_eps", False), ("masked_lm_norm_eps", True)):
            value = getattr(self, name)
            _check(name, value, (value is None and unset) or (_is_number(value) and value > 0), "a positive number")
        _check("mixing", self.mixing, self.mixing in MIXINGS, f"one of {', '.join(MIXINGS)}")
        layers = self.attention_layers
        valid = isinstance(layers, tuple) and all(_is_int(i) and 0 <= i < self.num_hidden_layers for i in layers)
        _check("attention_layers", layers, valid and sorted(set(layers)) == list(layers), "ascending indices of layers, from 0")
        heads = self.num_attention_heads
        if heads is None and self.attends:
            raise ConfigError(
                'num_attention_heads: is missing, and some layers attend; add "num_attention_heads" with the number that they were '
                f"trained with, a divisor of hidden_size {self.hidden_size}"
            )
        fits = heads is None or (_is_int(heads) and heads >= 1 and (not self.attends or self.hidden_size % heads == 0))
        _check("num_attention_heads", heads, fits, f"a positive integer that divides hidden_size {self.hidden_size}")
        for name in ("labels", "architectures"):
            value = getattr(self, name)
            _check(name, value, isinstance(value, tuple) and all(isinstance(v, str) for v in value), "names")
        _check("labels", self.labels, len(self.labels) >= 1, "at least one label")

    @property
    def num_labels(self) -> int:
        """Return the number of outputs of the classifier."""
        return len(self.labels)

    @property
    def mixings(self) -> tuple[str, ...]:
        """Return the mixing of each layer, a name in MIXINGS."""
        return tuple(ATTENTION if i in self.attention_layers else self.mixing for i in range(self.num_hidden_layers))

    @property
    def attends(self) -> bool:
        """Return whether a layer has attention."""
        return bool(self.attention_layers) or self.mixing == ATTENTION

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FNetConfig":
        """Read the object of a config.json, and keep unknown keys in `extra`.

        Raises ConfigError for another model_type, and for the first bad value, which it names.
        """
        rest = dict(values)
        model_type = rest.pop("model_type", "fnet")
        _check("model_type", model_type, model_type == "fnet", "'fnet'")
        known = {f.name: rest.pop(f.name) for f in fields(cls) if f.name in rest and f.name not in ("labels", "extra")}
        for name in ("architectures", "attention_layers"):
            _check(name, known.get(name), isinstance(known.get(name) or [], list), "a list")
            known[name] = tuple(known.get(name) or ())
        for name in ("hidden_act", "masked_lm_act"):
            if isinstance(known.get(name), str):
                known[name] = ACT_ALIASES.get(known[name], known[name])
        if known.get("pad_token_id", 0) is None:
            known.pop("pad_token_id")  # transformers writes null for "unset"; the padding contract needs an id
        labels = _labels(rest.pop("id2label", None), rest.pop("num_labels", None))
        rest.pop("label2id", None)
        return cls(**known, labels=labels, extra=rest)

    @classmethod
    def from_json(cls, text: str, *, name: str = "config.json") -> "FNetConfig":
        """Read the text of a config.json, which errors call `name`. Raises ConfigError."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{name}: not JSON ({error})") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{name}: expected a JSON object, found {type(values).__name__}")
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the object of a config.json, `extra` included."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("labels", "extra")}
        values["architectures"] = list(self.architectures)
        values["attention_layers"] = list(self.attention_layers)
        for f in fields(self):  # a plain FNet is what transformers writes, and no more
            if f.name in _OURS and getattr(self, f.name) == f.default:
                del values[f.name]
        values["model_type"] = "fnet"
        values["id2label"] = {str(i): label for i, label in enumerate(self.labels)}
        values["label2id"] = {label: i for i, label in enumerate(self.labels)}
        return dict(self.extra) | values

    def to_json(self) -> str:
        """Return the text of a config.json, with sorted keys, two spaces and a final newline."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def attention_layers(layout: str, count: int, num_hidden_layers: int) -> tuple[int, ...]:
    """Return the indices of the layers of a hybrid that attend: `count` of them at the bottom, middle or top, or mixed.

    The layouts are the paper's (section 4.2), by the formulas of its code. Raises ConfigError for an unknown layout, and for a
    count outside 0 to the number of layers. `mixed` spreads the layers, so their number must be a multiple of the count.
    """
    layers = num_hidden_layers
    _check("layout", layout, layout in LAYOUTS, f"one of {', '.join(LAYOUTS)}")
    _check("attention layers", count, _is_int(count) and 0 <= count <= layers, f"0 to {layers}")
    if count == 0:
        return ()
    if layout == "mixed":
        _check("mixed attention layers", count, layers % count == 0, f"a divisor of the {layers} layers")
        return tuple(range(0, layers, layers // count))
    start = {"bottom": 0, "middle": (layers - count + 1) // 2, "top": layers - count}[layout]
    return tuple(range(start, start + count))


_OURS = ("mixing", "attention_layers", "num_attention_heads", "masked_lm_act", "masked_lm_norm_eps")
"""Fields that transformers' FNetConfig does not have."""
_SIZES = (*WEIGHT_SIZES, "tpu_short_seq_length")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _check(name: str, value: object, valid: object, expected: str) -> None:
    if not valid:
        raise ConfigError(f"{name}: expected {expected}, found {value!r}")


def numbered_labels(count: object, *, name: str) -> tuple[str, ...]:
    """Return the names LABEL_0, LABEL_1, ... for labels without names. Errors call their number `name`. Raises ConfigError."""
    valid = isinstance(count, int) and _is_int(count) and 1 <= count <= MAX_LABELS
    _check(name, count, valid, f"a positive integer, at most {MAX_LABELS}")
    assert isinstance(count, int)
    return tuple(f"LABEL_{i}" for i in range(count))


def _labels(id2label: object, num_labels: object) -> tuple[str, ...]:
    """Return label names by output index, from config.json's id2label, else from its num_labels (2 if both are absent).

    As in transformers, a name may be a number or a truth value. It is read as the text that Python prints for it.
    """
    if id2label is None:
        return numbered_labels(2 if num_labels is None else num_labels, name="num_labels")
    _check("id2label", id2label, isinstance(id2label, dict) and id2label, "an object of label names by index, at least one")
    assert isinstance(id2label, dict)
    count = len(id2label)
    by_index = {str(index): label for index, label in id2label.items()}
    complete = set(by_index) == {str(i) for i in range(count)}
    _check("id2label", id2label, complete, f"the indices 0 to {count - 1}, each once")
    for label in by_index.values():
        _check("id2label", label, isinstance(label, str | int | float), "names, each a text or a number")
    _check("num_labels", num_labels, num_labels in (None, count), f"{count}, as many as id2label has names")
    return tuple(str(by_index[str(i)]) for i in range(count))
