"""What parity feeds a model: real texts, the edges of what it takes, and random ids, through the runtime's own tokenizer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from fnet_runtime.sessions.session import Ids
from fnet_runtime.tokenizer.encoding import Encoding
from fnet_runtime.tokenizer.tokenizer import Tokenizer

from fnet_core.config import FNetConfig
from fnet_core.tasks import CHOICES, POSITIONS, Task

T = TypeVar("T")
RANDOM = 8
"""Inputs of random ids, the same ones every time."""
EDGES = ("empty text", "one token", "longest text", "all padding", "highest ids")
MASKED_EVERY = 7
"""In masked-language-model inputs, every so many tokens are a [MASK]."""
CHOICES_COUNT = 4
"""Choices of a multiple-choice input."""
GOLDEN_ROWS = ("text 0", "empty text", "highest ids", "random 0")


@dataclass(frozen=True, eq=False)
class Samples:
    """Named model inputs: `int64[row, ...]` by input name."""

    names: tuple[str, ...]
    inputs: Mapping[str, Ids]

    def rows(self, start: int, stop: int) -> dict[str, Ids]:
        """Return some of the rows."""
        return {name: array[start:stop] for name, array in self.inputs.items()}

    def part(self, count: int) -> tuple[int, ...]:
        """Number a part of the rows: the edges, some random ones, and texts spread over all; every row where there are no more."""
        if count >= len(self.names):
            return tuple(range(len(self.names)))
        edges = [i for i, name in enumerate(self.names) if name in EDGES]
        random = [i for i, name in enumerate(self.names) if name.startswith("random")]
        texts = [i for i, name in enumerate(self.names) if i not in {*edges, *random}]
        some = random[: max(1, (count - len(edges)) // RANDOM)]
        some += (texts[i] for i in spread(range(len(texts)), max(0, min(len(texts), count - len(edges) - len(some)))))
        return tuple(sorted({*edges, *some}))

    def of(self, rows: Sequence[int]) -> "Samples":
        """Return samples of some of the rows."""
        return Samples(tuple(self.names[i] for i in rows), {name: array[list(rows)] for name, array in self.inputs.items()})

    def named(self, names: Sequence[str]) -> dict[str, Ids]:
        """Return the rows of these names."""
        indices = [self.names.index(name) for name in names]
        return {name: array[indices] for name, array in self.inputs.items()}


def parity_samples(
    task: Task, tokenizer: Tokenizer, config: FNetConfig, texts: Sequence[str], *, sequence_length: int, choices: int
) -> Samples:
    """Encode texts and the edges (no text, one token, the longest text, padding alone, highest ids), and draw random ids."""
    longest = max(texts, key=len) or "a"
    while len(tokenizer.tokens(longest, limit=sequence_length)) < sequence_length:
        longest += "\n\n" + longest
    edges = dict(zip(EDGES, ("", "a", longest), strict=False))
    named = [*((f"text {i}", text) for i, text in enumerate(texts)), *edges.items()]
    rows = _encoded_rows(task, tokenizer, named, sequence_length=sequence_length, choices=choices)
    names = _token_inputs(task)
    shape = next(iter(rows.values()))["input_ids"].shape
    constant = {  # ids, types, mask
        "all padding": (config.pad_token_id, 0, 0),
        "highest ids": (config.vocab_size - 1, config.type_vocab_size - 1, 1),
    }
    rows |= {name: {key: np.full(shape, n) for key, n in zip(names, values, strict=False)} for name, values in constant.items()}
    draw = np.random.default_rng(0)
    for i in range(RANDOM):
        ids, types = draw.integers(config.vocab_size, size=shape), draw.integers(config.type_vocab_size, size=shape)
        drawn = (ids, types, np.ones(shape, np.int64))
        rows[f"random {i}"] = dict(zip(names, drawn, strict=False))
    return _samples(task, rows, sequence_length)


def samples_from_texts(task: Task, tokenizer: Tokenizer, texts: Sequence[str], *, sequence_length: int, choices: int) -> Samples:
    """Encode texts; of paired tasks the first is what stands before an empty line, the second what follows."""
    named = [(f"text {i}", text) for i, text in enumerate(texts)]
    rows = _encoded_rows(task, tokenizer, named, sequence_length=sequence_length, choices=choices)
    return _samples(task, rows, sequence_length)


def spread(texts: Sequence[T], count: int) -> list[T]:
    """Choose so many of them, evenly."""
    return [texts[i * len(texts) // count] for i in range(count)]


def _token_inputs(task: Task) -> list[str]:
    """INPUT_NAMES, and the mask where there is attention."""
    return [name for name in task.inputs if name != POSITIONS]


def _encoded_rows(
    task: Task, tokenizer: Tokenizer, named: Sequence[tuple[str, str]], *, sequence_length: int, choices: int
) -> dict[str, dict[str, Ids]]:
    """Inputs of each text, `int64[choice, sequence]` by name; some tokens of a masked-lm's are [MASK]."""

    def encoded(text: str, choice: int) -> Encoding:
        if not task.paired:
            return tokenizer.encode(text, length=sequence_length)
        subject, _, body = text.partition("\n\n")
        part = body[len(body) * choice // choices :] if CHOICES in task.input_axes else body
        return tokenizer.encode(subject, part, length=sequence_length)

    count = choices if CHOICES in task.input_axes else 1
    names = _token_inputs(task)
    rows: dict[str, dict[str, Ids]] = {}
    for name, text in named:
        row = [encoded(text, choice) for choice in range(count)]
        rows[name] = {key: np.stack([getattr(encoding, key) for encoding in row]) for key in names}
        if task.name in ("masked-lm", "pretraining"):
            ids = rows[name]["input_ids"]
            ids[:, 1::MASKED_EVERY] = np.where(
                ids[:, 1::MASKED_EVERY] > tokenizer.mask_id, tokenizer.mask_id, ids[:, 1::MASKED_EVERY]
            )
    return rows


def _samples(task: Task, rows: Mapping[str, Mapping[str, Ids]], sequence_length: int) -> Samples:
    arrays = {key: np.stack([row[key] for row in rows.values()]) for key in _token_inputs(task)}
    arrays = {key: array if CHOICES in task.input_axes else array[:, 0] for key, array in arrays.items()}
    if task.predict_positions is not None:  # from the first token to the last
        places = np.linspace(0, sequence_length - 1, task.predict_positions).astype(np.int64)
        arrays[POSITIONS] = np.tile(places, (len(rows), 1))
    return Samples(tuple(rows), arrays)
