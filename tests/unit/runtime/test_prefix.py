"""A long text is cut before it is tokenised, and its first tokens are those of the whole."""

import random

import pytest
from fnet_runtime.errors import BundleError
from fnet_runtime.tokenizer import tokenizer as tokenizer_module
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.prefix import place_to_cut, sentencepiece_lookahead
from fnet_runtime.tokenizer.sentencepiece_backend import SentencePieceBackend
from fnet_runtime.tokenizer.tokenizer import FLAVOURS, RAW, Tokenizer, TokenizerOptions
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from support.fuzz_texts import long_texts
from support.golden_tokenizer import COLUMNS, opened
from support.trained_models import LONGEST_KEY, MORE, TRAINED, trained

from fnet_export.texts.tokenizer.from_spiece import fast_from_spiece, proto_from_bytes, v5_from_spiece

EVERY = {flavour: opened(next(c for c in COLUMNS if c["flavour"] == flavour)) for flavour in FLAVOURS}
RULES = {
    "plain": {},
    "lower, no accents": {"do_lower_case": True, "keep_accents": False},
    "spaces kept": {"do_lower_case": True, "keep_accents": False, "remove_space": False},
}
READ_WHOLE = ("char", "word")
NO_SPACES = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk"
HUGE = {"words": "the quick brown fox, 10,000 ", "one word": NO_SPACES, "no spaces": "日本語の文章です。中国", "masks": "a [MASK] "}


def golden(index):
    return lambda: opened(COLUMNS[index])


def of_spiece(name, flavour, rules):
    return lambda: Tokenizer(trained(name), TokenizerOptions(flavour=flavour, **rules))


def of_pipeline(name, flavour, lower):
    def made():
        proto = proto_from_bytes(trained(name), name=name)
        fast = flavour == "fnet-fast"
        pipeline = fast_from_spiece(proto, do_lower_case=lower, keep_accents=not lower) if fast else v5_from_spiece(proto)
        return Tokenizer(pipeline.to_str().encode(), TokenizerOptions(flavour=flavour))

    return made


CASES = {f"{i}-{column['model']}-{column['flavour']}": golden(i) for i, column in enumerate(COLUMNS)}
for model in TRAINED | MORE:
    CASES[f"{model}-raw"] = of_spiece(model, RAW, {})
    CASES |= {f"{model}-slow-{rule}": of_spiece(model, "fnet-slow", rules) for rule, rules in RULES.items()}
    if model not in READ_WHOLE:
        CASES |= {f"{model}-fast-{lower}": of_pipeline(model, "fnet-fast", lower) for lower in (False, True)}
        CASES[f"{model}-v5"] = of_pipeline(model, "fnet-v5", False)


@pytest.fixture
def small_steps(monkeypatch):
    """Texts of a hundred characters are long ones."""
    steps = {"FIRST_CHARACTERS": 24, "CHARACTERS_PER_TOKEN": 2, "GROWTH": 2, "WHOLE": 1, "LONGER": 2}
    for name, value in steps.items():
        monkeypatch.setattr(tokenizer_module, name, value)


@pytest.mark.parametrize("case", CASES)
def test_first_tokens_are_those_of_the_whole_text(small_steps, case):
    tokenizer = CASES[case]()
    draw, backend, enough, tried = random.Random(case), tokenizer._backend, 0, 0
    for text in long_texts(48):
        whole, limit = tokenizer.tokens(text), draw.randrange(1, 14)
        assert tokenizer.tokens(text, limit=limit) == whole[: limit + 1], text
        for size in (draw.randrange(len(text) + 1), len(text) // 2):
            first = backend.first_tokens(text[:size], limit + 1)
            assert first == whole[: len(first)], (text[:size], text[size:])
            enough, tried = enough + (len(first) > limit), tried + 1
    assert enough > tried / 3 or case.startswith(READ_WHOLE)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_texts_and_pairs_are_encoded_as_if_they_were_tokenised_whole(small_steps, flavour):
    tokenizer, texts, draw = EVERY[flavour], [*long_texts(60), "fox", ""], random.Random(flavour)
    for text in texts:
        for second in (None, draw.choice(texts), text, text + " fox", text[:-4]):
            parts, length = [text] if second is None else [text, second], draw.randrange(4, 40)
            whole = tokenizer.assembled(*map(tokenizer.tokens, parts), padding=Padding(length))
            found = tokenizer.encode(*parts, padding=Padding(length))
            assert (found.input_ids.tolist(), found.spans) == (whole.input_ids.tolist(), whole.spans), parts


@pytest.mark.parametrize("text", HUGE)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_of_a_huge_text_a_few_thousand_characters_are_read(monkeypatch, flavour, text):
    tokenizer, read = EVERY[flavour], []
    for name in ("tokens", "first_tokens"):
        real = getattr(tokenizer._backend, name)
        monkeypatch.setattr(tokenizer._backend, name, lambda text, *rest, real=real: read.append(len(text)) or real(text, *rest))
    huge = HUGE[text] * 100_000
    found = tokenizer.encode(huge, padding=Padding(512))
    assert found.attention_mask.all()
    assert tokenizer.encode(huge, huge[5:], padding=Padding(513 if flavour == "fnet-fast" else 512)).attention_mask.all()
    assert sum(read) < 50_000


def test_pieces_that_are_cut_again_and_charsmaps_with_long_keys():
    assert SentencePieceBackend(trained("bpe with symbols"), None, name="x").first_tokens("the fox " * 99, 9)
    proto = ModelProto.FromString(trained("bpe with symbols"))
    proto.pieces[-1].type = ModelProto.SentencePiece.UNUSED
    assert SentencePieceBackend(proto.SerializeToString(), None, name="x").first_tokens("the fox " * 99, 9) == []
    assert sentencepiece_lookahead(trained("bpe with long rules"), ["a"]) == len(LONGEST_KEY)
    assert sentencepiece_lookahead(trained("bpe with long rules"), ["é" * 20, "a"]) == 40
    assert sentencepiece_lookahead(trained("word"), ["a"]) is None
    with pytest.raises(BundleError, match="the SentencePiece model is cut off"):
        sentencepiece_lookahead(b"\x80", ["a"])


def test_a_place_to_cut():
    assert place_to_cut("the fox", ["[MASK]"], 6) == 1
    assert place_to_cut("the fox jumps", [], 1) == 12
    assert place_to_cut("fox [MASK] fox", ["[MASK]"], 6) == 3  # neither inside of the token, nor next to it, nor after a space
    assert place_to_cut("e\u0301\u0301\u0301e\u0301", [], 1) is None
    assert place_to_cut("a''''b", [], 1) == 5
    assert place_to_cut("", [], 1) is None
