"""The shipped model: what it carries, how big it is, and that it still filters."""

import json

import pytest
import torch
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer
from support.paths import ROOT

from fnet_core.checkpoint.model import model_from_checkpoint
from fnet_core.checkpoint.open import BUILT_IN, checkpoint_from_name
from fnet_core.tasks import TASKS
from fnet_export.texts.emails import EMAILS

MAILS = ROOT / "examples" / "emails"


@pytest.fixture(scope="module")
def answered():
    """A function from texts to labels and their scores."""
    checkpoint = checkpoint_from_name(None)
    model = model_from_checkpoint(checkpoint, TASKS["sequence-classification"])
    tokenizer = Tokenizer.from_file(checkpoint.folder / "spiece.model")

    def answers(texts):
        found = []
        for text in texts:
            encoding = tokenizer.encode(text, padding=Padding(model.sequence_length))
            with torch.inference_mode():
                (logits,) = model(torch.from_numpy(encoding.input_ids)[None], torch.from_numpy(encoding.token_type_ids)[None])
            found.append((checkpoint.config.labels[int(logits.argmax())], float(logits.softmax(-1).max())))
        return found

    return answers


def test_what_it_carries():
    checkpoint = checkpoint_from_name(None)
    assert {"masked-lm", "next-sentence-prediction", "sequence-classification"} <= set(checkpoint.tasks)
    assert (checkpoint.config.labels, checkpoint.config.max_position_embeddings) == (("ham", "spam"), 512)
    assert sorted(path.name for path in BUILT_IN.iterdir()) == ["README.md", "config.json", "model.safetensors", "spiece.model"]
    assert sum(path.stat().st_size for path in BUILT_IN.iterdir()) <= 8_000_000


def test_special_tokens_stand_at_fnets_ids():
    tokenizer = Tokenizer.from_file(BUILT_IN / "spiece.model")
    assert (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id) == (3, 4, 5, 6)


def test_it_filters_the_held_out_samples(answered):
    messages = [json.loads(line) for line in EMAILS.read_text("utf-8").splitlines()]
    assert len(messages) == 200
    assert all(len(message["text"]) <= 4000 for message in messages)
    found = [label for label, _ in answered([message["text"] for message in messages])]
    right = sum(label == message["label"] for label, message in zip(found, messages, strict=True))
    assert right >= 188  # half of them spam, which is harder than the test split of the model card


@pytest.mark.parametrize("name", ["ham", "spam"])
def test_the_demo_mails(answered, name):
    """The README shows these answers."""
    ((label, score),) = answered([(MAILS / f"{name}.txt").read_text("utf-8")])
    assert label == name
    assert f"\n{name:7} {score:.4f}\n" in (ROOT / "README.md").read_text("utf-8")
