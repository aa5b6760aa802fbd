"""The C++ runtime's own `fnet-fast` and `fnet-v5` against the `tokenizers` library, which the Python runtime uses."""

import importlib.util
import json
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fnet_runtime.errors import BundleError
from fnet_runtime.tokenizers_backend import TokenizersBackend
from fuzz_texts import CHARACTERS, hard_texts, random_texts
from golden_tokenizer import COLUMNS, LINES, pipeline

CPP = Path(__file__).parents[2] / "runtimes" / "cpp"
SOURCES = ["added_tokens", "aligned_text", "bpe", "charsmap", "flavour", "json_reader", "normalizer", "python_str", "serde_json"]
SOURCES += ["token_decoder", "tokenizer_json", "tokenizers_backend", "unicode", "unigram"]
FLAGS = ["-std=c++17", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", f"-I{CPP}/include", f"-I{CPP}/src"]
CASES = [
    pytest.param(column, id=f"{column['model']}-{column['flavour']}-{'lower' if column['do_lower_case'] else 'plain'}")
    for column in COLUMNS
    if column["flavour"] in ("fnet-fast", "fnet-v5")
]


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++, which is not installed")
    check = subprocess.run([compiler, "-E", "-x", "c++", "-"], input="#include <nlohmann/json.hpp>", capture_output=True, text=True)
    if check.returncode:
        pytest.skip("needs nlohmann/json.hpp (Debian: nlohmann-json3-dev), which is not installed")
    folder = tmp_path_factory.mktemp("probe")
    sources = [CPP / "tests" / "tokenizer_probe.cpp", *(CPP / "src" / f"{name}.cpp" for name in SOURCES)]
    objects = [folder / f"{source.stem}.o" for source in sources]

    def compiled(source, made):
        subprocess.run([compiler, *FLAGS, "-c", source, "-o", made], check=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compiled, sources, objects))
    subprocess.run([compiler, *objects, "-o", folder / "probe"], check=True)
    return folder / "probe"


@pytest.fixture
def ask(program, tmp_path):
    """Asks the C++ backend of a tokenizer.json: the head of its answers, and one for each request."""

    def asked(data, flavour, requests=()):
        (tmp_path / "tokenizer.json").write_bytes(data)
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        done = subprocess.run([program, tmp_path / "tokenizer.json", flavour], input=lines, capture_output=True, text=True)
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


def test_clusters_are_those_of_the_library(different):
    spec = importlib.util.spec_from_file_location("unicode_tables", CPP / "scripts" / "unicode_tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
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


def test_numbers_are_rounded_as_the_library_rounds_them(program):
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
    library = TokenizersBackend.__init__.__globals__["_opened"](
        json.dumps(data).replace('"VOCAB"', f"[{rows}]").encode(), "x.json", importlib.import_module
    )
    wanted = [score for _, score in json.loads(library.to_str())["model"]["vocab"]]
    done = subprocess.run([program, "--numbers"], input="\n".join(numbers), capture_output=True, text=True, check=True)
    assert [float.fromhex(line) for line in done.stdout.splitlines()] == wanted
    assert wanted != [float(number) for number in numbers]


def test_refused_pipelines_are_refused_in_the_same_words(ask):
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
        with pytest.raises(BundleError) as refused:
            TokenizersBackend(data, flavour, name="x.json")
        assert ask(data, flavour)[0] == {"error": str(refused.value)}


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
    fast = json.loads(pipeline("bpe", "fnet-fast"))
    refused = {"error": "x.json: expected the pipeline of fnet-fast, found one that no FNet tokenizer writes"}
    for part, value in (
        ("decoder", {"type": "WordPiece", "prefix": "##", "cleanup": True}),
        ("decoder", {"type": "Replace", "pattern": {"Regex": "a+"}, "content": ""}),
        ("model", fast["model"] | {"byte_fallback": True}),
        ("model", fast["model"] | {"fuse_unk": False}),
        ("model", fast["model"] | {"unk_token": None}),
        ("model", fast["model"] | {"end_of_word_suffix": "</w>"}),
    ):
        assert ask(json.dumps(fast | {part: value}).encode(), "fnet-fast")[0] == refused
