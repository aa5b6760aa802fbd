"""What the fuzzers start from: the files of a test bundle, cut small."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fnet_runtime.bundle.manifest import GOLDEN, MANIFEST
from support.golden_tokenizer import pipeline

FLAVOURS = ("fnet-fast", "fnet-v5")
"""By the byte that fuzz_tokenizer takes first."""
CHARSMAP = "CAAAAEEFAAD/////QQA="
"""Eight bytes of units, two of text."""


def seeds_from_bundle(bundle: Path) -> dict[str, list[bytes]]:
    """Return the seeds of each fuzz target."""
    tokenizers = [
        bytes([i]) + _small(pipeline(model, flavour)) for i, flavour in enumerate(FLAVOURS) for model in ("bpe", "unigram")
    ]
    return {
        "fuzz_manifest": [(bundle / MANIFEST).read_bytes()],
        "fuzz_safetensors": [(bundle / GOLDEN).read_bytes()],
        "fuzz_tokenizer": tokenizers,
    }


def words_from_seeds(target: str, seeds: list[bytes]) -> str:
    """Return a libFuzzer dictionary of the strings that the seeds' JSON holds."""
    words: set[str] = set()
    for seed in seeds:
        words |= set(_strings(json.loads(_json(target, seed))))
    return "".join(f'"{_escaped(json.dumps(word).encode())}"\n' for word in sorted(words) if len(word) < 40)


def _json(target: str, seed: bytes) -> bytes:
    if target == "fuzz_safetensors":
        return seed[8 : 8 + struct.unpack_from("<Q", seed)[0]]
    return seed[1:] if target == "fuzz_tokenizer" else seed


def _escaped(data: bytes) -> str:
    return "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in data)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)


def _small(data: bytes) -> bytes:
    """A tokenizer.json with its special tokens and a few pieces."""
    values = json.loads(data)
    special = {token["content"] for token in values["added_tokens"]} | {"<unk>", "<pad>", "[CLS]", "[SEP]", "[MASK]"}
    vocab = values["model"]["vocab"]
    if isinstance(vocab, list):
        values["model"]["vocab"] = [row for row in vocab if row[0] in special or len(row[0]) == 1][:40]
        values["model"]["unk_id"] = [row[0] for row in values["model"]["vocab"]].index("<unk>")
    else:
        kept = [piece for piece in vocab if piece in special or len(piece) == 1][:40]
        values["model"]["vocab"] = {piece: vocab[piece] for piece in kept}
        values["model"]["merges"] = []
    for step in values["normalizer"]["normalizers"]:
        if step["type"] == "Precompiled":
            step["precompiled_charsmap"] = CHARSMAP
    return json.dumps(values).encode()
