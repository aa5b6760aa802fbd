"""Tiny models of transformers that tell three classes by the order of words, trained as people train: padded, or collated."""

import random
from functools import partial
from pathlib import Path

import torch
import transformers
from support.checkpoints import VOCABULARY

from fnet_export.texts.tokenizer.from_spiece import fast_from_spiece, proto_from_bytes

MARKERS, FILLERS = ("fox", "dog", "quick"), ["the", "lazy", "brown", "over", "jumps", "a"]
LENGTH, POSITIONS = 64, 512
SPECIAL = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "<pad>", "mask_token": "[MASK]", "unk_token": "<unk>"}
STEPS, ROWS = {True: 200, False: 400}, 32


def labelled_texts(count, seed):
    """Texts of three markers among fillers; the class is the marker that comes first."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        order = draw.sample(MARKERS, 3)
        words = [draw.choice(FILLERS) for _ in range(draw.randint(0, 5))]
        for place, marker in zip(sorted(draw.sample(range(len(words) + 3), 3)), order, strict=True):
            words.insert(place, marker)
        found.append((" ".join(words), MARKERS.index(order[0])))
    return found


def tokenizer_for(folder):
    """A fast tokenizer of transformers, as it is before training."""
    path = folder / "tokenizer.json"
    fast_from_spiece(proto_from_bytes(VOCABULARY.read_bytes(), name="spiece.model"), do_lower_case=False, keep_accents=True).save(
        str(path)
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_file=str(path), **SPECIAL)


def trained(folder: Path, *, padded: bool):
    """Train, and save with save_pretrained: every text padded to 64 tokens, or batches padded to their longest by the collator.

    Returns the model and the tokenizer. Collated batches are of texts of about one length (`group_by_length` of the Trainer).
    """
    folder.mkdir(parents=True)
    tokenizer = tokenizer_for(folder)
    tokens = partial(tokenizer, truncation=True, max_length=LENGTH)
    collate = transformers.DataCollatorWithPadding(tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.FNetConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            intermediate_size=64,
            max_position_embeddings=POSITIONS,
            type_vocab_size=2,
            num_labels=3,
            pad_token_id=tokenizer.pad_token_id,
            hidden_dropout_prob=0.0,
            initializer_range=0.3,
        )
        model = transformers.FNetForSequenceClassification(config).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        texts, draw = labelled_texts(600, 1), random.Random(0)
        texts.sort(key=lambda item: len(item[0].split()))
        for _ in range(STEPS[padded]):
            start = draw.randrange(len(texts) - ROWS)
            rows = draw.sample(texts, ROWS) if padded else texts[start : start + ROWS]
            if padded:
                batch = tokens([text for text, _ in rows], padding="max_length", return_tensors="pt")
            else:
                batch = collate([tokens(text) for text, _ in rows])
            ids, labels = batch["input_ids"], torch.tensor([label for _, label in rows])
            loss = model(input_ids=ids, token_type_ids=torch.zeros_like(ids), labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def accuracy_of_transformers(model, tokenizer, texts, **padding):
    """The share of right answers, in points, one text at a time; unpadded unless `padding` says how."""
    right = 0
    for text, label in texts:
        ids = tokenizer(text, return_tensors="pt", **padding)["input_ids"]
        with torch.no_grad():
            right += int(model(input_ids=ids, token_type_ids=torch.zeros_like(ids)).logits.argmax()) == label
    return 100 * right / len(texts)
