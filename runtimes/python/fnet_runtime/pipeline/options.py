"""What a caller may ask of answers: how many, with which scores, and what happens to a text that does not fit."""

import math
from dataclasses import dataclass, fields

from fnet_runtime.bundle.config import POOLINGS
from fnet_runtime.errors import OptionError

DEFAULT_TOP_K = 5
"""How many fillers or spans an answer has at most, unless the caller says."""
DEFAULT_THRESHOLD = 0.5
"""A text has a label of a multi-label classifier if the score is above this number, unless the caller says."""
DEFAULT_ANSWER_TOKENS = 15
"""How many tokens an answer to a question has at most, unless the caller says: transformers' default."""
SOFTMAX, SIGMOID, NO_FUNCTION = "softmax", "sigmoid", "none"
FUNCTIONS_TO_APPLY = (SOFTMAX, SIGMOID, NO_FUNCTION)
"""What makes scores of the outputs of a classifier of texts."""
CUT, REFUSE = "cut", "error"
TRUNCATIONS = (CUT, REFUSE)
"""What happens to a text that does not fit in the sequence length."""
NO_AGGREGATION, SIMPLE, FIRST, AVERAGE, MAX = "none", "simple", "first", "average", "max"
AGGREGATION_STRATEGIES = (NO_AGGREGATION, SIMPLE, FIRST, AVERAGE, MAX)
"""How tokens are grouped to entities."""
OF_EVERY_TASK = ("top_k", "truncation")
"""The options that every task takes. A task without a list to shorten ignores `top_k`."""


@dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """The options of answers. `Task.options` says which task takes which of them; another task refuses them.

    top_k: how many fillers, spans or labels an answer lists. None lists 5 fillers or spans, and every label.
    truncation: one of TRUNCATIONS. `cut` cuts a text that does not fit and says so in the answer; `error` raises InputError.
    function_to_apply: one of FUNCTIONS_TO_APPLY. None applies what the checkpoint's problem_type says.
    threshold: `scores` lists only labels whose score is above this number.
    aggregation_strategy: one of AGGREGATION_STRATEGIES. `none` answers with the label of each token, the others with entities.
    targets: the only words that may fill a [MASK], each of one token. An empty tuple allows the whole vocabulary.
    stride: a text that does not fit is read in windows which share so many tokens, and is not cut. With None, tokens are read
        as far as they fit, and the windows of a context share at most 128 tokens.
    max_answer_len: how many tokens an answer to a question has at most. None means 15.
    handle_impossible_answer: the answers to a question include an empty one, with the score of [CLS].
    null_threshold: the answers include an empty one too, which is the first only if its logits exceed those of the best span by
        more than this. With None, scores alone decide.
    align_to_words: the answers to a question are whole words.
    pooling: one of POOLINGS, which makes the pooled vector. None pools as the checkpoint states, else with the model's pooler.
    normalize: the pooled vector is divided by its Euclidean length. None does what the checkpoint states, else does not.

    Raises OptionError for a value that is not allowed.
    """

    top_k: int | None = None
    truncation: str = CUT
    function_to_apply: str | None = None
    threshold: float | None = None
    aggregation_strategy: str = NO_AGGREGATION
    stride: int | None = None
    targets: tuple[str, ...] = ()
    max_answer_len: int | None = None
    handle_impossible_answer: bool = False
    null_threshold: float | None = None
    align_to_words: bool = True
    pooling: str | None = None
    normalize: bool | None = None

    def __post_init__(self) -> None:
        if self.top_k is not None and (type(self.top_k) is not int or self.top_k < 1):
            raise OptionError(f"top_k: expected an integer from 1, found {self.top_k!r}")
        _check_word("truncation", self.truncation, TRUNCATIONS)
        if self.function_to_apply is not None:
            _check_word("function_to_apply", self.function_to_apply, FUNCTIONS_TO_APPLY)
        _check_finite("threshold", self.threshold)
        _check_word("aggregation_strategy", self.aggregation_strategy, AGGREGATION_STRATEGIES)
        if self.stride is not None and (type(self.stride) is not int or self.stride < 0):
            raise OptionError(f"stride: expected an integer from 0, found {self.stride!r}")
        if type(self.targets) is not tuple or not all(isinstance(target, str) for target in self.targets):
            raise OptionError(f"targets: expected a tuple of words, found {self.targets!r}")
        if self.max_answer_len is not None and (type(self.max_answer_len) is not int or self.max_answer_len < 1):
            raise OptionError(f"max_answer_len: expected an integer from 1, found {self.max_answer_len!r}")
        for name in ("handle_impossible_answer", "align_to_words"):
            if type(getattr(self, name)) is not bool:
                raise OptionError(f"{name}: expected true or false, found {getattr(self, name)!r}")
        _check_finite("null_threshold", self.null_threshold)
        if self.pooling is not None:
            _check_word("pooling", self.pooling, POOLINGS)
        if self.normalize not in (None, True, False) or type(self.normalize) is int:
            raise OptionError(f"normalize: expected true, false or nothing, found {self.normalize!r}")

    @property
    def count(self) -> int:
        """Return how many fillers or spans an answer lists."""
        return DEFAULT_TOP_K if self.top_k is None else self.top_k

    @property
    def answer_tokens(self) -> int:
        """Return how many tokens an answer to a question has at most."""
        return DEFAULT_ANSWER_TOKENS if self.max_answer_len is None else self.max_answer_len

    @property
    def with_empty(self) -> bool:
        """Return whether the answers to a question include an empty one."""
        return self.handle_impossible_answer or self.null_threshold is not None

    def given(self) -> list[str]:
        """Return the names of the options that only some tasks take and that have another value than the default."""
        return [f.name for f in fields(self) if f.name not in OF_EVERY_TASK and getattr(self, f.name) != f.default]


def _check_word(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        words = ", ".join(allowed[:-1])
        raise OptionError(f"{name}: expected {words} or {allowed[-1]}, found {value!r}")


def _check_finite(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value)):
        raise OptionError(f"{name}: expected a finite number, found {value!r}")


DEFAULT_OPTIONS = AnswerOptions()
