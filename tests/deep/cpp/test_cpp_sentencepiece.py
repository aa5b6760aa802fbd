"""The C++ runtime's `sentencepiece` and `fnet-slow` against the Python one, on the same texts."""

import json
import random

import pytest
from fnet_runtime.errors import BundleError
from fnet_runtime.tokenizer.encoding import Padding
from fnet_runtime.tokenizer.tokenizer import Tokenizer, TokenizerOptions
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from support.fuzz_texts import RULED, hard_texts, long_texts, random_texts, ruled_texts
from support.paths import GOLDEN
from support.trained_models import MORE, TRAINED, trained

RAW = TokenizerOptions(flavour="sentencepiece")
SLOW = {
    "plain": TokenizerOptions(),
    "lower, no accents": TokenizerOptions(do_lower_case=True, keep_accents=False),
    "spaces kept": TokenizerOptions(do_lower_case=True, remove_space=False),
}


@pytest.fixture
def different(built, tmp_path):
    """The texts and pairs that the two runtimes encode differently, or decode differently again."""

    def compared(model, options, texts):
        path = tmp_path / "spiece.model"
        path.write_bytes(model)
        tokenizer = Tokenizer.from_file(path, options)
        requests = [(texts[i : i + 1 + i % 2], 9 + i % 40) for i in range(len(texts) - 1)]
        bits = [str(int(bit)) for bit in (options.do_lower_case, options.keep_accents, options.remove_space)]
        lines = "".join(json.dumps({"texts": texts, "length": length}) + "\n" for texts, length in requests)
        done = built.run(path, options.flavour, *bits, program="tests/fnet_tokens", input=lines, text=True)
        assert done.returncode == 0, done.stderr
        answers = map(json.loads, done.stdout.split("\n")[:-1])
        return [
            texts for (texts, length), answer in zip(requests, answers, strict=True) if answer != encoded(tokenizer, texts, length)
        ]

    return compared


def very_long_texts():
    """Of thousands of characters, of which few are read for 48 tokens."""
    long, draw = long_texts(600), random.Random("very long")
    return [
        "".join(draw.choice(long[i % 6 :: 6] if i % 12 < 6 else long) for _ in range(draw.randrange(1, 40))) for i in range(120)
    ]


def encoded(tokenizer, texts, length):
    found = tokenizer.assembled(*map(tokenizer.tokens, texts), padding=Padding(length))
    ids = found.input_ids.tolist()
    spans = [place for span in found.spans for place in span]
    return [ids, found.token_type_ids.tolist(), list(found.segments), spans, tokenizer.decode(ids)]


@pytest.mark.parametrize("options", [RAW, *SLOW.values()], ids=["raw", *SLOW])
@pytest.mark.parametrize("name", ["bpe", "unigram", "user"])
def test_20_000_random_texts_and_5_000_of_the_rules(different, name, options):
    model = (GOLDEN / f"{name}.model").read_bytes()
    assert different(model, options, [*random_texts(20_000), *ruled_texts(5_000)]) == []


@pytest.mark.parametrize("options", [RAW, SLOW["lower, no accents"]], ids=["raw", "slow"])
@pytest.mark.parametrize("name", TRAINED)
def test_5_000_texts_of_every_kind_of_model(different, name, options):
    assert different(trained(name), options, [*ruled_texts(5_000), *hard_texts(1_000), *random_texts(1_000)]) == []


@pytest.mark.parametrize("options", [RAW, SLOW["lower, no accents"]], ids=["raw", "slow"])
@pytest.mark.parametrize("name", TRAINED | MORE)
def test_long_texts_are_cut_before_they_are_tokenised(different, name, options):
    assert different(trained(name), options, very_long_texts()) == []


@pytest.mark.parametrize("name", ["unigram with symbols", "unigram with bytes", "bpe with symbols"])
def test_texts_so_long_that_sums_of_scores_lose_digits(different, name):
    draw = random.Random(name)
    long = ["".join(draw.choice([*RULED, "the quick ", "日本", "q"]) for _ in range(30_000)), "日" * 30_000 + "0000" * 5_000]
    assert different(trained(name), RAW, long) == []


def altered(name, **changes):
    """A model with other fields of its parts, or of its piece of a text."""
    model = ModelProto.FromString((GOLDEN / f"{name}.model").read_bytes())
    for part, fields in changes.items():
        target = next(p for p in model.pieces if p.piece == part) if part == "a" else getattr(model, part)
        for field, value in fields.items():
            setattr(target, field, value)
    return model.SerializeToString()


CHARSMAP = ModelProto.FromString((GOLDEN / "bpe.model").read_bytes()).normalizer_spec.precompiled_charsmap


@pytest.mark.parametrize("name", ["unigram", "bpe"])
@pytest.mark.parametrize(
    "changes",
    [
        {"a": {"piece": "\0"}},
        {"a": {"piece": "b\0a"}},
        {"a": {"piece": ""}},
        {"a": {"piece": "b"}},
        {"a": {"piece": "a" * 8000}},
        {"a": {"type": 2}},
        {"a": {"type": 6}},
        {"trainer_spec": {"byte_fallback": True}},
        *({"normalizer_spec": {"precompiled_charsmap": CHARSMAP[:size]}} for size in (1, 1000, 1028, -1)),
        {"normalizer_spec": {"precompiled_charsmap": CHARSMAP[:4] + b"\xff" * 1024 + CHARSMAP[1028:]}},
        {"normalizer_spec": {"precompiled_charsmap": b"\x08" + bytes(40)}},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_damaged_model_is_refused_as_python_refuses_it(built, tmp_path, name, changes):
    path = tmp_path / "spiece.model"
    path.write_bytes(altered(name, **changes))
    with pytest.raises(BundleError):
        Tokenizer.from_file(path, RAW)
    done = built.run(path, "sentencepiece", "0", "1", "1", program="tests/fnet_tokens", text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{path}: not a SentencePiece model (")


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("bpe", {"a": {"type": 3}}, 'the piece "a" is of a type that no text has, but a text can be cut into it'),
        ("bpe", {"a": {"type": 5}}, 'the piece "a" is of a type that no text has, but a text can be cut into it'),
        ("unigram", {"a": {"piece": "[CLS]"}}, "[CLS] is already defined."),
    ],
)
def test_what_python_reads_and_debians_library_reads_otherwise_is_refused(built, tmp_path, name, changes, reason):
    path = tmp_path / "spiece.model"
    path.write_bytes(altered(name, **changes))
    Tokenizer.from_file(path, RAW)
    done = built.run(path, "sentencepiece", "0", "1", "1", program="tests/fnet_tokens", text=True)
    assert done.returncode == 1
    assert done.stderr == f"{path}: not a SentencePiece model ({reason}); expected the checkpoint's spiece.model\n"


@pytest.mark.parametrize("name", ["unigram", "bpe"])
def test_altered_models_that_both_read(different, name):
    texts = ruled_texts(2_000)
    self_test = b"\x22\x08\x0a\x06\x0a\x01x\x12\x01y"  # self_test_data, of a sample `x` that should become `y`
    assert different(altered(name) + self_test, RAW, texts) == []
    assert different(altered(name, normalizer_spec={"escape_whitespaces": False}), RAW, texts) == []
    assert different(altered(name, normalizer_spec={"precompiled_charsmap": b""}), RAW, texts) == []
    if name == "unigram":
        for kind in (3, 5):
            assert different(altered(name, a={"type": kind}), RAW, texts) == []
