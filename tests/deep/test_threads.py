"""A pipeline is safe for any number of threads: on every runtime, with every tokenizer."""

import pytest
from fnet_runtime.pipeline.open import load
from fnet_runtime.tokenizer.tokenizer import Tokenizer, TokenizerOptions
from support import golden_tokenizer
from support.threads import differing

TEXTS = [f"My {i} costs {i * 7},000 euros, isn't it ``fine''? Ünïcödé 😀 " * (1 + i % 3) for i in range(40)]
FILES = {
    "sentencepiece": lambda: (golden_tokenizer.GOLDEN / "unigram.model").read_bytes(),
    "fnet-slow": lambda: (golden_tokenizer.GOLDEN / "bpe.model").read_bytes(),
    "fnet-fast": lambda: golden_tokenizer.pipeline("bpe", "fnet-fast"),
    "fnet-v5": lambda: golden_tokenizer.pipeline("unigram", "fnet-v5"),
}


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("threads", [1, None])
def test_every_runtime(openvino_bundle, runtime, threads):
    assert differing(load(openvino_bundle, runtime=runtime, threads=threads), TEXTS) == []


@pytest.mark.parametrize("flavour", FILES)
def test_every_tokenizer(flavour):
    tokenizer = Tokenizer(FILES[flavour](), TokenizerOptions(flavour=flavour))

    def cut_and_joined(text):
        tokens = tokenizer.tokens(text)
        return tokens, tokenizer.decode([token.id for token in tokens])

    assert differing(cut_and_joined, TEXTS) == []
