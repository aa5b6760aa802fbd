"""The C++ runtime's own `fnet-fast` and `fnet-v5` against the `tokenizers` library, which the Python runtime uses."""

import importlib.util
import json
import random
import re
import unicodedata

import pytest
import tokenizers
from fnet_runtime.errors import BundleError
from fnet_runtime.tokenizer.tokenizers_backend import TokenizersBackend
from support.fuzz_texts import CHARACTERS, hard_texts, random_texts
from support.golden_tokenizer import COLUMNS, LINES, pipeline
from support.paths import CPP

PROBE = "tests/tokenizer_probe"
CASES = [
    pytest.param(column, id=f"{column['model']}-{column['flavour']}-{'lower' if column['do_lower_case'] else 'plain'}")
    for column in COLUMNS
    if column["flavour"] in ("fnet-fast", "fnet-v5")
]


@pytest.fixture
def ask(built, tmp_path):
    """Asks the C++ backend of a tokenizer.json: the head of its answers, and one for each request."""

    def asked(data, flavour, requests=()):
        (tmp_path / "tokenizer.json").write_bytes(data)
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        done = built.run(tmp_path / "tokenizer.json", flavour, program=PROBE, input=lines, text=True)
        assert done.stderr == ""
        head, *answers = map(json.loads, done.stdout.splitlines())
        assert len(answers) == (0 if "error" in head else len(requests))
        return head, answers

    return asked


@pytest.fixture
def different(ask):
    """The texts that C++ and Python cut differently, and what else differs of the two backends."""

    def compared(data, flavour, texts):
        backend = TokenizersBackend(data, flavour, name="x.json")
        wanted = [[[token.id, *token.span] for token in backend.tokens(text)] for text in texts]
        decoded = [[token for token, *_ in tokens] for tokens in wanted]
        draw = random.Random(len(texts))
        decoded += [[draw.randrange(backend.vocab_size) for _ in range(draw.randrange(9))] for _ in range(500)]
        decoded += [[token] for token in range(backend.vocab_size)]
        head, answers = ask(data, flavour, [*texts, *decoded])
        assert head == {"vocab_size": backend.vocab_size, "special": backend.special_ids}
        found = [text for text, right, answer in zip(texts, wanted, answers, strict=False) if right != answer]
        for ids, answer in zip(decoded, answers[len(texts) :], strict=True):
            if answer != [backend.decode(ids), [backend.piece(token) for token in ids]]:
                found.append(ids)
        return found

    return compared


def column_pipeline(column):
    name = column["model"].removesuffix(".model")
    return pipeline(name, column["flavour"], column["do_lower_case"], column["keep_accents"])


@pytest.mark.parametrize("column", CASES)
def test_every_text_of_the_golden_file_is_cut_as_in_python(different, column):
    texts = [text for line in LINES for text in line.texts]
    assert len(texts) > 6000
    assert different(column_pipeline(column), column["flavour"], texts) == []


@pytest.mark.parametrize("column", CASES)
def test_20_000_random_texts_are_cut_as_in_python(different, column):
    assert different(column_pipeline(column), column["flavour"], random_texts(20_000)) == []


@pytest.mark.parametrize("column", CASES)
def test_5_000_hard_texts_are_cut_as_in_python(different, column):
    assert different(column_pipeline(column), column["flavour"], hard_texts(5_000)) == []


@pytest.mark.parametrize("without", [[], ["Precompiled"]])
@pytest.mark.parametrize(("lower", "accents"), [(False, False), (True, True)])
def test_each_normalizer_of_fnet_fast_by_itself(different, lower, accents, without):
    data = json.loads(pipeline("unigram", "fnet-fast", lower, accents))
    data["normalizer"]["normalizers"] = [s for s in data["normalizer"]["normalizers"] if s["type"] not in without]
    assert (
        different(json.dumps(data).encode(), "fnet-fast", [*hard_texts(2_000), *CHARACTERS[:0x3000], *CHARACTERS[0xA000::97]]) == []
    )


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("unicode_tables", CPP / "scripts" / "unicode_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_tables_are_those_of_the_script(tables):
    committed = (CPP / "src" / "generated" / "unicode_tables.inc").read_text()
    versions = re.search(r"Unicode ([\d.]+) of Python and tokenizers ([\d.]+):", committed)
    found = (unicodedata.unidata_version, tokenizers.__version__)
    if versions.groups() != found:
        pytest.skip(f"needs Unicode {versions[1]} and tokenizers {versions[2]}, which wrote the tables; found {found}")
    assert tables.tables() == committed


def test_clusters_are_those_of_the_library(different, tables):
    data = json.loads(pipeline("unigram", "fnet-v5"))
    data["normalizer"]["normalizers"][0]["precompiled_charsmap"] = tables.counting_charsmap()
    draw = random.Random("clusters")
    some = ["a", *"\u0301\u0308\u200d\u200c©®\u0600\u06dd\u1100\u1160\u11a8각가क\u094d়ি\U0001f1e6\U0001f468\n\r\xad"]
    texts = ["".join(draw.choice(some) for _ in range(draw.randrange(9))) for _ in range(20_000)]
    texts += ["".join(draw.choice(draw.choice([some, CHARACTERS])) for _ in range(7)) for _ in range(20_000)]
    assert different(json.dumps(data).encode(), "fnet-v5", texts) == []


def added(content, **options):
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {"id": 0, "content": content, **plain, **options}


@pytest.mark.parametrize("flavour", ["fnet-fast", "fnet-v5"])
def test_added_tokens_with_every_option(different, flavour):
    data = json.loads(pipeline("bpe", flavour, *((True, False) if flavour == "fnet-fast" else ())))
    data["added_tokens"] += [
        added("fox", single_word=True),
        added("  fox jumps"),
        added("Ö", normalized=True, special=True),
        added("qu ick", normalized=True, lstrip=True, rstrip=True),
        added("dog", rstrip=True),
        added("dogs", special=True),
        added("ﬁ", normalized=True, single_word=True),
        added("\u2003x", lstrip=True),
        added("the", normalized=True),
        added(""),
        added("fox"),
        added("lazy", special=True, lstrip=True, single_word=True, rstrip=True),
    ]
    draw = random.Random("added")
    parts = [
        "fox",
        "FOX",
        " ",
        "  ",
        "\u2003",
        "x",
        "qu ick",
        "QU ICK",
        "dog",
        "dogs",
        "fi",
        "ﬁ",
        "the",
        "ö",
        "o\u0308",
        "Ö",
        "_",
        "é",
    ]
    parts += ["lazy", "[MASK]", "[CLS]", "<unk>", "<pad>", "▁", "jumps", ".", "\n", "''", "`", "\u0301"]
    texts = ["".join(draw.choice(parts) for _ in range(draw.randrange(12))) for _ in range(10_000)]
    assert different(json.dumps(data).encode(), flavour, texts) == []


def test_byte_fallback_and_a_vocabulary_of_ties(different):
    draw = random.Random("ties")
    data = json.loads(pipeline("unigram", "fnet-v5"))
    model = data["model"]
    bytes_of = [[f"<0x{byte:02X}>", 0.0] for byte in range(256)]
    syllables = {"".join(draw.choice("ab▁é") for _ in range(draw.randint(1, 5))) for _ in range(300)}
    ties = [[piece, -len(piece) * draw.choice([1, 1.5, 0.1])] for piece in sorted(syllables)]
    texts = ["".join(draw.choice("ab é日\U0001f98a") for _ in range(draw.randrange(40))) for _ in range(3_000)]
    for fallback, kept in ((True, 256), (True, 200), (False, 256)):
        data["model"] = model | {"byte_fallback": fallback, "vocab": [*model["vocab"], *bytes_of[:kept], *ties, *ties[:9]]}
        decoders = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
        data["decoder"] = {"type": "Sequence", "decoders": decoders}
        assert different(json.dumps(data).encode(), "fnet-v5", texts) == []
    data["decoder"] = None
    assert different(json.dumps(data).encode(), "fnet-v5", texts[:100]) == []


def test_merges_of_random_ranks(different):
    draw = random.Random("merges")
    data = json.loads(pipeline("bpe", "fnet-fast"))
    special = dict(list(data["model"]["vocab"].items())[:7])
    pieces = list("abc▁")
    merges = []
    while len(merges) < 400:
        left, right = draw.choice(pieces), draw.choice(pieces)
        if len(left + right) < 9 and [left, right] not in merges:
            merges.append([left, right])
            pieces += [left + right] * (left + right not in pieces)
    draw.shuffle(merges)
    data["model"] |= {"vocab": special | {p: len(special) + i for i, p in enumerate(pieces)}, "merges": merges}
    texts = ["".join(draw.choice("abc d") for _ in range(draw.randrange(60))) for _ in range(5_000)]
    assert different(json.dumps(data).encode(), "fnet-fast", [*texts, "abc" * 50_000]) == []


def test_spellings_of_old_files(different):
    data = json.loads(pipeline("bpe", "fnet-fast"))
    data["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True, "str_rep": "▁"}
    data["decoder"] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    data["model"]["merges"] = ["#version: 0.2", *(f"{left} {right}" for left, right in data["model"]["merges"])]
    del data["model"]["type"], data["model"]["dropout"], data["truncation"], data["padding"], data["version"]
    assert different(json.dumps(data).encode(), "fnet-fast", random_texts(500)) == []


def test_numbers_are_rounded_as_the_library_rounds_them(built):
    draw = random.Random("numbers")
    numbers = [
        "0",
        "-0",
        "-1.5",
        "1e5",
        "1E-5",
        "-3.25e+2",
        "18446744073709551616",
        "184467440737095516159.5",
        "1844674407370955161.70123",
    ]
    numbers += [
        "1e-400",
        "-123e-330",
        "0e999999999999",
        "0.0",
        "9" * 40,
        "0." + "0" * 330 + "1e20",
        "1." + "3" * 60,
        "5e-324",
        "1e308",
    ]
    for _ in range(20_000):
        digits = "".join(draw.choice("0123456789") for _ in range(draw.randint(1, 24)))
        numbers.append(f"-{draw.randrange(40)}.{digits}" + draw.choice(["", "", f"e{draw.randint(-30, 30)}"]))
    data = json.loads(pipeline("unigram", "fnet-v5"))
    data["model"]["vocab"] = "VOCAB"
    rows = ",".join(f'["{i}",{number}]' for i, number in enumerate(numbers))
    library = tokenizers.Tokenizer.from_str(json.dumps(data).replace('"VOCAB"', f"[{rows}]"))
    wanted = [score for _, score in json.loads(library.to_str())["model"]["vocab"]]
    done = built.run("--numbers", program=PROBE, input="\n".join(numbers), text=True, check=True)
    assert [float.fromhex(line) for line in done.stdout.splitlines()] == wanted
    assert wanted != [float(number) for number in numbers]


def test_pipelines_that_python_refuses_are_refused(ask):
    fast, v5 = pipeline("bpe", "fnet-fast"), pipeline("bpe", "fnet-v5")
    altered = [
        (v5, "fnet-fast"),
        (fast, "fnet-v5"),
        (fast.replace(b'"prepend_scheme": "always"', b'"prepend_scheme": "never"'), "fnet-fast"),
        (fast.replace(b'"split": true', b'"split": false'), "fnet-fast"),
        (fast.replace(b'" {2,}"', b'" {3,}"'), "fnet-fast"),
        (fast.replace(b'"dropout": null', b'"dropout": 0.1'), "fnet-fast"),
        (v5.replace(b"[MASK]", b"[OTHER]"), "fnet-v5"),
        (v5.replace(b"[MASK]", b"[OTHER]").replace(b"<pad>", b"<gap>"), "fnet-v5"),
    ]
    for part, value in (
        ("normalizer", None),
        ("normalizer", {"type": "Lowercase"}),
        ("normalizer", {"type": "Sequence", "normalizers": [{"type": "NFC"}]}),
        ("pre_tokenizer", None),
        ("pre_tokenizer", {"type": "Whitespace"}),
        ("post_processor", None),
        ("post_processor", {"type": "BertProcessing", "sep": ["[SEP]", 5], "cls": ["[CLS]", 4]}),
        ("model", {"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"}),
    ):
        altered.append((json.dumps(json.loads(fast) | {part: value}).encode(), "fnet-fast"))
    for data, flavour in altered:
        assert verdict(data, flavour) == "refused"
        assert ask(data, flavour)[0]["error"].startswith(
            ("x.json: expected the pipeline of ", "x.json: the vocabulary has no token ")
        )


def test_files_that_are_no_tokenizer_are_refused(ask):
    fast = json.loads(pipeline("bpe", "fnet-fast"))
    no_files = [b"", b"{}", b"\xff", b"[" * 100_000, b"[]", b"null", b'{"model": 3}', b'{"version": "2.0"}', b'{"a": 1e999}']
    for part, value in (
        ("version", "2.0"),
        ("normalizer", {"type": "Other"}),
        ("normalizer", {"type": "Sequence"}),
        ("pre_tokenizer", {"type": "Metaspace", "replacement": "▁", "add_prefix_space": False, "prepend_scheme": "always"}),
        ("pre_tokenizer", 3),
        ("post_processor", {"type": "TemplateProcessing", "single": []}),
        ("decoder", {"type": "Other"}),
        ("added_tokens", [{"content": "x"}]),
        ("model", fast["model"] | {"merges": ["a b c"]}),
        ("model", fast["model"] | {"merges": [["x", "\u1234"]]}),
        ("model", fast["model"] | {"vocab": 3}),
        ("model", fast["model"] | {"vocab": fast["model"]["vocab"] | {"x": -1}}),
        ("model", fast["model"] | {"vocab": fast["model"]["vocab"] | {"x": 2**32}}),
        ("model", {"type": "Unigram", "unk_id": 9, "vocab": [["<unk>", 0.0]]}),
    ):
        no_files.append(json.dumps(fast | {part: value}).encode())
    for data in no_files:
        assert ask(data, "fnet-fast")[0]["error"].startswith("x.json: not a tokenizer.json ("), data[-300:]


@pytest.mark.parametrize(
    "charsmap", ["", "AAAA", "=", "BAAAAA==", "BAAAAAAAAAA=", "////////////", "BAAAAP////8A", "CAAAAEEFAAD/////QQA="]
)
def test_damaged_charsmaps_are_refused_or_harmless(ask, charsmap):
    data = json.loads(pipeline("bpe", "fnet-v5"))
    data["normalizer"]["normalizers"][0]["precompiled_charsmap"] = charsmap
    head, answers = ask(json.dumps(data).encode(), "fnet-v5", random_texts(200))
    assert len(answers) == 200 or head["error"].startswith("x.json: not a tokenizer.json (precompiled_charsmap ")


def test_what_the_library_does_and_fnet_never_needs_is_refused(ask):
    fast, v5 = json.loads(pipeline("bpe", "fnet-fast")), json.loads(pipeline("unigram", "fnet-v5"))
    for whole, flavour, part, value in (
        (fast, "fnet-fast", "decoder", {"type": "WordPiece", "prefix": "##", "cleanup": True}),
        (fast, "fnet-fast", "decoder", {"type": "Replace", "pattern": {"Regex": "a+"}, "content": ""}),
        (fast, "fnet-fast", "model", fast["model"] | {"byte_fallback": True}),
        (fast, "fnet-fast", "model", fast["model"] | {"ignore_merges": True}),
        (fast, "fnet-fast", "model", fast["model"] | {"fuse_unk": False}),
        (fast, "fnet-fast", "model", fast["model"] | {"unk_token": None}),
        (fast, "fnet-fast", "model", fast["model"] | {"end_of_word_suffix": "</w>"}),
        (v5, "fnet-v5", "model", v5["model"] | {"unk_id": None}),
    ):
        data = json.dumps(whole | {part: value}).encode()
        assert verdict(data, flavour) == "refused"
        error = f"x.json: expected the pipeline of {flavour}, found one that no FNet tokenizer writes"
        assert ask(data, flavour)[0] == {"error": error}


def verdict(data, flavour):
    try:
        TokenizersBackend(data, flavour, name="x.json")
    except BundleError:
        return "refused"
    return "read"


VALUES = [None, True, False, 0, 1, -1, 0.5, "", "x", [], {}, {"type": "Sequence"}]


def alterations(node):
    """The node with one member gone or replaced by each of VALUES, at any depth; the vocabulary and most merges are left alone."""
    if not isinstance(node, dict | list):
        return
    for key in list(node) if isinstance(node, dict) else range(len(node[:9])):
        other = node.copy()
        del other[key]
        yield other
        for value in [*VALUES, *(alterations(node[key]) if key != "vocab" else [])]:
            yield node | {key: value} if isinstance(node, dict) else [*node[:key], value, *node[key + 1 :]]


@pytest.mark.parametrize(("name", "flavour"), [("bpe", "fnet-fast"), ("unigram", "fnet-v5")])
def test_altered_pipelines_are_read_or_refused_as_in_python(ask, name, flavour, capfd):
    whole = json.loads(pipeline(name, flavour, *((True, False) if flavour == "fnet-fast" else ())))
    model = whole["model"]
    if name == "bpe":  # a small vocabulary, for speed
        model["vocab"] = dict(list(model["vocab"].items())[:60])
        model["merges"] = [pair for pair in model["merges"] if {*pair, "".join(pair)} <= model["vocab"].keys()]
    else:
        model["vocab"] = model["vocab"][:60]
    every = [json.dumps(altered).encode() for altered in alterations(whole)]
    assert len(every) > 700
    different = []
    for data in random.Random(name).sample(every, 250):
        wanted, found = verdict(data, flavour), ask(data, flavour)[0].get("error", "read")
        if (wanted == "read") != (found == "read"):
            different.append((data[:3000], wanted, found))
    capfd.readouterr()  # what a panic of the library tells
    assert different == []
