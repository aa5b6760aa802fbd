"""Turn messages into batches of one length to train on: whole messages, excerpts of every length, and pairs of passages."""

import bisect
import random
from dataclasses import dataclass

import torch
from corpus import LABELS, Message
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from torch import Tensor

SEED = 20261124
EXCERPT_WORDS = 100
"""The longest excerpt of a message. Short excerpts are more frequent: the logarithm of the length is uniform."""
BATCH_TOKENS, FEWEST_TEXTS, MOST_TEXTS = 8_192, 16, 32
"""The size of a batch of texts to classify."""
PAIRS = 3
"""A batch has one pair of texts for so many texts to classify, if the texts have at least SHORTEST_PAIR tokens."""
SHORTEST_PAIR = 16


@dataclass(frozen=True)
class Batch:
    """Rows of one length: texts with `labels`, then pairs of texts. `follows` is 0 where the second text follows the first.

    `input_ids`, `token_type_ids` and `targets` are `int64[rows, length]`. A target is -100 where no word was masked.
    """

    input_ids: Tensor
    token_type_ids: Tensor
    targets: Tensor
    labels: Tensor
    follows: Tensor


class Batches:
    """Turn messages into batches of one length, in which some words are masked."""

    def __init__(self, tokenizer: Tokenizer, messages: list[Message], length: int) -> None:
        self.tokenizer, self.messages, self.length = tokenizer, messages, length
        self.rng = random.Random(SEED)
        self.whole = [tokenizer.ids(message.text) for message in messages]
        self.ids = sorted(self.whole, key=len)

    def of_one_epoch(self) -> list[Batch]:
        """Cut excerpts from every message, and put texts of about one length together, cut to the shortest of them."""
        rows = []
        for message, whole in zip(self.messages, self.whole, strict=True):
            label = LABELS.index(message.label)
            rows.append((self.beginning_or_other_part(whole), label))
            rows += [(self.tokenizer.ids(text)[: self.length - 2], label) for text in excerpts(message.text, self.rng)]
        self.rng.shuffle(rows)
        rows.sort(key=lambda row: len(row[0]))
        batches = []
        while rows:
            shortest = len(rows[0][0])
            count = min(MOST_TEXTS, max(FEWEST_TEXTS, BATCH_TOKENS // (shortest + 2)))
            batches.append(self.batch([(ids[:shortest], label) for ids, label in rows[:count]]))
            del rows[:count]
        self.rng.shuffle(batches)
        return batches

    def beginning_or_other_part(self, ids: list[int]) -> list[int]:
        """Cut a text that is too long to its beginning, as a filter reads it, or now and then to another part."""
        room = self.length - 2
        start = self.rng.randrange(max(1, len(ids) - room)) if self.rng.random() < 0.3 else 0
        return ids[start : start + room]

    def batch(self, texts: list[tuple[list[int], int]]) -> Batch:
        """Make one batch from ids of one length and their labels."""
        length = len(texts[0][0]) + 2
        rows = [self.row(ids) for ids, _ in texts]
        follows = [self.rng.random() < 0.5 for _ in range(len(texts) // PAIRS if length >= SHORTEST_PAIR else 0)]
        rows += [self.pair(length, true) for true in follows]
        columns = (torch.tensor([row[i] for row in rows]) for i in range(3))
        return Batch(*columns, torch.tensor([y for _, y in texts]), torch.tensor([0 if true else 1 for true in follows]))

    def pair(self, length: int, follows: bool) -> tuple[list[int], list[int], list[int]]:
        """Make a row of two halves of a passage, or of the first half and a passage of another message."""
        room = length - 3
        first = bisect.bisect_left(self.ids, room, key=len)
        passage, other = (self.passage(self.ids[self.rng.randrange(first, len(self.ids))], room) for _ in range(2))
        return self.row(passage[: room // 2], (passage if follows else other)[room // 2 :])

    def passage(self, ids: list[int], room: int) -> list[int]:
        """Cut a passage of `room` tokens."""
        start = self.rng.randrange(len(ids) - room + 1)
        return ids[start : start + room]

    def row(self, first: list[int], second: list[int] | None = None) -> tuple[list[int], list[int], list[int]]:
        """Return ids with some masked, token types, and what was masked (-100 elsewhere)."""
        t = self.tokenizer
        ids = [t.cls_id, *first, t.sep_id]
        types = [0] * len(ids)
        if second is not None:
            ids += [*second, t.sep_id]
            types += [1] * (len(second) + 1)
        targets, rate = [-100] * len(ids), self.rng.uniform(0.0, 0.3)
        for i, token in enumerate(ids):
            if token not in (t.cls_id, t.sep_id) and self.rng.random() < rate:
                targets[i], chance = token, self.rng.random()
                ids[i] = t.mask_id if chance < 0.8 else self.rng.randrange(7, t.vocab_size) if chance < 0.9 else token
        return ids, types, targets


def excerpts(text: str, rng: random.Random) -> list[str]:
    """Return a text's first words, some words from elsewhere, and a line's first words."""
    said = text.split()
    first, other, of_line = (round(EXCERPT_WORDS ** rng.random()) for _ in range(3))
    start = rng.randrange(max(1, len(said) - other + 1))
    line = rng.choice([line for line in text.split("\n") if line.strip()])
    return [" ".join(words) for words in (said[:first], said[start : start + other], line.split()[:of_line])]
