"""What parity feeds a model: real texts, the edges of what it takes, and random ids, through the runtime's own tokenizer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from fnet_runtime.sessions.session import Ids
from fnet_runtime.tokenizer.encoding import NONE, Encoding, Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer

from fnet_core.config import FNetConfig
from fnet_core.tasks import ATTENTION_MASK, CHOICES, INPUT_NAMES, POSITIONS, Task

T = TypeVar("T")
RANDOM = 8
"""Inputs of random ids, the same ones every time."""
SHORT = 3
"""Inputs of random ids that are of 1, 2, 3 and so on tokens, where inputs may be short."""
EDGES = ("empty text", "one token", "longest text", "all padding", "highest ids")
MASKED_EVERY = 7
"""In masked-language-model inputs, every so many tokens are a [MASK]."""
CHOICES_COUNT = 4
"""Choices of a multiple-choice input."""
GOLDEN_ROWS = ("text 0", "empty text", "highest ids", "random 0")


@dataclass(frozen=True, eq=False)
class Samples:
    """Named model inputs: `int64[1, ...]` by input name. Inputs may have different lengths."""

    names: tuple[str, ...]
    inputs: tuple[Mapping[str, Ids], ...]

    @classmethod
    def from_batch(cls, names: Sequence[str], batch: Mapping[str, Ids]) -> "Samples":
        """Name the rows of one batch, `int64[row, ...]` by input name."""
        return cls(tuple(names), tuple({name: array[i : i + 1] for name, array in batch.items()} for i in range(len(names))))

    def batch(self, numbers: Sequence[int]) -> dict[str, Ids]:
        """Return inputs of one shape as one batch, `int64[row, ...]` by input name."""
        return {name: np.concatenate([self.inputs[i][name] for i in numbers]) for name in self.inputs[numbers[0]]}

    def batches(self, numbers: Sequence[int], size: int) -> list[list[int]]:
        """Share numbers of inputs out to batches of one shape, each of at most `size`, in the order of the first of each shape."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for i in numbers:
            by_shape.setdefault(self.inputs[i]["input_ids"].shape, []).append(i)
        return [alike[start : start + size] for alike in by_shape.values() for start in range(0, len(alike), size)]

    def part(self, count: int) -> tuple[int, ...]:
        """Number a part of the inputs: the edges, some random ones, and texts spread over all; every input if there are no more."""
        if count >= len(self.names):
            return tuple(range(len(self.names)))
        edges = [i for i, name in enumerate(self.names) if name in EDGES]
        random = [i for i, name in enumerate(self.names) if name.startswith("random")]
        texts = [i for i, name in enumerate(self.names) if i not in {*edges, *random}]
        some = random[: max(1, (count - len(edges)) // RANDOM)]
        some += (texts[i] for i in spread(range(len(texts)), max(0, min(len(texts), count - len(edges) - len(some)))))
        return tuple(sorted({*edges, *some}))

    def of(self, numbers: Sequence[int]) -> "Samples":
        """Return samples of some of the inputs."""
        return Samples(tuple(self.names[i] for i in numbers), tuple(self.inputs[i] for i in numbers))


def parity_samples(
    task: Task, tokenizer: Tokenizer, config: FNetConfig, texts: Sequence[str], *, padding: Padding, choices: int
) -> Samples:
    """Encode texts and the edges (no text, one token, the longest text, padding alone, highest ids), and draw random ids.

    Where texts keep their own length, the ids that no text has are of several lengths: 1, 2, 3, a prime and the longest. An empty
    text is left out there if the tokenizer makes no token of it.
    """
    longest = max(texts, key=len) or "a"
    while len(tokenizer.tokens(longest, limit=padding.length)) < padding.length:
        longest += "\n\n" + longest
    edges = dict(zip(EDGES, ("", "a", longest), strict=False))
    if padding.contract == NONE and not tokenizer.added(pair=False):
        del edges["empty text"]
    named = [*((f"text {i}", text) for i, text in enumerate(texts)), *edges.items()]
    inputs = {name: _input_from_text(task, tokenizer, text, padding=padding, choices=choices) for name, text in named}
    count = choices if CHOICES in task.input_axes else 1
    prime = padding.padded(_largest_prime(padding.length))
    constant = {  # ids, types, mask
        "all padding": (config.pad_token_id, 0, 0),
        "highest ids": (config.vocab_size - 1, config.type_vocab_size - 1, 1),
    }
    for name, values in constant.items():
        inputs[name] = _input(task, [np.full((count, prime), value) for value in values])
    draw = np.random.default_rng(0)
    for i in range(RANDOM):
        length = padding.padded(i + 1 if i < SHORT else padding.length)
        ids, types = (draw.integers(high, size=(count, length)) for high in (config.vocab_size, config.type_vocab_size))
        inputs[f"random {i}"] = _input(task, [ids, types, np.ones_like(ids)])
    return Samples(tuple(inputs), tuple(inputs.values()))


def samples_from_texts(task: Task, tokenizer: Tokenizer, texts: Sequence[str], *, padding: Padding, choices: int) -> Samples:
    """Encode texts; of paired tasks the first is what stands before an empty line, the second what follows."""
    inputs = tuple(_input_from_text(task, tokenizer, text, padding=padding, choices=choices) for text in texts)
    return Samples(tuple(f"text {i}" for i in range(len(texts))), inputs)


def spread(texts: Sequence[T], count: int) -> list[T]:
    """Choose so many of them, evenly."""
    return [texts[i * len(texts) // count] for i in range(count)]


def rows_from_text(task: Task, tokenizer: Tokenizer, text: str, *, padding: Padding, choices: int) -> list[dict[str, Ids]]:
    """Make the inputs of a text as a bundle runs them: choices of different lengths are inputs of their own."""
    encodings = _encodings(task, tokenizer, text, padding=padding, choices=choices)
    alike = len({len(encoding.input_ids) for encoding in encodings}) == 1
    return [_input_from_encodings(task, tokenizer, group) for group in ([encodings] if alike else [[each] for each in encodings])]


def _input_from_text(task: Task, tokenizer: Tokenizer, text: str, *, padding: Padding, choices: int) -> dict[str, Ids]:
    """Make the input of a text. All choices of one input have the same length."""
    encodings = _encodings(task, tokenizer, text, padding=padding, choices=choices)
    shortest = min(len(encoding.input_ids) for encoding in encodings)
    if any(len(encoding.input_ids) != shortest for encoding in encodings):
        encodings = _encodings(task, tokenizer, text, padding=Padding(shortest), choices=choices)
    return _input_from_encodings(task, tokenizer, encodings)


def _encodings(task: Task, tokenizer: Tokenizer, text: str, *, padding: Padding, choices: int) -> list[Encoding]:
    """Encode a text, or each of its choices."""
    parts: list[tuple[str, str | None]] = [(text, None)]
    if task.paired:
        subject, _, body = text.partition("\n\n")
        count = choices if CHOICES in task.input_axes else 1
        parts = [(subject, body[len(body) * choice // choices :] if count > 1 else body) for choice in range(count)]
    return [tokenizer.encode(*pair, padding=padding) for pair in parts]


def _input_from_encodings(task: Task, tokenizer: Tokenizer, encodings: Sequence[Encoding]) -> dict[str, Ids]:
    """Make one input; some tokens of a masked-lm's are [MASK]."""
    arrays = [np.stack([getattr(encoding, name) for encoding in encodings]) for name in (*INPUT_NAMES, ATTENTION_MASK)]
    if task.name in ("masked-lm", "pretraining"):
        ids = arrays[0]
        ids[:, 1::MASKED_EVERY] = np.where(ids[:, 1::MASKED_EVERY] > tokenizer.mask_id, tokenizer.mask_id, ids[:, 1::MASKED_EVERY])
    return _input(task, arrays)


def _input(task: Task, arrays: Sequence[Ids]) -> dict[str, Ids]:
    """Name ids, types and mask, `int64[choice, token]`, as the task does, with a batch axis of 1."""
    names = [name for name in task.inputs if name != POSITIONS]
    made = {name: array[None] if CHOICES in task.input_axes else array for name, array in zip(names, arrays, strict=False)}
    if task.predict_positions is not None:  # from the first token to the last
        places = np.linspace(0, arrays[0].shape[-1] - 1, task.predict_positions).astype(np.int64)
        made[POSITIONS] = places[None]
    return made


def _largest_prime(most: int) -> int:
    """Return the largest prime number up to `most`, or 1 if `most` is 1."""
    primes = (n for n in range(most, 1, -1) if all(n % divisor for divisor in range(2, math.isqrt(n) + 1)))
    return next(primes, 1)
