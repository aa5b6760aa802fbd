"""The shipped model: what it carries, how big it is, and that it still filters."""

import json
import random

import pytest
import torch
from fnet_runtime.tokenizer.encoding import NONE, Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from support.paths import ROOT

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import BUILT_IN, checkpoint_from_name
from fnet_core.tasks import TASKS
from fnet_export.texts.emails import EMAILS
from fnet_export.texts.tokenizer.trained_length import trained_length_from_checkpoint

MAILS = ROOT / "examples" / "emails"
EVERYDAY = ROOT / "examples" / "spam_filter" / "everyday.jsonl"


@pytest.fixture(scope="module")
def answered():
    """A function from texts to labels and their scores."""
    checkpoint = checkpoint_from_name(None)
    model = model_from_checkpoint(checkpoint, TASKS["sequence-classification"])
    tokenizer = Tokenizer.from_file(checkpoint.folder / "spiece.model")

    def answers(texts):
        found = []
        for text in texts:
            encoding = tokenizer.encode(text, padding=Padding(model.sequence_length, NONE))
            with torch.inference_mode():
                (logits,) = model(torch.from_numpy(encoding.input_ids)[None], torch.from_numpy(encoding.token_type_ids)[None])
            found.append((checkpoint.config.labels[int(logits.argmax())], float(logits.softmax(-1).max())))
        return found

    return answers


def test_what_it_carries():
    checkpoint = checkpoint_from_name(None)
    assert {"masked-lm", "next-sentence-prediction", "sequence-classification"} <= set(checkpoint.tasks)
    assert (checkpoint.config.labels, checkpoint.config.max_position_embeddings) == (("ham", "spam"), 512)
    assert trained_length_from_checkpoint(checkpoint).padding == Padding(512, NONE)
    assert sorted(path.name for path in BUILT_IN.iterdir()) == ["README.md", "config.json", "model.safetensors", "spiece.model"]
    assert sum(path.stat().st_size for path in BUILT_IN.iterdir()) <= 8_000_000


def test_special_tokens_stand_at_fnets_ids():
    tokenizer = Tokenizer.from_file(BUILT_IN / "spiece.model")
    assert (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id) == (3, 4, 5, 6)


def records_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def right_of(answered, messages):
    """Count the answers that are right."""
    found = [label for label, _ in answered([message["text"] for message in messages])]
    return sum(label == message["label"] for label, message in zip(found, messages, strict=True))


def test_it_filters_the_held_out_samples(answered):
    messages = records_of(EMAILS)
    assert len(messages) == 200
    assert all(len(message["text"]) <= 4000 for message in messages)
    assert right_of(answered, messages) >= 188  # half of them spam, which is harder than the test split of the model card


def test_it_filters_the_first_words_of_the_held_out_samples(answered):
    rng = random.Random(0)
    short = [message | {"text": " ".join(message["text"].split()[: rng.randint(10, 40)])} for message in records_of(EMAILS)]
    assert right_of(answered, short) >= 170


def test_it_filters_everyday_messages_that_were_written_before_its_training(answered):
    messages = records_of(EVERYDAY)
    assert len(messages) == 20
    assert right_of(answered, messages) >= 18


@pytest.mark.parametrize("name", ["ham", "spam"])
def test_the_demo_mails(answered, name):
    """The README shows these answers."""
    ((label, score),) = answered([(MAILS / f"{name}.txt").read_text("utf-8")])
    assert label == name
    assert f"\n{name:7} {score:.4f}\n" in (ROOT / "README.md").read_text("utf-8")
