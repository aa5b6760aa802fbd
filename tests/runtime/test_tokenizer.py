import json
from pathlib import Path

import pytest
from fnet_runtime.errors import BundleError, InputError
from fnet_runtime.tokenizer import Tokenizer, TokenizerOptions, truncated_lengths
from hypothesis import given
from hypothesis import strategies as st

GOLDEN = Path(__file__).parents[1] / "golden"
BPE = Tokenizer.from_file(GOLDEN / "bpe.model")


def test_ids_and_types_are_those_of_transformers_4_57():
    golden = json.loads((GOLDEN / "tokenizer.json").read_text())
    tokenizers, different = {}, []
    for kind, options, texts, ids, types in golden["cases"]:
        key = (kind, *options)
        if key not in tokenizers:
            tokenizers[key] = Tokenizer.from_file(GOLDEN / f"{kind}.model", TokenizerOptions(**options))
        encoded = tokenizers[key].encode(*texts, length=golden["length"])
        if (encoded.input_ids.tolist(), encoded.token_type_ids.tolist()) != (ids, types):
            different.append((key, texts))
    assert len(golden["cases"]) == 2400
    assert different == []


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_spans_are_in_order_and_inside_the_text(text):
    end = 0
    for token in BPE.tokens(text):
        assert end <= token.span[0] <= token.span[1] <= len(text)
        end = token.span[0]


def test_spans_point_at_the_text():
    text = "  10,000 [MASK]  ``fox''"
    tokens = BPE.tokens(text)
    assert [text[t.span[0] : t.span[1]] for t in tokens if t.id == BPE.mask_id] == ["[MASK]"]
    assert tokens[-1].span == (22, 24)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 60))
def test_truncation_fills_the_room(first, second, room):
    kept = truncated_lengths(first, second, room)
    assert sum(kept) == min(first + second, room)
    assert 0 <= kept[0] <= first
    assert 0 <= kept[1] <= second


def test_long_and_empty_texts():
    assert BPE.encode("fox " * 250_000, length=512).input_ids.shape == (512,)
    assert BPE.encode("", length=4).input_ids.tolist() == [4, 5, 3, 3]
    assert BPE.encode("", "", length=4).input_ids.tolist() == [4, 5, 5, 3]


def test_decode():
    assert BPE.decode(BPE.encode("the quick fox", length=32).input_ids.tolist()) == "the quick fox"
    with pytest.raises(InputError, match="outside the vocabulary"):
        BPE.decode([10**6])


def test_bad_texts_and_models(tmp_path):
    with pytest.raises(InputError, match="expected a text"):
        BPE.tokens(b"bytes")
    with pytest.raises(InputError, match="lone surrogate at character 1"):
        BPE.tokens("a\udc80")
    with pytest.raises(InputError, match="too short"):
        BPE.encode("a", length=1)
    with pytest.raises(BundleError, match="cannot be read"):
        Tokenizer.from_file(tmp_path / "spiece.model")
    for model in (b"", b"no model at all"):
        with pytest.raises(BundleError, match="not a SentencePiece model"):
            Tokenizer(model)
