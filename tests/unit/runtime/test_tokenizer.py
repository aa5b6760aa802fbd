import pytest
import sentencepiece
from fnet_runtime.errors import BundleError, InputError, SessionError
from fnet_runtime.tokenizer.encoding import Padding, truncated_lengths
from fnet_runtime.tokenizer.sentencepiece_backend import SentencePieceBackend
from fnet_runtime.tokenizer.tokenizer import FLAVOURS, Tokenizer, TokenizerOptions
from fnet_runtime.tokenizer.tokenizers_backend import TokenizersBackend
from hypothesis import given
from hypothesis import strategies as st
from support.fuzz_texts import random_texts
from support.golden_tokenizer import COLUMNS, GOLDEN, LINES, opened, pipeline

BPE = Tokenizer.from_file(GOLDEN / "bpe.model")
EVERY = {flavour: opened(next(c for c in COLUMNS if c["flavour"] == flavour)) for flavour in FLAVOURS}


@pytest.mark.parametrize("index", range(len(COLUMNS)), ids=lambda i: f"{i}-{COLUMNS[i]['model']}-{COLUMNS[i]['flavour']}")
def test_ids_types_masks_and_spans_are_those_of_the_oracle(index):
    tokenizer, tried, different = opened(COLUMNS[index]), 0, []
    for line in LINES:
        wanted = line.column(index)
        if wanted is None:
            continue
        tried += 1
        found = tokenizer.encode(*line.texts, padding=Padding(line.length))
        arrays = (found.input_ids, found.token_type_ids, found.special_tokens_mask)
        if (*(a.tolist() for a in arrays), list(found.spans)) != wanted:
            different.append(line.texts)
        if line.decoded is not None and tokenizer.decode(found.input_ids.tolist()) != line.decoded[index]:
            different.append(["decoded", *line.texts])
    assert different == []
    assert tried > 500


def test_the_golden_file_is_whole():
    assert len(LINES) > 5000
    assert sum(len(line.texts) == 2 for line in LINES) == 700
    assert {column["flavour"] for column in COLUMNS} == set(FLAVOURS)
    assert all(line.column(index) is not None for line in LINES for index in range(8))


@pytest.mark.parametrize("model", ["bpe", "unigram"])
def test_20_000_random_texts_are_cut_as_sentencepiece_cuts_them(model):
    path = GOLDEN / f"{model}.model"
    tokenizer = Tokenizer.from_file(path, TokenizerOptions(flavour="sentencepiece"))
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(path))
    for text in random_texts(20_000):
        found = tokenizer.tokens(text)
        assert [token.id for token in found] == oracle.EncodeAsIds(text), text
        assert [token.span for token in found] == _offsets(oracle, text), text


def _offsets(oracle, text):
    return oracle.encode(text, return_type="offset_mapping")["offsets"]


@pytest.mark.parametrize("flavour", FLAVOURS)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_spans_are_in_order_and_inside_the_text(flavour, text):
    start = 0
    for token in EVERY[flavour].tokens(text):
        assert start <= token.span[0] <= token.span[1] <= len(text)
        start = token.span[0]


def test_spans_point_at_the_text():
    text = "  10,000 [MASK]  ``fox''"
    tokens = BPE.tokens(text)
    assert [text[t.span[0] : t.span[1]] for t in tokens if t.id == BPE.mask_id] == ["[MASK]"]
    assert tokens[-1].span == (22, 24)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 60), st.booleans())
def test_truncation_fills_the_room(first, second, room, odd_to_longer):
    kept = truncated_lengths(first, second, room, odd_to_longer=odd_to_longer)
    assert sum(kept) == min(first + second, room)
    assert 0 <= kept[0] <= first
    assert 0 <= kept[1] <= second


def test_truncation_of_pairs_by_flavour():
    kept = {flavour: EVERY[flavour].encode("fox " * 9, "dog " * 9, padding=Padding(12)).segments for flavour in FLAVOURS}
    counts = {flavour: (segments.count(0), segments.count(1)) for flavour, segments in kept.items()}
    longest_first = {"sentencepiece": (5, 4), "fnet-slow": (5, 4), "fnet-fast": (4, 5), "fnet-v5": (6, 6)}
    assert counts == longest_first | {"f_net": (9, 1)}


def test_f_net_cuts_what_is_too_long_at_its_end():
    f_net = EVERY["f_net"]
    whole = f_net.encode("fox " * 9, "dog " * 9, padding=Padding(21))
    assert whole.input_ids.tolist() == EVERY["sentencepiece"].encode("fox " * 9, "dog " * 9, padding=Padding(21)).input_ids.tolist()
    for length in range(3, 21):
        cut = f_net.encode("fox " * 9, "dog " * 9, padding=Padding(length))
        assert cut.input_ids.tolist() == whole.input_ids.tolist()[:length]
        assert cut.token_type_ids.tolist() == whole.token_type_ids.tolist()[:length]
        assert (cut.spans, cut.segments) == (whole.spans[:length], whole.segments[:length])
        assert cut.attention_mask.tolist() == [1] * length
    alone = f_net.encode("fox " * 9, padding=Padding(10))
    assert alone.segments == (-1, *[0] * 9)  # [CLS], and no [SEP]


def test_long_and_empty_texts():
    assert BPE.encode("fox " * 250_000, padding=Padding(512)).input_ids.shape == (512,)
    assert BPE.encode("", padding=Padding(4)).input_ids.tolist() == [4, 5, 3, 3]
    assert BPE.encode("", "", padding=Padding(4)).input_ids.tolist() == [4, 5, 5, 3]
    assert BPE.encode("", padding=Padding(3)).special_tokens_mask.tolist() == [1, 1, 1]
    assert EVERY["fnet-v5"].encode("", "", padding=Padding(2)).input_ids.tolist() == [3, 3]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_decode(flavour):
    tokenizer = EVERY[flavour]
    assert tokenizer.decode(tokenizer.encode("the quick fox", padding=Padding(32)).input_ids.tolist()) == "the quick fox"
    with pytest.raises(InputError, match="outside the vocabulary"):
        tokenizer.decode([10**6])


def test_bad_texts_and_models(tmp_path):
    with pytest.raises(InputError, match="expected a text"):
        BPE.tokens(b"bytes")
    with pytest.raises(InputError, match="lone surrogate at character 1"):
        BPE.tokens("a\udc80")
    with pytest.raises(InputError, match=r"length 1 is too short: \[CLS\] and \[SEP\] alone take 2"):
        BPE.encode("a", padding=Padding(1))
    with pytest.raises(BundleError, match="cannot be read"):
        Tokenizer.from_file(tmp_path / "spiece.model")
    for model in (b"", b"no model at all"):
        with pytest.raises(BundleError, match="not a SentencePiece model"):
            Tokenizer(model)


def test_bad_options():
    with pytest.raises(InputError, match="unknown tokenizer flavour 'fast'; expected one of f_net, sentencepiece, fnet-slow"):
        TokenizerOptions(flavour="fast")
    with pytest.raises(InputError, match="fnet-fast has no such choice; expected false, true, true"):
        TokenizerOptions(flavour="fnet-fast", do_lower_case=True)


def test_bad_pipelines():
    fast, v5 = pipeline("bpe", "fnet-fast"), pipeline("bpe", "fnet-v5")
    with pytest.raises(BundleError, match="x.json: expected the pipeline of fnet-fast, found fnet-v5"):
        TokenizersBackend(v5, "fnet-fast", name="x.json")
    altered = fast.replace(b'"prepend_scheme": "always"', b'"prepend_scheme": "never"')
    with pytest.raises(BundleError, match="found one that no FNet tokenizer writes"):
        TokenizersBackend(altered, "fnet-fast", name="x.json")
    for data in (b"", b"{}", b"\xff", b"[" * 100_000):
        with pytest.raises(BundleError, match="x.json: not a tokenizer.json"):
            TokenizersBackend(data, "fnet-fast", name="x.json")
    with pytest.raises(BundleError, match="x.json: the vocabulary has no token .MASK."):
        TokenizersBackend(v5.replace(b"[MASK]", b"[OTHER]"), "fnet-v5", name="x.json")


def test_without_the_tokenizers_library():
    def importer(name):
        raise ModuleNotFoundError(name)

    with pytest.raises(SessionError, match=r"x.json: needs the library tokenizers.*pip install 'tokenizers>=0\.22'$"):
        TokenizersBackend(pipeline("bpe", "fnet-fast"), "fnet-fast", name="x.json", importer=importer)


def test_a_model_without_special_tokens(tmp_path):
    model = tmp_path / "m.model"
    with model.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a b c"] * 9), model_writer=file, vocab_size=20, hard_vocab_limit=False, minloglevel=2
        )
    with pytest.raises(BundleError, match=r"the vocabulary has no piece <pad>, \[CLS\], \[SEP\], \[MASK\]; FNet needs all of"):
        SentencePieceBackend(model.read_bytes(), None, name="m.model")
